/**
 * OwnCounters: makes the advertisement counters of one virtual host. Each is greater than all before it and
 * than the peers' counters that it follows. Remembers the latest ones, to recognise our own advertisements
 * when they come back.
 */

import type { Instant, Micros } from "../model.ts";

/**
 * Upper limit of counters that are followed: microseconds 30,000 years from now, far below the end of 64
 * bits.
 */
export const HIGHEST_COUNTER = 10n ** 18n;

const REMEMBERED = 1024;

/**
 * The low 8 bits are the host's tag: hosts with equal clocks, or that follow one peer, must not send equal
 * counters.
 */
const TAGS = 256n;

export class OwnCounters {
  #last: bigint;
  #lastSent = 0n;
  #countedAtUs: Micros;
  readonly #sent = new Set<bigint>();

  /** @param floor every counter sent will be greater than this */
  constructor(floor: bigint, now: Instant) {
    this.#last = floor;
    this.#countedAtUs = now.us;
  }

  /** Returns the greatest counter sent or followed so far, or the floor. Every later counter is greater. */
  get last(): bigint {
    return this.#last;
  }

  get lastSent(): bigint {
    return this.#lastSent;
  }

  /** Whether one of the latest advertisements sent has this counter. */
  has(counter: bigint): boolean {
    return this.#sent.has(counter);
  }

  /**
   * Makes the next counter: the system clock, or, while counters are ahead of that, half as fast as the clock
   * until it has caught up. Steps of one would collide with another host that was restarted too, or that
   * counts on from what it heard, as FreeBSD and ucarp do.
   *
   * @param tag the host's tag, 0 to 255
   */
  next(now: Instant, tag: number): bigint {
    const least = this.#following(now);
    const tagged = least - (least % TAGS) + BigInt(tag);
    this.#last = tagged < least ? tagged + TAGS : tagged;
    this.#countedAtUs = now.us;
    this.#lastSent = this.#last;
    this.#sent.add(this.#last);
    if (this.#sent.size > REMEMBERED) this.#forgetOldest();
    return this.#last;
  }

  #following(now: Instant): bigint {
    const clock = BigInt(Math.trunc(now.epochUs));
    const step = Math.max(1, Math.floor((now.us - this.#countedAtUs) / 2));
    return clock > this.#last ? clock : this.#last + BigInt(step);
  }

  /** Makes every later counter greater than this one of a peer. */
  follow(counter: bigint, atUs: Micros): void {
    if (counter <= this.#last) return;
    this.#last = counter;
    this.#countedAtUs = atUs;
  }

  #forgetOldest(): void {
    for (const oldest of this.#sent) {
      this.#sent.delete(oldest);
      return;
    }
  }
}
