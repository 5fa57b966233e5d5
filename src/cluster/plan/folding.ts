/**
 * Folding: has advertisements wait that only repeat one which the core has accepted and said may wait: what the engine's
 * receiving thread does, for simulated hosts.
 */

import type { Repeated } from "../../core/event.ts";
import type { Family, Micros } from "../../core/model.ts";
import { ADVERTISEMENT_BYTES, counterAt } from "../../protocol/advertisement.ts";

/** More wait for nobody. */
const MOST_COPIES = 64;
/** An Ethernet header, IPv4's, and an advertisement. */
const LEAST_BYTES = 14 + 20 + ADVERTISEMENT_BYTES;
/** What may differ is at the end of a frame: checksum, counter and digest. And the id and the checksum of IPv4's header. */
const OTHERWISE_BYTES = 30;
const IPV4_OTHERWISE: readonly number[] = [18, 19, 24, 25];
const NOTHING: readonly Repeated[] = [];

/** A frame that arrives. */
export interface Arrival {
  readonly receivedUs: Micros;
}

interface Expected<A extends Arrival> {
  readonly carpdev: string;
  readonly vhid: number;
  readonly family: Family;
  readonly frame: Uint8Array;
  /** Of the last one. */
  counter: bigint;
  /** The greatest counter that was heard over the other family since: a host that has heard it may find a smaller one too old. */
  least: bigint;
  copies: (A & { readonly counter: bigint })[];
}

/** @typeParam A what is kept of each frame that waits, besides its counter */
export class Folding<A extends Arrival = Arrival> {
  /** By carpdev, then by vhid and family. */
  readonly #expected = new Map<string, (Expected<A> | undefined)[]>();
  /** Those of which copies wait, in the order of their last ones. */
  readonly #waiting = new Set<Expected<A>>();
  readonly #isIntact: (arrival: A) => boolean;

  /** @param isIntact whether the checksums and the digest of a frame are right; absent: all are */
  constructor(isIntact: (arrival: A) => boolean = () => true) {
    this.#isIntact = isIntact;
  }

  /** Frames that repeat this one may wait. */
  fold(carpdev: string, frame: Uint8Array): void {
    const on = this.#expected.get(carpdev) ?? [];
    const place = placeOf(frame);
    const [vhid, family] = [place >> 1, place & 1 ? 6 : 4] as const;
    on[place] = { carpdev, vhid, family, frame, counter: counterOf(frame), least: 0n, copies: [] };
    this.#expected.set(carpdev, on);
  }

  /**
   * Takes a frame that arrives.
   *
   * @returns undefined: it waits; otherwise what has waited and has to be handled before it
   */
  take(carpdev: string, frame: Uint8Array, arrival: A): readonly Repeated[] | undefined {
    const on = this.#expected.get(carpdev);
    if (on === undefined || frame.length < LEAST_BYTES) return NOTHING;
    const place = placeOf(frame);
    const expected = on[place];
    const otherFamily = on[place ^ 1];
    if ((expected ?? otherFamily) === undefined || !this.#isIntact(arrival)) return NOTHING;
    const counter = counterOf(frame);
    if (otherFamily !== undefined && counter > otherFamily.least) otherFamily.least = counter;
    if (expected !== undefined) {
      const isNewer = counter > expected.counter && counter >= expected.least;
      const isNext = isNewer && expected.copies.length < MOST_COPIES;
      if (isNext && repeats(frame, expected.frame)) {
        expected.counter = counter;
        expected.copies.push({ ...arrival, counter });
        this.#waiting.delete(expected);
        this.#waiting.add(expected);
        return undefined;
      }
      on[place] = undefined;
    }
    return this.#handOver((each) => each === expected || each === otherFamily);
  }

  /** When the last one arrived that waits for this virtual host; undefined: none does. */
  latest(carpdev: string, vhid: number): Micros | undefined {
    const on = this.#expected.get(carpdev);
    let latestUs: Micros | undefined;
    for (let place = 2 * vhid; place <= 2 * vhid + 1; place++) {
      const receivedUs = on?.[place]?.copies.at(-1)?.receivedUs;
      if (receivedUs !== undefined && receivedUs >= (latestUs ?? 0)) latestUs = receivedUs;
    }
    return latestUs;
  }

  /** Ends the wait of all that wait. */
  flush(): readonly Repeated[] {
    return this.#handOver(() => true);
  }

  /** No frame may wait any more. @returns what has waited */
  end(): readonly Repeated[] {
    const all = this.flush();
    this.#expected.clear();
    return all;
  }

  /** Nothing arrives on the carpdev any more, and what has waited is lost. */
  forget(carpdev: string): void {
    this.#expected.delete(carpdev);
    for (const each of this.#waiting) if (each.carpdev === carpdev) this.#waiting.delete(each);
  }

  #handOver(isDue: (expected: Expected<A>) => boolean): readonly Repeated[] {
    if (this.#waiting.size === 0) return NOTHING;
    const all: Repeated[] = [];
    for (const expected of this.#waiting) {
      if (!isDue(expected)) continue;
      const { carpdev, vhid, family, copies } = expected;
      all.push({ carpdev, vhid, family, copies });
      expected.copies = [];
      this.#waiting.delete(expected);
    }
    return all;
  }
}

function repeats(frame: Uint8Array, expected: Uint8Array): boolean {
  if (frame.length !== expected.length) return false;
  // The fields of the advertisement differ first.
  for (let at = frame.length - OTHERWISE_BYTES - 1; at >= 0; at--)
    if (frame[at] !== expected[at] && (isIpv6(frame) || !IPV4_OTHERWISE.includes(at))) return false;
  return true;
}

/** Of a virtual host in a family. */
function placeOf(frame: Uint8Array): number {
  const vhid = frame[frame.length - ADVERTISEMENT_BYTES + 1] as number;
  return 2 * vhid + (isIpv6(frame) ? 1 : 0);
}

/** IPv6's EtherType is 86dd. */
function isIpv6(frame: Uint8Array): boolean {
  return frame[12] === 0x86;
}

function counterOf(frame: Uint8Array): bigint {
  return counterAt(frame, frame.length - ADVERTISEMENT_BYTES);
}
