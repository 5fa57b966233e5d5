/**
 * Peers: the other hosts that advertise one virtual host, for views and events: when each appears and when it
 * is gone. A BACKUP does not advertise and is not among them. Their number is bounded; the election does not
 * depend on them.
 */

import type { Heard, Micros } from "../model.ts";
import { intervalUs, isBowOut, masterDownUs, SECOND } from "./timing.ts";

/** A peer, by its last advertisement. */
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
const NOBODY: readonly PeerChange[] = [];

export class Peers {
  readonly #bySource = new Map<string, Peer>();

  /** Notes an accepted advertisement. @returns the peer that appeared, or left with a bow-out, by it */
  heard(heard: Heard): PeerChange | undefined {
    const { source, advbase, advskew, demote, receivedUs: atUs } = heard;
    if (isBowOut(heard))
      return this.#bySource.delete(source) ? { kind: "peer-gone", source, reason: "left" } : undefined;
    const known = this.#bySource.has(source);
    if (!known && this.#bySource.size >= MAX_PEERS) return undefined;
    this.#bySource.set(source, { source, advbase, advskew, demote, atUs });
    return known ? undefined : { kind: "peer-appeared", source, advbase, advskew, demote };
  }

  /** Forgets the peers that have been silent for their own master-down time. @returns one change for each */
  silent(nowUs: Micros): readonly PeerChange[] {
    let gone = NOBODY;
    for (const { source, advbase, advskew, atUs } of this.#bySource.values()) {
      if (nowUs - atUs <= Math.max(masterDownUs(intervalUs(advbase, advskew)), SECOND)) continue;
      this.#bySource.delete(source);
      gone = [...gone, { kind: "peer-gone", source, reason: "silent" }];
    }
    return gone;
  }

  forget(): void {
    this.#bySource.clear();
  }

  view(): Peer[] {
    return [...this.#bySource.values()];
  }
}
