/**
 * Upkeep: runs what the engine does now and then, all of it together, and behind other work where it can wait for that:
 * an engine that wakes up finds its caches cold, which costs more than most of what it does then.
 */

import type { Alarms } from "../kernel/kernel.ts";

/** The time from one upkeep to the next: it waits for other work until the longer one is over. */
const SOONEST_MS = 2400;
const LATEST_MS = 3600;

export class Upkeep {
  readonly #works: (() => void)[] = [];
  #ranAtMs = performance.now();
  #timer: NodeJS.Timeout | undefined;
  #isRunning = false;

  /** Runs this, too, from now on. */
  add(work: () => void): void {
    this.#works.push(work);
    if (this.#timer === undefined) this.#wait();
  }

  /** The same alarms, behind whose work upkeep may run. */
  behind(alarms: Alarms): Alarms {
    return {
      set: (atUs, ring) =>
        alarms.set(atUs, () => {
          ring();
          this.#awake();
        }),
    };
  }

  #awake(): void {
    if (!this.#isRunning && performance.now() - this.#ranAtMs >= SOONEST_MS) this.#run();
  }

  #run(): void {
    clearTimeout(this.#timer);
    this.#isRunning = true;
    this.#inTurn(0);
  }

  /** Runs the works in turns of their own: timers that are due, of whatever interval, come before each. */
  #inTurn(at: number): void {
    setImmediate(() => {
      const work = this.#works[at];
      if (work === undefined) {
        this.#isRunning = false;
        this.#ranAtMs = performance.now();
        this.#wait();
        return;
      }
      work();
      this.#inTurn(at + 1);
    });
  }

  #wait(): void {
    this.#timer = setTimeout(() => this.#run(), LATEST_MS).unref();
  }
}
