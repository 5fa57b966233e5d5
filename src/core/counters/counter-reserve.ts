/**
 * CounterReserve: the greatest advertisement counter that may be sent before the state has to be saved again.
 * Counters jump when the system clock is set and when they follow a peer's; the engine after a killed one
 * must still send greater ones. The reserve grows with CLOCK_BOOTTIME, which cannot be set.
 */

import { MILLISECOND, SECOND } from "../election/timing.ts";
import type { Instant, Micros } from "../model.ts";

/** Room for the low bits of a counter, which are a tag instead of the time. */
const MARGIN = BigInt(MILLISECOND);
/**
 * Extra room for counters that follow a peer whose clock is faster, so that not every advertisement causes a
 * save.
 */
const ROOM = BigInt(SECOND);

export class CounterReserve {
  #upTo = 0n;
  #atUs: Micros = 0;

  /** Returns the greatest counter that is reserved at this time; 0n before the first one is taken. */
  at(now: Instant): bigint {
    return this.#upTo === 0n ? 0n : this.#upTo + BigInt(Math.ceil(now.us - this.#atUs));
  }

  /** Reserves this counter. @returns true when the reserve grew, so that the state has to be saved */
  take(counter: bigint, now: Instant): boolean {
    // As `counter <= this.at(now)`, and in a fraction of the time: most advertisements come here.
    if (this.#upTo !== 0n && Number(counter - this.#upTo) <= Math.ceil(now.us - this.#atUs)) return false;
    const clock = BigInt(Math.trunc(now.epochUs));
    this.#upTo = counter + MARGIN + (counter > clock + MARGIN ? ROOM : 0n);
    this.#atUs = now.us;
    return true;
  }
}
