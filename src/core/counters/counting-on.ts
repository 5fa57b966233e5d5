/**
 * CountingOn: tells the counters of other implementations from recordings of ours. FreeBSD, NetBSD and ucarp
 * count on by one from the last counter that they heard, so that the low bits of their counters become the
 * tag of every host in turn. Hosts that run this program keep a distance of 256 from each counter that they
 * have heard. A recording keeps it too: it takes the pass to sign a counter that was never sent.
 */

import { isTimeOfDay, readCounter, TAGS } from "./counter-format.ts";

const REMEMBERED_OTHERS = 16;
/**
 * Counters of ours that another implementation may still count on from: eight minutes' at advbase 1. One that is MASTER for
 * so long without hearing us has counted beyond DISTANCE by then.
 */
const REMEMBERED_OURS = 512;
const DISTANCE = Number(TAGS);

export class CountingOn {
  /**
   * The latest runs of counters of other implementations, by the first and the last one. A counter below the
   * first is what it counted on from: a recording of that is no word of it.
   */
  readonly #others: { readonly first: bigint; readonly last: bigint }[] = [];
  /** Our counters, sent and heard, ascending. As numbers, which hold every time of day, they take 8 bytes each. */
  readonly #ours: number[] = [];

  /** Notes a counter that another implementation made, or a host that is not known. */
  noteOther(counter: bigint): void {
    const at = this.#others.findIndex((run) => goesOn(counter, run));
    const [{ first, last } = { first: counter, last: counter }] = at < 0 ? [] : this.#others.splice(at, 1);
    this.#others.push({ first, last: counter > last ? counter : last });
    if (this.#others.length > REMEMBERED_OTHERS) this.#others.shift();
  }

  /** Notes a counter that a known host of ours sent. None counts on from a signed one: its marker would be wrong. */
  noteOurs(counter: bigint): void {
    if (!isTimeOfDay(counter)) return;
    const us = Number(counter);
    const at = this.#placeOf(us);
    if (this.#ours[at] === us) return;
    if (at === this.#ours.length) this.#ours.push(us);
    else this.#ours.splice(at, 0, us);
    if (this.#ours.length > REMEMBERED_OURS) this.#ours.shift();
  }

  /**
   * Whether the counter goes on by a small step from another implementation's, and is none of ours that is known. One that
   * counts on past a counter of ours, of which it has not heard, makes that one, too: one advertisement of many.
   */
  fromOthers(counter: bigint, isOurTag: (tag: number) => boolean): boolean {
    return this.#others.some((run) => {
      if (!goesOn(counter, run)) return false;
      const reading = readCounter(run.last);
      // Its host may have become known since: then it was one of ours.
      const isFromOther = reading === undefined || (reading.format === "time" && !isOurTag(reading.tag));
      return isFromOther && !this.#isOurs(Number(counter));
    });
  }

  /** Whether the counter goes on by a small step from a counter of ours, and is none of ours that is known. */
  fromOurs(counter: bigint): boolean {
    const us = Number(counter);
    return !this.#isOurs(us) && (this.#ours[this.#placeOf(us) - 1] ?? 0) > us - DISTANCE;
  }

  /**
   * Whether another implementation has gone on by small steps from here: the counter is what it counted on from, or one of
   * its own from before this host heard it.
   */
  leadsToOthers(counter: bigint): boolean {
    return this.#others.some(({ first }) => counter < first && counter > first - TAGS);
  }

  #isOurs(us: number): boolean {
    return this.#ours[this.#placeOf(us)] === us;
  }

  /** The place of the first of our counters that is not below this one. */
  #placeOf(us: number): number {
    let from = 0;
    let to = this.#ours.length;
    // Most counters are greater than all before.
    if ((this.#ours[to - 1] ?? 0) < us) return to;
    while (from < to) {
      const middle = (from + to) >> 1;
      if ((this.#ours[middle] as number) < us) from = middle + 1;
      else to = middle;
    }
    return from;
  }
}

/** Whether the counter is one of a run, or its next by a small step. */
function goesOn(
  counter: bigint,
  { first, last }: { readonly first: bigint; readonly last: bigint },
): boolean {
  return counter >= first && counter < last + TAGS;
}
