/**
 * CountingOn: tells the counters of other implementations from recordings of ours. FreeBSD, NetBSD and ucarp
 * count on by one from the last counter that they heard, so that the low bits of their counters become the
 * tag of every host in turn. Hosts that run this program keep a distance of 256 from each counter that they
 * have heard. A recording keeps it too: it takes the pass to sign a counter that was never sent.
 */

import { readCounter, TAGS } from "./counter-format.ts";

const REMEMBERED_OTHERS = 16;
/** More counters of ours than another implementation counts on from: an hour's at advbase 1. */
const REMEMBERED_BLOCKS = 8192;

export class CountingOn {
  /** The latest counters of other implementations, of each the last one. */
  readonly #others: bigint[] = [];
  /** The tags of our counters, sent and heard, by the rest of the counter. */
  readonly #ours = new Map<bigint, number[]>();

  /** Notes a counter that another implementation made, or a host that is not known. */
  noteOther(counter: bigint): void {
    const former = this.#others.findIndex((other) => isNear(counter, other));
    if (former >= 0) this.#others.splice(former, 1);
    this.#others.push(counter);
    if (this.#others.length > REMEMBERED_OTHERS) this.#others.shift();
  }

  /** Notes a time of day that a known host of ours sent. */
  noteOurs(counter: bigint): void {
    const block = counter / TAGS;
    const tag = Number(counter % TAGS);
    const tags = this.#ours.get(block) ?? [];
    if (tags.includes(tag)) return;
    this.#ours.set(block, [...tags, tag]);
    if (this.#ours.size <= REMEMBERED_BLOCKS) return;
    for (const oldest of this.#ours.keys()) {
      this.#ours.delete(oldest);
      return;
    }
  }

  /** Whether the counter goes on by a small step from another implementation's. */
  fromOthers(counter: bigint, isOurTag: (tag: number) => boolean): boolean {
    return this.#others.some((other) => {
      if (!isNear(counter, other)) return false;
      const reading = readCounter(other);
      // Its host may have become known since: then it was one of ours.
      return reading === undefined || (reading.format === "time" && !isOurTag(reading.tag));
    });
  }

  /** Whether the counter goes on by a small step from a counter of ours, and is none of ours that is known. */
  fromOurs(counter: bigint): boolean {
    const block = counter / TAGS;
    const tag = Number(counter % TAGS);
    const beside = this.#ours.get(block) ?? [];
    if (beside.includes(tag)) return false;
    return (
      beside.some((other) => other < tag) ||
      (this.#ours.get(block - 1n)?.some((other) => other > tag) ?? false)
    );
  }
}

function isNear(counter: bigint, other: bigint): boolean {
  const step = counter - other;
  return step < TAGS && step > -TAGS;
}
