/** Room: which places of a row are taken. Knows nothing of what is in them. */

export class Room {
  readonly #taken: Uint8Array;

  constructor(places: number) {
    this.#taken = new Uint8Array(places);
  }

  take(from: number, length = 1): void {
    this.#taken.fill(1, from, from + length);
  }

  free(from: number, length = 1): void {
    this.#taken.fill(0, from, from + length);
  }

  /** This place if it is free, else the last one that is; undefined: none is. */
  near(best: number): number | undefined {
    if (this.#taken[best] === 0) return best;
    const last = this.#taken.lastIndexOf(0);
    return last < 0 ? undefined : last;
  }

  /** The first of so many free places in a row. */
  gap(length: number): number | undefined {
    let from = this.#taken.indexOf(0);
    while (from >= 0 && from + length <= this.#taken.length) {
      const next = this.#taken.indexOf(1, from);
      if (next < 0 || next - from >= length) return from;
      from = this.#taken.indexOf(0, next);
    }
    return undefined;
  }
}
