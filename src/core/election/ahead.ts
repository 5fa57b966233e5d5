/**
 * Ahead: the next advertisements of a MASTER that nothing happens to. They are made together, and leave at their times
 * without the core, which takes each for sent when its time has come unless it is told otherwise. Whatever else happens to
 * the virtual host calls back those that have not left: they may say what no longer holds.
 */

import type { HeaderFields } from "../counters/counter-format.ts";
import type { CounterStyle } from "../counters/own-counters.ts";
import type { Family, Instant, Micros } from "../model.ts";
import { MILLISECOND, nextAdvertisementUs, SECOND } from "./timing.ts";

/** So far ahead, and so many at most: an engine that hangs must not go on for long. */
const FOR_US: Micros = 10 * SECOND;
const MOST = 32;
const LEAST = 2;
/** The next ones are made so long before the last one leaves, or half an interval before. */
const SPARE_US: Micros = 60 * MILLISECOND;

/** Advertisements that say the same, and are made together. */
export interface Batch {
  readonly fields: HeaderFields;
  readonly style: CounterStyle;
  readonly families: readonly Family[];
  /** Each renews the lease for so long from its time. */
  readonly leaseUs: Micros;
  /** From CLOCK_BOOTTIME to the time of day that their counters are made for. */
  readonly epochOffsetUs: Micros;
  /** When they leave, ascending. */
  readonly timesUs: readonly Micros[];
}

export class Ahead {
  /** What has not left, as far as is known. */
  #batches: readonly Batch[] = NONE;
  /** Something else happened last. */
  #disturbedUs: Micros = Number.NEGATIVE_INFINITY;

  /** When the next one leaves; undefined: none waits. */
  get nextUs(): Micros | undefined {
    return this.#batches[0]?.timesUs[0];
  }

  /** Whether the time of one has come. */
  isDue(nowUs: Micros): boolean {
    const { nextUs } = this;
    return nextUs !== undefined && nextUs <= nowUs;
  }

  add(batch: Batch): void {
    this.#batches = [...this.#batches, batch];
  }

  /** Tells each whose time has come. */
  take(untilUs: Micros, left: (batch: Batch, at: Instant) => void): void {
    if (!this.isDue(untilUs)) return;
    const due = this.#batches;
    this.#batches = due.flatMap((batch) => after(batch, untilUs));
    for (const batch of due)
      for (const us of batch.timesUs)
        if (us <= untilUs) left(batch, { us, epochUs: us + batch.epochOffsetUs });
  }

  /** All that wait, as `take` will tell them. */
  waiting(): Instant[] {
    return this.#batches.flatMap(({ timesUs, epochOffsetUs }) =>
      timesUs.map((us) => ({ us, epochUs: us + epochOffsetUs })),
    );
  }

  /** Something else happens: none leaves any more. @returns whether any waited */
  disturb(nowUs: Micros): boolean {
    this.#disturbedUs = nowUs;
    if (this.#batches.length === 0) return false;
    this.#batches = NONE;
    return true;
  }

  /** Whether it pays to make more: nothing else has happened for some intervals, and several are due soon. */
  pays(nowUs: Micros, intervalUs: Micros): boolean {
    return nowUs - this.#disturbedUs >= 2 * intervalUs && LEAST * intervalUs <= FOR_US;
  }
}

const NONE: readonly Batch[] = [];

function after(batch: Batch, us: Micros): Batch[] {
  const timesUs = batch.timesUs.filter((each) => each > us);
  return timesUs.length === 0 ? [] : [{ ...batch, timesUs }];
}

/** The times of the next advertisements that are made ahead. @param fromUs of the first */
export function timesAhead(fromUs: Micros, intervalUs: Micros, nowUs: Micros): Micros[] {
  const times: Micros[] = [];
  for (let us = fromUs; us - nowUs <= FOR_US && times.length < MOST; us = nextAdvertisementUs(us, intervalUs))
    times.push(us);
  return times;
}

/** When the ones behind those are to be made. @param lastUs when the last of them leaves */
export function moreAheadUs(lastUs: Micros, intervalUs: Micros): Micros {
  return lastUs - Math.max(SPARE_US, intervalUs / 2);
}
