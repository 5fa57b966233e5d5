/**
 * Peers: the other hosts that advertise one virtual host, for views and events: when each appears and when it
 * is gone. A BACKUP does not advertise and is not among them. Their number is bounded; the election does not
 * depend on them.
 */

import { readCounter } from "../counters/counter-format.ts";
import type { Heard, Micros } from "../model.ts";
import { intervalUs, isBowOut, masterDownUs, SECOND } from "./timing.ts";

/** A peer, by its last advertisement. */
export interface Peer {
  readonly source: string;
  readonly advbase: number;
  readonly advskew: number;
  readonly demote: number;
  readonly atUs: Micros;
  /** The time of day that its last counter shows; only of a host whose counters are seen to advance with time. */
  readonly clockUs?: number;
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

/** After so long counters have advanced with time, or have not: other implementations' stand still or count by one. */
const TELLING_US: Micros = 3 * SECOND;

/** The first counter heard of a peer, as the time of day that it shows. */
interface FirstCounter {
  readonly us: number;
  readonly atUs: Micros;
}

const MAX_PEERS = 16;
const NOBODY: readonly PeerChange[] = [];

export class Peers {
  readonly #bySource = new Map<string, Peer>();
  readonly #firstCounters = new Map<string, FirstCounter>();

  /** Notes an accepted advertisement. @returns the peer that appeared, or left with a bow-out, by it */
  heard(heard: Heard): PeerChange | undefined {
    const { source, advbase, advskew, demote, receivedUs: atUs } = heard;
    if (isBowOut(heard))
      return this.#bySource.delete(source) ? { kind: "peer-gone", source, reason: "left" } : undefined;
    const known = this.#bySource.has(source);
    if (!known && this.#bySource.size >= MAX_PEERS) return undefined;
    const clockUs = this.#clockOf(heard);
    this.#bySource.set(source, {
      ...{ source, advbase, advskew, demote, atUs },
      ...(clockUs === undefined ? {} : { clockUs }),
    });
    return known ? undefined : { kind: "peer-appeared", source, advbase, advskew, demote };
  }

  /** Forgets the peers that have been silent for their own master-down time. @returns one change for each */
  silent(nowUs: Micros): readonly PeerChange[] {
    let gone = NOBODY;
    for (const source of this.#firstCounters.keys())
      if (!this.#bySource.has(source)) this.#firstCounters.delete(source);
    for (const { source, advbase, advskew, atUs } of this.#bySource.values()) {
      if (nowUs - atUs <= Math.max(masterDownUs(intervalUs(advbase, advskew)), SECOND)) continue;
      this.#bySource.delete(source);
      gone = [...gone, { kind: "peer-gone", source, reason: "silent" }];
    }
    return gone;
  }

  forget(): void {
    this.#bySource.clear();
    this.#firstCounters.clear();
  }

  view(): Peer[] {
    return [...this.#bySource.values()];
  }

  #clockOf({ source, counter, receivedUs: atUs }: Heard): number | undefined {
    const reading = readCounter(counter);
    if (reading === undefined) return undefined;
    const us = Number(reading.us);
    const first = this.#firstCounters.get(source);
    if (first === undefined) this.#firstCounters.set(source, { us, atUs });
    else if (atUs - first.atUs >= TELLING_US) {
      const advanced = us - first.us;
      const passed = atUs - first.atUs;
      if (2 * advanced > passed && advanced < 2 * passed) return us;
    }
    return undefined;
  }
}
