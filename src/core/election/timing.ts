/**
 * The times of CARP: the advertisement interval, the master-down time and the length of a lease. Arithmetic
 * on advbase and advskew only; virtual-host.ts uses the results.
 */

import type { Micros } from "../model.ts";

export const SECOND: Micros = 1_000_000;
export const MILLISECOND: Micros = 1_000;

/** The advbase and advskew of a bow-out, which no host can be configured with: the sender leaves. */
export const BOW_OUT = { advbase: 255, advskew: 255 } as const;

/** A host that has bowed out goes on answering for so long, unless a successor is heard. */
export const LINGER_US: Micros = 250_000;

/** Whether an advertisement is a bow-out. */
export function isBowOut(said: { readonly advbase: number; readonly advskew: number }): boolean {
  return said.advbase === BOW_OUT.advbase && said.advskew === BOW_OUT.advskew;
}

/** The time between two advertisements: advbase seconds and advskew 256ths of one; never 0. */
export function intervalUs(advbase: number, advskew: number): Micros {
  const units = advbase * 256 + advskew;
  return (Math.max(units, 1) * SECOND) / 256;
}

/**
 * When the advertisement after one of this time is due: an interval later, or up to a sixteenth of it earlier where that
 * leads towards the beat, which is each multiple of the interval on the host's clock. Within sixteen intervals the virtual
 * hosts of a host advertise together: it wakes up once for all, and when it dies they are all taken over together.
 */
export function nextAdvertisementUs(us: Micros, intervalUs: Micros): Micros {
  const latestUs = us + intervalUs;
  const beatUs = Math.floor(latestUs / intervalUs) * intervalUs;
  return Math.max(beatUs, latestUs - intervalUs / 16);
}

/**
 * The master-down time: how long a BACKUP with this interval waits for an advertisement before it takes over.
 */
export function masterDownUs(ownIntervalUs: Micros): Micros {
  return 3 * ownIntervalUs;
}

/**
 * The length of a lease: the time after an advertisement until the earliest moment at which a host that heard
 * it may take over. A BACKUP does not advertise, so its settings are unknown: the quickest possible one has
 * the same advbase and advskew 0.
 *
 * @param quickestPeerUs shortest interval that a peer of this virtual host has advertised lately, if any
 */
export function leaseUs(advbase: number, ownIntervalUs: Micros, quickestPeerUs: Micros | undefined): Micros {
  const least = 1.5 * ownIntervalUs;
  const quickest = advbase > 0 ? 3 * advbase * SECOND : (3 * SECOND) / 256;
  const peers = quickestPeerUs === undefined ? quickest : Math.min(quickest, 3 * quickestPeerUs);
  return Math.max(least, peers);
}

/**
 * The length of the lease that an advertisement renews, when settings changed while it was under way.
 *
 * @param presentUs the length by the settings at the time when it left
 * @param promisedUs the length by the settings in the advertisement
 */
export function renewedLeaseUs(presentUs: Micros, promisedUs: Micros): Micros {
  return Math.min(presentUs, promisedUs);
}
