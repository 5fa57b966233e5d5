/**
 * UnicastMasters: tells a master that advertises to this host alone, because it has a `carppeer` and this host none, from
 * one that concedes: a concession is one packet, and its sender advertises no more after it. For `doctor`; the election
 * takes each of them for a concession.
 */

import { intervalUs } from "./election/timing.ts";
import type { Accepted } from "./input.ts";
import type { Micros } from "./model.ts";

/** Concessions, an interval of the sender's apart, that are none. */
const TELLING = 3;
const MOST_SENDERS = 64;

interface Sender {
  readonly atUs: Micros;
  readonly times: number;
}

export class UnicastMasters {
  readonly #senders = new Map<string, Sender>();

  /** Notes what was taken for a concession. @returns whether its sender goes on advertising */
  heard({ carpInterface, node, heard }: Accepted): boolean {
    const { source, receivedUs: atUs, advbase, advskew } = heard;
    const key = [carpInterface.name, node.vhid, source].join(" ");
    const former = this.#senders.get(key);
    const goesOn = former !== undefined && atUs - former.atUs < 2 * intervalUs(advbase, advskew);
    const times = goesOn ? former.times + 1 : 1;
    this.#senders.delete(key);
    this.#senders.set(key, { atUs, times });
    const [oldest] = this.#senders.keys();
    if (this.#senders.size > MOST_SENDERS && oldest !== undefined) this.#senders.delete(oldest);
    return times >= TELLING;
  }
}
