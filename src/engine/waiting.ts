/**
 * Waiting: advertisements that wait in the wire because they repeat others (the core's effect `fold`). They put master-down
 * timers off without being handled: a BACKUP with hundreds of virtual hosts finds all of their state cold, which costs many
 * times what there is to do.
 */

import type { Effect } from "../core/effect.ts";
import type { VirtualHostTimer } from "../core/event.ts";
import type { Micros } from "../core/model.ts";
import type { Clock, Wire } from "../kernel/kernel.ts";
import type { Timers } from "./timers.ts";

type Fold = Extract<Effect, { kind: "fold" }>;

/**
 * They are handled after this time at the latest: whether a counter is of a recording is judged then, and a timer that
 * recordings have put off fires.
 */
export const HANDLED_WITHIN_US: Micros = 10_000_000;

export interface WaitingOptions {
  readonly clock: Clock;
  readonly wire: Pick<Wire, "latest" | "drain">;
  readonly timers: Pick<Timers, "putOff">;
}

export class Waiting {
  readonly #options: WaitingOptions;
  readonly #folds = new Map<VirtualHostTimer, Pick<Fold, "carpdev" | "waitUs">>();
  #handledUs: Micros = Number.NEGATIVE_INFINITY;

  constructor(options: WaitingOptions) {
    this.#options = options;
  }

  /** Advertisements that repeat this frame wait from now on. */
  add({ carpdev, timer, waitUs }: Fold): void {
    this.#folds.set(timer, { carpdev, waitUs });
  }

  /** No advertisement waits any more. */
  end(): void {
    this.#folds.clear();
  }

  /**
   * A master-down timer is due: puts it off, and all others that are due soon, by what has arrived since; or has what waits
   * handled, before a master is declared down.
   */
  masterDown(timer: VirtualHostTimer): void {
    const nowUs = this.#options.clock.now().us;
    if (nowUs - this.#handledUs < HANDLED_WITHIN_US && this.#putOff(timer)) return;
    this.#handledUs = nowUs;
    this.#options.wire.drain();
  }

  /** Puts this timer off, and then all others: the next ones that are due would cost another look at all. */
  #putOff(due: VirtualHostTimer): boolean {
    if (!this.#putOffOne(due)) return false;
    for (const timer of this.#folds.keys()) this.#putOffOne(timer);
    return true;
  }

  #putOffOne(timer: VirtualHostTimer): boolean {
    const fold = this.#folds.get(timer);
    if (fold === undefined) return false;
    const latestUs = this.#options.wire.latest(fold.carpdev, timer.vhid);
    return latestUs !== undefined && this.#options.timers.putOff(timer, latestUs + fold.waitUs);
  }
}
