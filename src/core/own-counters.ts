/**
 * The counters of one virtual host's advertisements: each greater than all before, and than those it is to follow. The
 * latest ones are remembered, to know our own advertisements when they come back.
 */

import type { Instant, Micros } from "./event.ts";

/** Microseconds as no clock tells them for 30,000 years, and far enough from the end of a counter's 64 bits. */
export const HIGHEST_COUNTER = 10n ** 18n;

const REMEMBERED = 1024;

/** The low bits of a counter say who counts: hosts whose clocks agree, or that follow the same, must not say the same. */
const TAGS = 256n;

export class OwnCounters {
  #last: bigint;
  #lastSent = 0n;
  #countedAtUs: Micros;
  readonly #sent = new Set<bigint>();

  /** @param floor every counter will be greater */
  constructor(floor: bigint, now: Instant) {
    this.#last = floor;
    this.#countedAtUs = now.us;
  }

  /** Those to come will be greater: than all before, those followed and the floor. */
  get last(): bigint {
    return this.#last;
  }

  get lastSent(): bigint {
    return this.#lastSent;
  }

  has(counter: bigint): boolean {
    return this.#sent.has(counter);
  }

  /**
   * The clock, or, where counters are ahead of it, half as fast as it until it has caught up: steps of one would be
   * those of another host that was restarted too, or that goes on from what it has heard, as FreeBSD and ucarp do.
   *
   * @param tag 0 to 255
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

  /** Those to come will be greater than a peer's, too. */
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
