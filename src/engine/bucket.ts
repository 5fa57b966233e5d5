/** Bucket: tokens for what is limited in number: a burst, and then so many a second. */

const SECOND_MS = 1000;

export class Bucket {
  readonly #most: number;
  readonly #aSecond: number;
  #left: number;
  #atMs: number;

  constructor(most: number, aSecond: number, nowMs: number) {
    this.#most = most;
    this.#aSecond = aSecond;
    this.#left = most;
    this.#atMs = nowMs;
  }

  isFull(nowMs: number): boolean {
    this.#refill(nowMs);
    return this.#left >= this.#most;
  }

  take(nowMs: number): boolean {
    this.#refill(nowMs);
    if (this.#left < 1) return false;
    this.#left -= 1;
    return true;
  }

  #refill(nowMs: number): void {
    this.#left = Math.min(this.#most, this.#left + ((nowMs - this.#atMs) / SECOND_MS) * this.#aSecond);
    this.#atMs = nowMs;
  }
}
