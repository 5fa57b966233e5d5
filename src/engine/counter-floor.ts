/**
 * How advertisement counters go on over a restart: always greater than the last one sent, and no further ahead of the
 * clock than they have to be. Pure: what is saved goes in, and the floor for the next engine comes out.
 */

import type { Instant, Micros } from "../core/event.ts";

/** What an engine saves of its counters. They grow no faster than the clock from there, or are saved again. */
export interface SavedCounters {
  /** No greater one had been sent by then, nor could have been. */
  readonly upTo: bigint;
  /** On the clock that counts since boot, and that nobody sets. */
  readonly atUs: Micros;
}

/** @param floor none that was sent, or may be sent now, is greater */
export function countersNow(floor: bigint, now: Instant): SavedCounters {
  const clock = BigInt(Math.trunc(now.epochUs));
  return { upTo: floor > clock ? floor : clock, atUs: now.us };
}

/**
 * What no earlier engine can have exceeded. One that ended in order has left nothing behind: the clock is all there
 * is, but it is not forgotten when somebody sets it back later.
 *
 * @param ceiling holds for any time until it would have been saved again; for when this host was booted since
 */
export function counterFloor(
  saved: { readonly counters?: SavedCounters | undefined; readonly counterCeiling: bigint } | undefined,
  now: Instant,
): bigint {
  if (saved === undefined) return countersNow(0n, now).upTo;
  const { counters, counterCeiling } = saved;
  const floor =
    counters === undefined || now.us < counters.atUs
      ? counterCeiling
      : counters.upTo + BigInt(Math.ceil(now.us - counters.atUs));
  return countersNow(floor, now).upTo;
}

/** Whether the next engine would not find out by the clock alone. */
export function areAhead(floor: bigint, now: Instant): boolean {
  return floor > BigInt(Math.trunc(now.epochUs));
}
