/**
 * How long things take in CARP: the advertisement interval, the master-down time, the lease. Arithmetic on
 * advbase and advskew only; what the results are used for is decided in virtual-host.ts.
 */

import type { Micros } from "./event.ts";

export const SECOND: Micros = 1_000_000;
export const MILLISECOND: Micros = 1_000;

/** advbase and advskew that no host can be configured with: the sender leaves. */
export const BOW_OUT = { advbase: 255, advskew: 255 } as const;

export function isBowOut(said: { readonly advbase: number; readonly advskew: number }): boolean {
  return said.advbase === BOW_OUT.advbase && said.advskew === BOW_OUT.advskew;
}

/** Time between two advertisements: advbase seconds and advskew 256ths; never 0. */
export function intervalUs(advbase: number, advskew: number): Micros {
  const units = advbase * 256 + advskew;
  return (Math.max(units, 1) * SECOND) / 256;
}

/** How long a BACKUP with this interval waits for an advertisement before it takes over. */
export function masterDownUs(ownIntervalUs: Micros): Micros {
  return 3 * ownIntervalUs;
}

/**
 * How long after an advertisement its sender may still answer: until the earliest moment at which some host that
 * heard it is entitled to take over. Hosts that are BACKUP do not say when that is; the quickest possible peer has
 * the same advbase and advskew 0.
 *
 * @param quickestPeerUs shortest interval a peer of this virtual host has been heard to advertise, if any
 */
export function leaseUs(advbase: number, ownIntervalUs: Micros, quickestPeerUs: Micros | undefined): Micros {
  const least = 1.5 * ownIntervalUs;
  const quickest = advbase > 0 ? 3 * advbase * SECOND : (3 * SECOND) / 256;
  const peers = quickestPeerUs === undefined ? quickest : Math.min(quickest, 3 * quickestPeerUs);
  return Math.max(least, peers);
}
