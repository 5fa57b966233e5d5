/** Delays: how late the engine's alarms rang, as a histogram: what an event loop that is kept busy does to CARP. */

import type { Alarms, Clock } from "../../kernel/kernel.ts";

/** Seconds. Alarms are rounded up to a millisecond. */
const BOUNDS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5] as const;

export class Delays {
  readonly bounds: readonly number[] = BOUNDS;
  /** By the first bound that is not exceeded; the last beyond all. */
  readonly #counts = new Array<number>(BOUNDS.length + 1).fill(0);
  sum = 0;

  /** Observes every alarm that these ring. */
  observing(alarms: Alarms, clock: Clock): Alarms {
    return {
      set: (atUs, ring) =>
        alarms.set(atUs, () => {
          this.#observe((clock.now().us - atUs) / 1e6);
          ring();
        }),
    };
  }

  /** The number of observations up to each bound, and of all. */
  get counts(): number[] {
    let total = 0;
    return this.#counts.map((count) => (total += count));
  }

  /** @param seconds below 0: a very long alarm, which rings early */
  #observe(seconds: number): void {
    const delay = Math.max(0, seconds);
    const at = BOUNDS.findIndex((bound) => delay <= bound);
    const place = at < 0 ? BOUNDS.length : at;
    this.#counts[place] = (this.#counts[place] ?? 0) + 1;
    this.sum += delay;
  }
}
