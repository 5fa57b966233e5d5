/**
 * The other hosts that advertise one virtual host: when one begins to, and when it has ceased. Whoever is BACKUP
 * cannot be heard. Kept for a bounded number of them; nothing of the election depends on it.
 */

import type { Micros } from "./event.ts";
import { intervalUs, isBowOut, masterDownUs, SECOND } from "./timing.ts";

/** As it was heard last. */
export interface Peer {
  readonly source: string;
  readonly advbase: number;
  readonly advskew: number;
  readonly demote: number;
  readonly atUs: Micros;
}

export type PeerChange =
  | {
      readonly kind: "peer-appeared";
      readonly source: string;
      readonly advbase: number;
      readonly advskew: number;
      readonly demote: number;
    }
  | { readonly kind: "peer-gone"; readonly source: string; readonly reason: "left" | "silent" };

const MAX_PEERS = 16;

export class Peers {
  readonly #bySource = new Map<string, Peer>();

  heard(peer: Peer): PeerChange | undefined {
    const { source, advbase, advskew, demote } = peer;
    if (isBowOut(peer))
      return this.#bySource.delete(source) ? { kind: "peer-gone", source, reason: "left" } : undefined;
    const known = this.#bySource.has(source);
    if (!known && this.#bySource.size >= MAX_PEERS) return undefined;
    this.#bySource.set(source, { source, advbase, advskew, demote, atUs: peer.atUs });
    return known ? undefined : { kind: "peer-appeared", source, advbase, advskew, demote };
  }

  /** Forgets those who have said nothing for as long as a BACKUP of theirs would wait for them. */
  silent(nowUs: Micros): PeerChange[] {
    const gone = [...this.#bySource.values()].filter(
      ({ advbase, advskew, atUs }) =>
        nowUs - atUs > Math.max(masterDownUs(intervalUs(advbase, advskew)), SECOND),
    );
    for (const { source } of gone) this.#bySource.delete(source);
    return gone.map(({ source }) => ({ kind: "peer-gone", source, reason: "silent" }));
  }

  forget(): void {
    this.#bySource.clear();
  }

  view(): Peer[] {
    return [...this.#bySource.values()];
  }
}
