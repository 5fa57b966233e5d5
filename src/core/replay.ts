/**
 * net.inet.carp.strict_replay: where every host's counters exceed all that it has heard, one that is far below is that
 * of a recorded advertisement, and so is one for the second time, whatever address it comes from: the digest does not
 * cover that. A sliding window, as IPsec has it (RFC 4303, 3.4.3): hosts may say something at the same time.
 */

import { HIGHEST_COUNTER } from "./own-counters.ts";
import { SECOND } from "./timing.ts";
import type { Heard } from "./virtual-host.ts";

/** How far below the greatest a new one may be; counters are microseconds. */
const WINDOW = BigInt(10 * SECOND);
/** More than a host sends in that time at advbase 0. */
const REMEMBERED = 4096;

/** Of one virtual host. */
export class ReplayWindow {
  #greatest = 0n;
  /** In the order in which they were heard. */
  readonly #heard = new Map<bigint, { readonly first: Heard; hasTwin: boolean }>();
  /** None that is no greater is new: those have been forgotten. */
  #floor = -1n;

  /**
   * Remembers it if it is none.
   *
   * @param sent the greatest counter of our own advertisements
   */
  isReplay(heard: Heard, sent: bigint): boolean {
    const { counter } = heard;
    const greatest = sent > this.#greatest ? sent : this.#greatest;
    if (counter <= this.#floor || counter + WINDOW <= greatest) return true;
    // A host of another implementation, and nothing to follow.
    if (counter >= HIGHEST_COUNTER) return true;
    const known = this.#heard.get(counter);
    if (known !== undefined) {
      if (known.hasTwin || !isTwin(heard, known.first)) return true;
      known.hasTwin = true;
      return false;
    }
    this.#heard.set(counter, { first: heard, hasTwin: false });
    if (counter > this.#greatest) this.#greatest = counter;
    this.#forget();
    return false;
  }

  #forget(): void {
    for (const oldest of this.#heard.keys()) {
      const isBelow = oldest + WINDOW <= this.#greatest;
      if (!isBelow && this.#heard.size <= REMEMBERED) return;
      this.#heard.delete(oldest);
      if (!isBelow && oldest > this.#floor) this.#floor = oldest;
    }
  }
}

/** An advertisement goes out once over each family, one right after the other. */
function isTwin(heard: Heard, first: Heard): boolean {
  return (
    heard.family !== first.family &&
    heard.advbase === first.advbase &&
    heard.advskew === first.advskew &&
    heard.demote === first.demote &&
    heard.receivedUs - first.receivedUs < SECOND
  );
}
