/**
 * The core's timers on Node's: armed for a time on the engine's clock, replaced when armed again. A timer is
 * delivered when its time has come and never twice; how late it is, the core can see.
 */

import type { Micros, TimerId } from "../core/event.ts";

/** setTimeout takes no more than this many milliseconds; a timer further off is looked at again then. */
const LONGEST_MS = 2 ** 31 - 1;

export class Timers {
  readonly #now: () => Micros;
  readonly #due: (timer: TimerId) => void;
  readonly #armed = new Map<TimerId, { readonly atUs: Micros; readonly timeout: NodeJS.Timeout }>();

  constructor(now: () => Micros, due: (timer: TimerId) => void) {
    this.#now = now;
    this.#due = due;
  }

  arm(timer: TimerId, atUs: Micros): void {
    this.cancel(timer);
    const waitMs = Math.min(LONGEST_MS, Math.max(0, Math.ceil((atUs - this.#now()) / 1000)));
    this.#armed.set(timer, { atUs, timeout: setTimeout(() => this.#due(timer), waitMs) });
  }

  cancel(timer: TimerId): void {
    clearTimeout(this.#armed.get(timer)?.timeout);
    this.#armed.delete(timer);
  }

  /** Whether the timer is armed for a time that has come; if so it is spent. If not, it is armed again as it was. */
  take(timer: TimerId): boolean {
    const armed = this.#armed.get(timer);
    if (armed === undefined) return false;
    if (armed.atUs > this.#now()) {
      this.arm(timer, armed.atUs);
      return false;
    }
    this.cancel(timer);
    return true;
  }

  cancelAll(): void {
    for (const timer of [...this.#armed.keys()]) this.cancel(timer);
  }
}
