/**
 * Cause: the advertisement or the timer that made a virtual host change its state, as the history tells it. A state
 * that a command, a carpdev or an obstacle changed has none: the reason says it.
 */

import type { Family, Heard, Instant } from "../model.ts";

/** An advertisement, as it was heard. */
interface AdvertisementCause {
  readonly kind: "advertisement";
  readonly source: string;
  readonly family: Family;
  readonly advbase: number;
  readonly advskew: number;
  readonly demote: number;
}

/** A timer. `lease`: its end was found when something else happened. */
interface TimerCause {
  readonly kind: "timer";
  readonly timer: "master-down" | "leave" | "lease";
  /** For `master-down`: the source of the last accepted advertisement, and how long ago it was; absent: none. */
  readonly heard?: { readonly source: string; readonly seconds: number } | undefined;
}

export type Cause = AdvertisementCause | TimerCause;

export function advertisementCause({ source, family, advbase, advskew, demote }: Heard): Cause {
  return { kind: "advertisement", source, family, advbase, advskew, demote };
}

/** @param last the last accepted advertisement */
export function silenceCause(last: Heard | undefined, now: Instant): Cause {
  if (last === undefined) return { kind: "timer", timer: "master-down" };
  const seconds = Math.round((now.us - last.receivedUs) / 1000) / 1000;
  return { kind: "timer", timer: "master-down", heard: { source: last.source, seconds } };
}
