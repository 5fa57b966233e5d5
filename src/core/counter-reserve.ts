/**
 * How far counters may go before the next engine has to be told. They may follow those of others, far ahead of the
 * clock, and an engine that is killed must not leave the next one with smaller ones. What is reserved has room for the
 * others to go on as fast as the clock, so that it is not saved again for each.
 */

import type { Instant, Micros } from "./event.ts";
import { SECOND } from "./timing.ts";

const ROOM = BigInt(60 * SECOND);
/** Our own counters exceed what they follow, by steps. */
const STEPS = BigInt(SECOND);

export class CounterReserve {
  #upTo = 0n;
  #atUs: Micros = 0;

  /** Grows with the clock. */
  at(now: Instant): bigint {
    return this.#upTo === 0n ? 0n : this.#upTo + BigInt(Math.ceil(now.us - this.#atUs));
  }

  /** @returns whether more had to be reserved, and has to be saved */
  follow(counter: bigint, now: Instant): boolean {
    const isEnough = (upTo: bigint) => counter + STEPS <= upTo;
    if (isEnough(BigInt(Math.trunc(now.epochUs))) || isEnough(this.at(now))) return false;
    this.#upTo = counter + ROOM;
    this.#atUs = now.us;
    return true;
  }
}
