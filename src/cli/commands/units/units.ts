/**
 * `units`: keeps systemd's targets as the states of carp interfaces are, and tells the engine of the units that demote
 * the host, for carp-units.service. It runs until a signal, across restarts of the engine, and always brings what is
 * true now: it carries out no list of changes.
 */

import type { Connection } from "../../../control/client.ts";
import type { EventNotification } from "../../../control/messages.ts";
import type { CommandContext } from "../../context.ts";
import { pause } from "../../long-running.ts";
import { done, type Outcome, refused } from "../../outcome.ts";
import { Systemctl } from "./systemctl.ts";
import { Targets } from "./targets.ts";

/** While nothing happens. */
const EVERY_MS = 1000;
/** While no engine answers. */
const AGAIN_MS = 250;
/** Between two looks, in a flood of events. */
const AT_LEAST_MS = 50;
/** The targets are read again so often: an administrator may have started or stopped one. */
const LOOK_AGAIN_MS = 10_000;

/** Events after which a target may have to change. */
const MATTERS: ReadonlySet<string> = new Set(["transition", "created", "destroyed", "left-out"]);

export async function runUnits(context: CommandContext): Promise<Outcome> {
  const systemctl = new Systemctl((text) => context.complain(`carpctl: units: ${text}`));
  const obstacle = await systemctl.obstacle();
  if (obstacle !== undefined) return refused(`units: ${obstacle}`);
  const ending = new AbortController();
  // SIGUSR2 ends this process at once, and leaves the targets to the next one: for a restart.
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => ending.abort());
  await new Follower(context, systemctl, ending.signal).run();
  await systemctl.bring(new Set());
  return done();
}

class Follower {
  readonly #context: CommandContext;
  readonly #systemctl: Systemctl;
  readonly #ended: AbortSignal;
  readonly #targets = new Targets(performance.now());
  #engine: Connection | undefined;
  #wake = () => {};
  /** Something has happened since the interfaces were read. */
  #isStale = true;

  constructor(context: CommandContext, systemctl: Systemctl, ended: AbortSignal) {
    this.#context = context;
    this.#systemctl = systemctl;
    this.#ended = ended;
  }

  async run(): Promise<void> {
    let lookedMs = performance.now();
    let toldMs = 0;
    while (!this.#ended.aborted) {
      if (this.#engine === undefined) await this.#connect();
      if (this.#engine !== undefined && this.#isStale) await this.#read(this.#engine);
      const nowMs = performance.now();
      if (this.#engine !== undefined && nowMs - toldMs >= EVERY_MS) {
        toldMs = nowMs;
        await this.#tellOfUnits(this.#engine);
      }
      if (nowMs - lookedMs >= LOOK_AGAIN_MS) {
        lookedMs = nowMs;
        this.#systemctl.lookAgain();
      }
      const wanted = this.#targets.wanted(nowMs);
      if (wanted !== undefined) await this.#systemctl.bring(wanted);
      await pause(AT_LEAST_MS, this.#ended);
      if (!this.#isStale || this.#engine === undefined)
        await this.#woken(this.#engine === undefined ? AGAIN_MS : EVERY_MS);
    }
    this.#engine?.close();
  }

  async #connect(): Promise<void> {
    try {
      const engine = await this.#context.connect({ onEvent: (notification) => this.#heard(notification) });
      void engine.closed.then(() => {
        this.#targets.engineGone(performance.now());
        this.#engine = undefined;
        this.#wake();
      });
      this.#engine = engine;
      await engine.call("monitor", {});
    } catch {
      // None answers yet; one that hangs up is told of above.
      this.#engine?.close();
    }
    this.#isStale = true;
  }

  async #read(engine: Connection): Promise<void> {
    this.#isStale = false;
    try {
      const { interfaces } = await engine.call("interfaces", {});
      this.#targets.follow(interfaces);
    } catch {
      this.#isStale = true;
      engine.close();
    }
  }

  /** Tells the engine which of the units that demote have become active, or ceased to be. */
  async #tellOfUnits(engine: Connection): Promise<void> {
    try {
      const { units = [] } = await engine.call("demotion", {});
      if (units.length === 0) return;
      const found = await this.#systemctl.activeOf(units.map(({ unit }) => unit));
      if (found === undefined) return;
      const states = units
        .filter(({ unit, active }) => found.has(unit) !== active)
        .map(({ unit, active }) => ({ unit, active: !active }));
      if (states.length > 0) await engine.call("unit-states", { states });
    } catch {
      engine.close();
    }
  }

  #heard({ event: { kind } }: EventNotification): void {
    if (!MATTERS.has(kind)) return;
    this.#isStale = true;
    this.#wake();
  }

  /** Waits until something happens, but no longer than this. */
  async #woken(ms: number): Promise<void> {
    const waiting = new AbortController();
    this.#wake = () => waiting.abort();
    await pause(ms, AbortSignal.any([waiting.signal, this.#ended]));
  }
}
