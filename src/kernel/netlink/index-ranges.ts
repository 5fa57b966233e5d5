/**
 * IndexRanges: indexes of links as ranges of consecutive ones. Devices made together have consecutive indexes, so a few
 * ranges tell thousands of them apart from the rest.
 */

export interface IndexRange {
  readonly from: number;
  readonly to: number;
}

export class IndexRanges {
  /** In order; between two of them at least one index is missing. */
  readonly #ranges: IndexRange[] = [];

  has(index: number): boolean {
    const range = this.#ranges[this.#at(index)];
    return range !== undefined && range.from <= index;
  }

  add(index: number): void {
    if (this.has(index)) return;
    const at = this.#at(index);
    const [before, after] = [this.#ranges[at - 1], this.#ranges[at]];
    const joinsBefore = before?.to === index - 1;
    const joinsAfter = after?.from === index + 1;
    const joined = {
      from: joinsBefore ? before.from : index,
      to: joinsAfter ? after.to : index,
    };
    this.#ranges.splice(at - Number(joinsBefore), Number(joinsBefore) + Number(joinsAfter), joined);
  }

  delete(index: number): void {
    if (!this.has(index)) return;
    const at = this.#at(index);
    const { from, to } = this.#ranges[at] as IndexRange;
    const left = [
      { from, to: index - 1 },
      { from: index + 1, to },
    ].filter((range) => range.from <= range.to);
    this.#ranges.splice(at, 1, ...left);
  }

  /** At most so many ranges, which hold all the indexes, and others between them where there are more ranges. */
  atMost(count: number): readonly IndexRange[] {
    const ranges = this.#ranges;
    if (ranges.length <= count) return ranges;
    const gapBefore = (at: number) => (ranges[at]?.from ?? 0) - (ranges[at - 1]?.to ?? 0);
    const widest = [...ranges.keys()].slice(1).toSorted((a, b) => gapBefore(b) - gapBefore(a));
    const starts = [0, ...widest.slice(0, count - 1)].toSorted((a, b) => a - b);
    return starts.flatMap((at, n) => {
      const [first, last] = [ranges[at], ranges[(starts[n + 1] ?? ranges.length) - 1]];
      return first === undefined || last === undefined ? [] : { from: first.from, to: last.to };
    });
  }

  /** The place of the first range that ends at this index or later. */
  #at(index: number): number {
    let [low, high] = [0, this.#ranges.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#ranges[middle]?.to ?? 0) < index) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
