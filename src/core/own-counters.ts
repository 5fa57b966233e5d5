/**
 * The counters of one virtual host's advertisements: each greater than all before, and the latest ones remembered, to
 * know our own advertisements when they come back.
 */

import type { Instant, Micros } from "./event.ts";

const REMEMBERED = 1024;

export class OwnCounters {
  #last: bigint;
  #countedAtUs: Micros;
  readonly #sent = new Set<bigint>();

  /** @param floor every counter will be greater */
  constructor(floor: bigint, now: Instant) {
    this.#last = floor;
    this.#countedAtUs = now.us;
  }

  /** The greatest so far, or the floor. */
  get last(): bigint {
    return this.#last;
  }

  has(counter: bigint): boolean {
    return this.#sent.has(counter);
  }

  /**
   * The clock, or, where counters are ahead of it, half as fast as it until it has caught up: steps of one would be
   * those of another host that was restarted too, or that goes on from what it has heard, as FreeBSD and ucarp do.
   */
  next(now: Instant): bigint {
    this.#last = this.following(now);
    this.#countedAtUs = now.us;
    this.#sent.add(this.#last);
    if (this.#sent.size > REMEMBERED) this.#forgetOldest();
    return this.#last;
  }

  /** What `next` would be: whatever waits longer gets further ahead, but by no more than it waits. */
  following(now: Instant): bigint {
    const clock = BigInt(Math.trunc(now.epochUs));
    const step = Math.max(1, Math.floor((now.us - this.#countedAtUs) / 2));
    return clock > this.#last ? clock : this.#last + BigInt(step);
  }

  #forgetOldest(): void {
    for (const oldest of this.#sent) {
      this.#sent.delete(oldest);
      return;
    }
  }
}
