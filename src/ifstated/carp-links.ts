/**
 * The link states of carp interfaces as the engine tells them: up is MASTER, down BACKUP, unknown INIT. Follows one
 * engine after the other; while it is started anew, the states stay as they were.
 */

import type { LinkState } from "../config/ifstated/syntax.ts";
import type { Connection, ConnectionOptions } from "../control/client.ts";
import type { HostEvent, InterfaceView } from "../control/messages.ts";

/** An engine that is back within this time continues as it was. After it, nothing is known of its interfaces. */
const GONE_AFTER_MS = 10_000;
const AGAIN_MS = 250;
/** An interface whose vhids were changed is read again so long after its last event. */
const SETTLED_MS = 500;

export interface EngineOptions {
  connect(options: ConnectionOptions): Promise<Connection>;
  /** Called after each change. */
  changed(): void;
  log(text: string): void;
  readonly goneAfterMs?: number;
}

type States = Map<string, Map<number, "INIT" | "BACKUP" | "MASTER">>;

export class CarpLinks {
  readonly #options: EngineOptions;
  /** By interface and vhid; undefined: there is no engine. */
  #states: States | undefined;
  #engine: Connection | undefined;
  #isClosed = false;
  #gone: NodeJS.Timeout | undefined;
  #settled: NodeJS.Timeout | undefined;
  readonly #firstAttempt = Promise.withResolvers<void>();

  constructor(options: EngineOptions) {
    this.#options = options;
    void this.#follow();
  }

  /** Resolves when an engine was found, or none was. */
  get ready(): Promise<void> {
    return this.#firstAttempt.promise;
  }

  /** Undefined: the engine has no such interface. */
  of(name: string): LinkState | undefined {
    if (this.#states === undefined) return "unknown";
    const nodes = this.#states.get(name);
    if (nodes === undefined) return undefined;
    const states = [...nodes.values()];
    if (states.includes("MASTER")) return "up";
    return states.includes("BACKUP") ? "down" : "unknown";
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#gone);
    clearTimeout(this.#settled);
    this.#engine?.close();
  }

  async #follow(): Promise<void> {
    // Whether it was said that there is no engine: once, not with each attempt.
    let isMissed = false;
    const miss = (text: string) => {
      if (!isMissed && !this.#isClosed) this.#options.log(text);
      isMissed = true;
      this.#lost();
      this.#firstAttempt.resolve();
    };
    while (!this.#isClosed) {
      try {
        this.#engine = await this.#options.connect({ onEvent: ({ event }) => this.#apply(event) });
        await this.#engine.call("monitor", {});
        await this.#read();
        if (isMissed) this.#options.log("the engine is back");
        isMissed = false;
        this.#firstAttempt.resolve();
        await this.#engine.closed;
        miss("the engine is gone");
      } catch (error) {
        this.#engine?.close();
        miss((error as Error).message);
      }
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS).unref());
    }
  }

  /** Reads every interface. */
  async #read(): Promise<void> {
    const read = await this.#engine?.call("interfaces", {});
    if (read === undefined) return;
    clearTimeout(this.#gone);
    this.#gone = undefined;
    this.#states = statesOf(read.interfaces);
    this.#options.changed();
  }

  #lost(): void {
    if (this.#states === undefined || this.#gone !== undefined) return;
    this.#gone = setTimeout(() => {
      this.#states = undefined;
      this.#options.changed();
    }, this.#options.goneAfterMs ?? GONE_AFTER_MS).unref();
  }

  #apply(event: HostEvent): void {
    if (event.kind === "left-out") this.#readSoon();
    if (event.kind === "created") this.#states?.set(event.interface, new Map());
    if (event.kind === "destroyed") this.#states?.delete(event.interface);
    if (event.kind === "transition") {
      this.#states?.get(event.interface)?.set(event.vhid, event.to);
      // It may have been the last event of a vhid that the interface no longer has.
      if (event.to === "INIT") this.#readSoon();
    }
    this.#options.changed();
  }

  #readSoon(): void {
    clearTimeout(this.#settled);
    // An engine that does not answer any more is found gone by `closed`.
    this.#settled = setTimeout(() => void this.#read().catch(() => {}), SETTLED_MS).unref();
  }
}

function statesOf(interfaces: readonly InterfaceView[]): States {
  return new Map(
    interfaces.map(({ name, nodes }) => [name, new Map(nodes.map(({ vhid, state }) => [vhid, state]))]),
  );
}
