/**
 * An engine that runs on a test host: its log, its state transitions, control messages to it, its end.
 */

import { createConnection, type Socket } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Method, Params, Results } from "../../src/control/messages.ts";
import type { VirtualHostState } from "../../src/core/model.ts";
import { DEFAULT_TIMEOUT_MS, type LogLine, type WaitOptions } from "./log.ts";
import type { Exit, Spawned } from "./spawned.ts";

const TRANSITION = /\b(carp\d+): state transition(?: \(vhid (\d+)\))?: (\w+) -> (\w+)/;

export interface Transition {
  readonly interface: string;
  /** Only where the interface has several nodes. */
  readonly vhid: number | undefined;
  readonly from: VirtualHostState;
  readonly to: VirtualHostState;
  readonly atMs: number;
}

export interface EngineOptions {
  readonly environment?: Readonly<Record<string, string>>;
  /** Path of carpctl; default: the one in this tree. */
  readonly program?: string;
  /** More words for `carpctl engine`. */
  readonly words?: readonly string[];
  /**
   * A command that executes the one behind it, for an engine with fewer privileges: `setpriv`, its options
   * and `--`.
   */
  readonly through?: readonly string[];
  /**
   * net.inet.carp.log, set as soon as the engine answers; null leaves its default. At 7 every line is logged.
   */
  readonly logLevel?: number | null;
}

export class Engine {
  readonly #process: Spawned;
  readonly #socketPath: string;
  readonly #name: string;

  private constructor(process: Spawned, runDirectory: string, name: string) {
    this.#process = process;
    this.#socketPath = join(runDirectory, "engine.sock");
    this.#name = name;
  }

  /** Resolves when the engine that was spawned answers. */
  static async attach(process: Spawned, runDirectory: string, name: string): Promise<Engine> {
    const engine = new Engine(process, runDirectory, name);
    const ended = process.exited.then(() => {
      throw new Error(`the engine on ${name} ended before it answered\n${process.log}`);
    });
    await Promise.race([engine.#answers(), ended]);
    return engine;
  }

  get pid(): number {
    return this.#process.pid;
  }

  get log() {
    return this.#process.log;
  }

  get exited(): Promise<Exit> {
    return this.#process.exited;
  }

  /** All transitions so far, in order; those from and to INIT only with net.inet.carp.log at 4 or more. */
  get transitions(): Transition[] {
    return this.log.lines.flatMap(({ text, atMs }) => {
      const [, name, vhid, from, to] = TRANSITION.exec(text) ?? [];
      if (name === undefined) return [];
      const states = { from: from as VirtualHostState, to: to as VirtualHostState };
      return [{ interface: name, vhid: vhid === undefined ? undefined : Number(vhid), ...states, atMs }];
    });
  }

  /** With `from: engine.log.length` waits for a line that comes after now. */
  waitForLog(pattern: RegExp, options: WaitOptions = {}): Promise<LogLine> {
    return this.log.waitFor(pattern, options);
  }

  /**
   * @param vhid needed where the interface has several nodes. Resolves at once when it is in that state
   * already.
   */
  async waitForState(
    name: string,
    state: VirtualHostState,
    vhid?: number,
    { timeoutMs = DEFAULT_TIMEOUT_MS }: { timeoutMs?: number } = {},
  ): Promise<void> {
    const found = new AbortController();
    const node = vhid === undefined ? "(?: \\(vhid \\d+\\))?" : `(?: \\(vhid ${vhid}\\))?`;
    const pattern = new RegExp(`\\b${name}: state transition${node}: \\w+ -> ${state}`);
    const logged = this.log.waitFor(pattern, { from: this.log.length, timeoutMs, signal: found.signal });
    // The log has changes only: ask as well, after listening has begun, so that no change is missed.
    const asked = this.state(name, vhid).then((now) => (now === state ? undefined : logged));
    logged.catch(() => {});
    await Promise.race([logged, asked]);
    found.abort();
  }

  /** undefined: no such interface or node. */
  async state(name: string, vhid?: number): Promise<VirtualHostState | undefined> {
    const { interfaces } = await this.request("interfaces", {});
    const nodes = interfaces.find((view) => view.name === name)?.nodes ?? [];
    return (vhid === undefined ? nodes[0] : nodes.find((node) => node.vhid === vhid))?.state;
  }

  /** Sends one control message, without starting carpctl. Rejects with the engine's own message. */
  request<M extends Method>(method: M, params: Params<M>): Promise<Results[M]> {
    return request(this.#socketPath, method, params).catch((error) => {
      if (!(error instanceof HungUp)) throw error;
      throw new Error(`the engine on ${this.#name} hung up on ${method}\n${this.log}`);
    });
  }

  /** Ends it by SIGTERM: it bows out and removes its devices. */
  stop(): Promise<Exit> {
    return this.kill("SIGTERM");
  }

  /** SIGSTOP and SIGCONT do not end it: use `signal` for those. */
  kill(signal: NodeJS.Signals): Promise<Exit> {
    this.signal(signal);
    return this.#process.exited;
  }

  signal(signal: NodeJS.Signals): void {
    this.#process.kill(signal);
  }

  async #answers(): Promise<void> {
    const deadline = performance.now() + DEFAULT_TIMEOUT_MS;
    while (performance.now() < deadline) {
      try {
        (await connect(this.#socketPath)).destroy();
        return;
      } catch {
        await sleep(5);
      }
    }
    throw new Error(`the engine on ${this.#name} does not answer\n${this.log}`);
  }
}

/** The engine closed the connection without an answer. */
class HungUp extends Error {}

/** Sends one control message to the engine that listens there. */
export async function request<M extends Method>(
  socketPath: string,
  method: M,
  params: Params<M>,
): Promise<Results[M]> {
  const socket = await connect(socketPath);
  try {
    socket.write(`${JSON.stringify({ jsonrpc: "2.0", id: 1, method, params })}\n`);
    for await (const line of linesFrom(socket)) {
      const { id, result, error } = JSON.parse(line);
      if (id !== 1) continue;
      if (error) throw new Error(error.message);
      return result;
    }
    throw new HungUp(`the engine hung up on ${method}`);
  } finally {
    socket.destroy();
  }
}

function connect(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = createConnection(path, () => resolve(socket.removeListener("error", reject)));
    socket.once("error", reject);
  });
}

/** Splits at newlines alone: readline would split at U+2028 inside a string as well. */
async function* linesFrom(socket: Socket): AsyncGenerator<string> {
  let pending = "";
  try {
    for await (const chunk of socket.setEncoding("utf8")) {
      const lines = `${pending}${chunk}`.split("\n");
      pending = lines.pop() ?? "";
      yield* lines;
    }
  } catch {
    // Reset by an engine that was killed: there are no more lines.
  }
}
