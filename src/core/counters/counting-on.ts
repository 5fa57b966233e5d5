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
  /**
   * The latest runs of counters of other implementations, by the first and the last one. A counter below the
   * first is what it counted on from: a recording of that is no word of it.
   */
  readonly #others: { readonly first: bigint; readonly last: bigint }[] = [];
  /** The tags of our counters, sent and heard, by the rest of the counter. */
  readonly #ours = new Map<bigint, number[]>();

  /** Notes a counter that another implementation made, or a host that is not known. */
  noteOther(counter: bigint): void {
    const at = this.#others.findIndex((run) => goesOn(counter, run));
    const [{ first, last } = { first: counter, last: counter }] = at < 0 ? [] : this.#others.splice(at, 1);
    this.#others.push({ first, last: counter > last ? counter : last });
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
    return this.#others.some((run) => {
      if (!goesOn(counter, run)) return false;
      const reading = readCounter(run.last);
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

/** Whether the counter is one of a run, or its next by a small step. */
function goesOn(
  counter: bigint,
  { first, last }: { readonly first: bigint; readonly last: bigint },
): boolean {
  return counter >= first && counter < last + TAGS;
}
