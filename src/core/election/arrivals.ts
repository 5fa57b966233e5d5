/**
 * Arrivals: how many of a peer's latest advertisements have arrived here and how many have not, for `doctor`. The time
 * between two tells how many are missing: a sender keeps its interval. One that pauses does not come back to it, and the
 * counters of one that counts by one tell the rest. Kept of a peer of which one is missing, until many have followed.
 */

import { readCounter } from "../counters/counter-format.ts";
import type { Heard, Micros } from "../model.ts";
import { intervalUs, SECOND } from "./timing.ts";

/** The latest advertisements of a peer that were sent, of which some have not arrived. */
export interface ArrivalsView {
  readonly sent: number;
  readonly missing: number;
  /** How often one or several in a row were missing. */
  readonly gaps: number;
}

/** In intervals: an advertisement that arrives so much late is not taken for a later one. */
const LATE = 0.2;
/** After a longer gap the sender, or this host, has been away. */
const MOST_MISSING = 64;
/** FreeBSD, NetBSD and ucarp count by one, once they have heard another host; ours by 256 or more. */
const COUNTS_BELOW = 256;
/** Other implementations' timers are too coarse for shorter intervals. */
const LEAST_OTHER_US: Micros = SECOND / 8;
/** So many are told of, and up to twice as many. */
const TOLD = 32;

/** Whether others may have been sent between two that arrived one after the other. */
export function isLate(before: Heard, heard: Heard): boolean {
  return heard.receivedUs - before.receivedUs > 1.5 * intervalUs(before.advbase, before.advskew);
}

/**
 * How many others have been sent between two that arrived one after the other; 0 where that cannot be told.
 *
 * @param families in which the peer advertises: one that counts by one does so for each of them
 */
export function missingBetween(before: Heard, heard: Heard, families: number): number {
  const { advbase, advskew } = heard;
  if (advbase !== before.advbase || advskew !== before.advskew || !isLate(before, heard)) return 0;
  const everyUs = intervalUs(advbase, advskew);
  const intervals = (heard.receivedUs - before.receivedUs) / everyUs;
  const missing = Math.round(intervals) - 1;
  if (missing > MOST_MISSING) return 0;
  const counted = Number(heard.counter - before.counter);
  if (counted > 0 && counted < COUNTS_BELOW) return Math.min(missing, Math.ceil(counted / families) - 1);
  const isOnTime = Math.abs(intervals - missing - 1) <= LATE;
  const isPunctual = everyUs >= LEAST_OTHER_US || readCounter(heard.counter) !== undefined;
  return isOnTime && isPunctual ? missing : 0;
}

interface Tally {
  sent: number;
  missing: number;
  gaps: number;
}

export class Arrivals {
  #former: Tally = none();
  #latest: Tally = none();

  /** An advertisement arrived, before which so many are missing. @returns false: none is missing any more */
  note(missing: number): boolean {
    const latest = this.#latest;
    latest.sent += 1 + missing;
    latest.missing += missing;
    if (missing > 0) latest.gaps += 1;
    if (latest.sent < TOLD) return true;
    this.#former = latest;
    this.#latest = none();
    return latest.gaps > 0;
  }

  get view(): ArrivalsView {
    const [a, b] = [this.#former, this.#latest];
    return { sent: a.sent + b.sent, missing: a.missing + b.missing, gaps: a.gaps + b.gaps };
  }
}

function none(): Tally {
  return { sent: 0, missing: 0, gaps: 0 };
}
