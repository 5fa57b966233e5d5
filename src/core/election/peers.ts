/**
 * Peers: the other hosts that advertise one virtual host, for views and events: when each appears and when it
 * is gone. A BACKUP does not advertise and is not among them. Their number is bounded; the election does not
 * depend on them.
 */

import { readCounter } from "../counters/counter-format.ts";
import type { Heard, Micros } from "../model.ts";
import { Arrivals, type ArrivalsView, isLate, missingBetween } from "./arrivals.ts";
import { intervalUs, isBowOut, masterDownUs, SECOND } from "./timing.ts";

/** A peer, by its last advertisement. */
export interface Peer {
  readonly source: string;
  readonly advbase: number;
  readonly advskew: number;
  readonly demote: number;
  readonly atUs: Micros;
  /** When it appeared. */
  readonly sinceUs?: Micros;
  /** The time of day that its last counter shows; only of a host whose counters are seen to advance with time. */
  readonly clockUs?: number;
  /** Its latest advertisements, where some have not arrived. */
  readonly arrivals?: ArrivalsView;
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

interface Known {
  readonly first: Heard;
  latest: Heard;
  /** Where some have not arrived. */
  arrivals: Arrivals | undefined;
}

const MAX_PEERS = 16;
const NOBODY: readonly PeerChange[] = [];

export class Peers {
  readonly #bySource = new Map<string, Known>();

  /** Notes an accepted advertisement. @returns the peer that appeared, or left with a bow-out, by it */
  heard(heard: Heard): PeerChange | undefined {
    const { source, advbase, advskew, demote } = heard;
    if (isBowOut(heard))
      return this.#bySource.delete(source) ? { kind: "peer-gone", source, reason: "left" } : undefined;
    const known = this.#bySource.get(source);
    if (known !== undefined) {
      this.#follow(known, heard);
      return undefined;
    }
    if (this.#bySource.size >= MAX_PEERS) return undefined;
    this.#bySource.set(source, { first: heard, latest: heard, arrivals: undefined });
    return { kind: "peer-appeared", source, advbase, advskew, demote };
  }

  #follow(known: Known, heard: Heard): void {
    const before = known.latest;
    // It may be told of twice: as one of several, and then as the last of them.
    if (heard.receivedUs === before.receivedUs && heard.counter === before.counter) return;
    known.latest = heard;
    if (known.arrivals === undefined && !isLate(before, heard)) return;
    const missing = missingBetween(before, heard, this.#familiesBeside(heard));
    if (missing > 0) known.arrivals ??= new Arrivals();
    if (known.arrivals?.note(missing) === false) known.arrivals = undefined;
  }

  /** In how many families peers advertise: a host has another source in each. */
  #familiesBeside({ family }: Heard): number {
    return this.#bySource.values().some(({ latest }) => latest.family !== family) ? 2 : 1;
  }

  /** Forgets the peers that have been silent for their own master-down time. @returns one change for each */
  silent(nowUs: Micros): readonly PeerChange[] {
    let gone = NOBODY;
    if (this.#bySource.size === 0) return gone;
    for (const [source, { latest }] of this.#bySource) {
      const downUs = masterDownUs(intervalUs(latest.advbase, latest.advskew));
      if (nowUs - latest.receivedUs <= Math.max(downUs, SECOND)) continue;
      this.#bySource.delete(source);
      gone = [...gone, { kind: "peer-gone", source, reason: "silent" }];
    }
    return gone;
  }

  /** Whether one with another source advertises over the same family. */
  hasBeside({ source, family }: Heard): boolean {
    for (const { latest } of this.#bySource.values())
      if (latest.family === family && latest.source !== source) return true;
    return false;
  }

  get hasAny(): boolean {
    return this.#bySource.size > 0;
  }

  forget(): void {
    this.#bySource.clear();
  }

  view(): Peer[] {
    return [...this.#bySource.values()].map((known) => {
      const { source, advbase, advskew, demote, receivedUs: atUs } = known.latest;
      const clockUs = clockOf(known);
      const arrivals = known.arrivals?.view;
      return {
        ...{ source, advbase, advskew, demote, atUs, sinceUs: known.first.receivedUs },
        ...(clockUs === undefined ? {} : { clockUs }),
        ...(arrivals && { arrivals }),
      };
    });
  }
}

function clockOf({ first, latest }: Known): number | undefined {
  const [from, to] = [first, latest].map(({ counter }) => readCounter(counter)?.us);
  const passed = latest.receivedUs - first.receivedUs;
  if (from === undefined || to === undefined || passed < TELLING_US) return undefined;
  const advanced = Number(to - from);
  return 2 * advanced > passed && advanced < 2 * passed ? Number(to) : undefined;
}
