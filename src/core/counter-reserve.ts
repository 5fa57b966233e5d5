/**
 * How far counters may go before the next engine has to be told. They may jump, with the clock or to follow those of
 * others, and an engine that is killed must not leave the next one with smaller ones. What is reserved grows with the
 * clock that nobody sets.
 */

import type { Instant, Micros } from "./event.ts";
import { MILLISECOND, SECOND } from "./timing.ts";

/** The low bits of counters, which are not the clock's. */
const MARGIN = BigInt(MILLISECOND);
/** For those that follow others', whose clocks run a little faster: not to be saved at each. */
const ROOM = BigInt(SECOND);

export class CounterReserve {
  #upTo = 0n;
  #atUs: Micros = 0;

  at(now: Instant): bigint {
    return this.#upTo === 0n ? 0n : this.#upTo + BigInt(Math.ceil(now.us - this.#atUs));
  }

  /** @returns whether so much had not been reserved; now it is, and has to be saved */
  take(counter: bigint, now: Instant): boolean {
    if (counter <= this.at(now)) return false;
    const clock = BigInt(Math.trunc(now.epochUs));
    this.#upTo = counter + MARGIN + (counter > clock + MARGIN ? ROOM : 0n);
    this.#atUs = now.us;
    return true;
  }
}
