/**
 * Numbers drawn from a seed, the same ones every time (the sfc32 generator). Whoever draws on its own account gets a
 * generator of its own, so that one event more or less for one host leaves the luck of all others as it was.
 */

export class Random {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  /** @param stream which of the independent generators of this seed */
  constructor(seed: number, stream = 0) {
    this.#a = seed >>> 0;
    this.#b = Math.floor(seed / 2 ** 32) >>> 0;
    this.#c = stream >>> 0;
    for (let i = 0; i < 15; i++) this.next();
  }

  /** From 0 up to, but not, 1. */
  next(): number {
    const sum = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + sum;
    return (sum >>> 0) / 2 ** 32;
  }

  /** A whole number, both ends included. */
  integer(min: number, max: number): number {
    return min + Math.floor(this.next() * (max - min + 1));
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  pick<T>(...from: readonly [T, ...T[]]): T {
    return from[this.integer(0, from.length - 1)] as T;
  }
}
