/**
 * Folding: has advertisements wait that only repeat one which the core has accepted and said may wait, as the engine's
 * receiving thread does. Digests are not looked at: the hosts of a plan sign as they did before.
 */

import type { Repeated } from "../../core/event.ts";
import type { Micros } from "../../core/model.ts";
import { ADVERTISEMENT_BYTES } from "../../protocol/advertisement.ts";

/** More wait for nobody. */
const MOST_COPIES = 16;
/** What may differ is at the end of a frame: checksum, counter and digest. */
const OTHERWISE_BYTES = 30;
const COUNTER_AT = 8;

interface Expected {
  readonly carpdev: string;
  readonly frame: Uint8Array;
  /** Of the last one. */
  counter: bigint;
  copies: Repeated["copies"][number][];
}

export class Folding {
  /** By carpdev, then by vhid and family. */
  readonly #expected = new Map<string, (Expected | undefined)[]>();
  /** Those of which copies wait, in the order of their last ones. */
  readonly #waiting = new Set<Expected>();

  /** Frames that repeat this one may wait. */
  fold(carpdev: string, frame: Uint8Array): void {
    const on = this.#expected.get(carpdev) ?? [];
    on[placeOf(frame)] = { carpdev, frame, counter: counterOf(frame), copies: [] };
    this.#expected.set(carpdev, on);
  }

  /** @returns whether the frame waits; if not, what does wait has to be handled before it */
  takes(carpdev: string, frame: Uint8Array, receivedUs: Micros): boolean {
    const expected = this.#expected.get(carpdev)?.[placeOf(frame)];
    if (expected === undefined || expected.copies.length >= MOST_COPIES) return false;
    if (!repeats(frame, expected.frame)) return false;
    const counter = counterOf(frame);
    if (counter <= expected.counter) return false;
    expected.counter = counter;
    expected.copies.push({ counter, receivedUs });
    this.#waiting.delete(expected);
    this.#waiting.add(expected);
    return true;
  }

  /** Ends the wait of all that wait. */
  flush(): Repeated[] {
    const all: Repeated[] = [];
    for (const expected of this.#waiting) {
      const { carpdev, frame, copies } = expected;
      const place = placeOf(frame);
      all.push({ carpdev, vhid: place >> 1, family: place & 1 ? 6 : 4, copies });
      expected.copies = [];
    }
    this.#waiting.clear();
    return all;
  }

  /** No frame may wait any more. */
  end(): void {
    this.#expected.clear();
    this.#waiting.clear();
  }
}

function repeats(frame: Uint8Array, expected: Uint8Array): boolean {
  if (frame.length !== expected.length) return false;
  // The fields of the advertisement differ first.
  for (let at = frame.length - OTHERWISE_BYTES - 1; at >= 0; at--)
    if (frame[at] !== expected[at]) return false;
  return true;
}

/** Of a virtual host in a family. */
function placeOf(frame: Uint8Array): number {
  const vhid = frame[frame.length - ADVERTISEMENT_BYTES + 1] as number;
  // IPv6's EtherType is 86dd.
  return 2 * vhid + (frame[12] === 0x86 ? 1 : 0);
}

function counterOf(frame: Uint8Array): bigint {
  const at = frame.byteOffset + frame.length - ADVERTISEMENT_BYTES + COUNTER_AT;
  return new DataView(frame.buffer, at, 8).getBigUint64(0);
}
