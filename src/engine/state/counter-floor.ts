/**
 * Advertisement counters over a restart: greater than the last one sent, and no further ahead of the system
 * clock than necessary. Pure: computes the floor for the next engine from the saved counters.
 */

import type { Instant, Micros } from "../../core/model.ts";

/**
 * The counters that an engine saves. They grow no faster than CLOCK_BOOTTIME from there, or are saved again.
 */
export interface SavedCounters {
  /** The greatest counter that was or might have been sent by then. */
  readonly upTo: bigint;
  /** The time of the save, on CLOCK_BOOTTIME, which cannot be set. */
  readonly atUs: Micros;
}

/**
 * Counters may have gone this far since they were saved, after a reboot, when CLOCK_BOOTTIME does not tell.
 * They are saved more often than that.
 */
const COUNTER_RESERVE_US = 3_600_000_000n;
export const SAVE_EVERY_MS = 1_200_000;

/** Computes the counters to save now. @param floor the greatest counter that was or may be sent */
export function countersNow(floor: bigint, now: Instant): SavedCounters {
  const clock = BigInt(Math.trunc(now.epochUs));
  return { upTo: floor > clock ? floor : clock, atUs: now.us };
}

/**
 * Computes the greatest counter that an earlier engine may have sent. An engine that stopped in order left no
 * saved counters: then the system clock is the floor, and stays so when it is set back later.
 */
export function counterFloor(saved: SavedCounters | undefined, now: Instant): bigint {
  if (saved === undefined) return countersNow(0n, now).upTo;
  const wasRebooted = now.us < saved.atUs;
  const since = wasRebooted ? COUNTER_RESERVE_US : BigInt(Math.ceil(now.us - saved.atUs));
  return countersNow(saved.upTo + since, now).upTo;
}

/** Whether counters are ahead of the system clock, so that they must be saved for the next engine. */
export function areAhead(floor: bigint, now: Instant): boolean {
  return floor > BigInt(Math.trunc(now.epochUs));
}
