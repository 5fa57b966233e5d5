/**
 * How far counters may go before the next engine has to be told. They may jump, with the clock or to follow those of
 * others, and an engine that is killed must not leave the next one with smaller ones. What is reserved grows with the
 * clock that nobody sets, and has room for what differs from it: it is seldom to be saved again.
 */

import type { Instant, Micros } from "./event.ts";
import { SECOND } from "./timing.ts";

/** No more: the next engine begins so far ahead of the clock. */
const ROOM = BigInt(SECOND);

export class CounterReserve {
  #upTo = 0n;
  #atUs: Micros = 0;

  at(now: Instant): bigint {
    return this.#upTo === 0n ? 0n : this.#upTo + BigInt(Math.ceil(now.us - this.#atUs));
  }

  /** @returns whether so much had not been reserved; now it is, and has to be saved */
  take(counter: bigint, now: Instant): boolean {
    // What is about to be said exceeds this by little.
    if (counter + ROOM / 2n <= this.at(now)) return false;
    this.#upTo = counter + ROOM;
    this.#atUs = now.us;
    return true;
  }
}
