/**
 * ReplayWindow: recognises recorded advertisements for net.inet.carp.strict_replay. Where every host's
 * counters exceed all that it has heard, a counter far below the greatest is a replay, and so is one heard
 * before, from any source address: the digest does not cover that. The window slides, as in RFC 4303, 3.4.3:
 * hosts may advertise at one time.
 */

import { SECOND } from "../election/timing.ts";
import type { Heard } from "../model.ts";
import { HIGHEST_COUNTER } from "./own-counters.ts";

/** A new counter may be this far below the greatest one; counters are microseconds. */
const WINDOW = BigInt(10 * SECOND);
/** More counters than a host sends in that time at advbase 0. */
const REMEMBERED = 4096;

/** The window of one virtual host. */
export class ReplayWindow {
  #greatest = 0n;
  /** The counters within the window, in the order in which they were heard. */
  readonly #heard = new Map<bigint, { readonly first: Heard; hasTwin: boolean }>();
  /** Counters up to this one have been forgotten: none of them counts as new. */
  #floor = -1n;

  /**
   * Whether the advertisement is a replay. If not, its counter is remembered.
   *
   * @param sent the greatest counter of our own advertisements
   */
  isReplay(heard: Heard, sent: bigint): boolean {
    const { counter } = heard;
    const greatest = sent > this.#greatest ? sent : this.#greatest;
    if (counter <= this.#floor || counter + WINDOW <= greatest) return true;
    // A counter that is no time comes from another implementation: following it would exhaust the 64 bits.
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

/**
 * Whether it is the same advertisement over the other family: it goes out once over each, one right after the
 * other.
 */
function isTwin(heard: Heard, first: Heard): boolean {
  return (
    heard.family !== first.family &&
    heard.advbase === first.advbase &&
    heard.advskew === first.advskew &&
    heard.demote === first.demote &&
    heard.receivedUs - first.receivedUs < SECOND
  );
}
