/**
 * Random: the sfc32 generator, which draws the same numbers for the same seed. Each host and each path has a
 * stream of its own, so that one event more or less on one host does not change the draws of the others.
 */

export class Random {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  /** @param stream number of the independent stream of this seed */
  constructor(seed: number, stream = 0) {
    this.#a = seed >>> 0;
    this.#b = Math.floor(seed / 2 ** 32) >>> 0;
    this.#c = stream >>> 0;
    for (let i = 0; i < 15; i++) this.next();
  }

  /** Draws a number from 0 up to, but not including, 1. */
  next(): number {
    const sum = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0;
    return (sum >>> 0) / 2 ** 32;
  }

  /** Draws a whole number, both ends included. */
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
