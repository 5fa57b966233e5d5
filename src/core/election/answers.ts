/**
 * Answers to other masters that have to give way: an advertisement at once instead of at the next interval,
 * and an announcement, because each frame of the other master moved the shared MAC to its switch port. Any
 * host on the segment can repeat recorded advertisements, so answers are limited: eight an interval, one for
 * each counter, and one announcement for each counter and family.
 */

import type { Family, Micros } from "../model.ts";
import { RareMap } from "../rare.ts";

export const MAX_ANSWERS_AN_INTERVAL = 8;
/** Hosts in the same quarter second make one signed counter; after so many answers they differ. */
const MAX_ANSWERS_TO_COLLISIONS = 4;

/** The answer to another master's advertisement. */
export type Answer =
  | { readonly kind: "none" }
  /** The limit is reached: advertise at this time instead. */
  | { readonly kind: "later"; readonly atUs: Micros }
  /** Announce the addresses, after an advertisement if `advertise` is set. */
  | { readonly kind: "now"; readonly advertise: boolean };

export class Answers {
  /** Times of the answers within the last interval. */
  #answeredUs: Micros[] = [];
  #answeredCounter: bigint | undefined;
  /** When the last announcement about the counter answered last was made, by family. */
  readonly #announcedUs = new RareMap<Family, Micros>();
  #staleAnsweredUs: Micros = Number.NEGATIVE_INFINITY;
  #collisionsUs: Micros[] = [];
  /** When another master was last answered. */
  #contestedUs: Micros = Number.NEGATIVE_INFINITY;

  /**
   * Decides how to answer another master.
   *
   * @param intervalUs the interval of this host's own advertisements
   */
  to(
    other: { readonly counter: bigint; readonly family: Family },
    intervalUs: Micros,
    nowUs: Micros,
  ): Answer {
    const sinceUs = nowUs - intervalUs;
    const isKnown = other.counter === this.#answeredCounter;
    if (isKnown && (this.#announcedUs.get(other.family) ?? Number.NEGATIVE_INFINITY) > sinceUs)
      return { kind: "none" };
    this.#answeredUs = this.#answeredUs.filter((us) => us > sinceUs);
    const advertise = !isKnown || this.#answeredUs.length === 0;
    if (advertise) {
      if (this.#answeredUs.length >= MAX_ANSWERS_AN_INTERVAL)
        return { kind: "later", atUs: nowUs + intervalUs / MAX_ANSWERS_AN_INTERVAL };
      this.#answeredUs.push(nowUs);
      this.#answeredCounter = other.counter;
    }
    this.#announcedUs.set(other.family, nowUs);
    return { kind: "now", advertise };
  }

  /**
   * Whether an advertisement with an old counter may be answered now: once an interval, so that a host whose
   * counters are behind can get ahead of ours.
   */
  allowStale(intervalUs: Micros, nowUs: Micros): boolean {
    if (nowUs - this.#staleAnsweredUs < intervalUs) return false;
    this.#staleAnsweredUs = nowUs;
    return true;
  }

  /** Whether an advertisement with our own latest signed counter may be answered now: several answers may be needed. */
  allowCollision(intervalUs: Micros, nowUs: Micros): boolean {
    this.#collisionsUs = this.#collisionsUs.filter((us) => nowUs - us < intervalUs);
    if (this.#collisionsUs.length >= MAX_ANSWERS_TO_COLLISIONS) return false;
    this.#collisionsUs.push(nowUs);
    return true;
  }

  /**
   * Notes that another master was answered. @returns whether that is news: two masters that hear each other
   * again were apart for a master-down time
   */
  contested(masterDownUs: Micros, nowUs: Micros): boolean {
    const isNews = nowUs - this.#contestedUs > masterDownUs;
    this.#contestedUs = nowUs;
    return isNews;
  }

  /** Restores the full number of answers, at a takeover. */
  renew(): void {
    this.#answeredUs = [];
  }
}
