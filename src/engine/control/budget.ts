/**
 * Budget: a share of the event loop's time for the requests of users without rights. A step is charged after it was
 * done and may overdraw the budget; the next step waits until the debt is paid back.
 */

/** They go on when this much is there, so that a wait is worth the timer. */
const WORTHWHILE_MS = 1;

export class Budget {
  readonly #share: number;
  readonly #now: () => number;
  /** Unused time is kept up to this amount: a second's. */
  readonly #mostMs: number;
  #leftMs: number;
  #atMs: number;

  /**
   * @param share of the time, as a fraction
   * @param now a clock in milliseconds that is never set back
   */
  constructor(share: number, now: () => number = () => performance.now()) {
    this.#share = share;
    this.#now = now;
    this.#mostMs = 1000 * share;
    this.#leftMs = this.#mostMs;
    this.#atMs = now();
  }

  charge(ms: number): void {
    this.#refill();
    this.#leftMs -= ms;
  }

  /** The time to wait before the next step; 0: none. */
  get waitMs(): number {
    this.#refill();
    return this.#leftMs > 0 ? 0 : Math.ceil((WORTHWHILE_MS - this.#leftMs) / this.#share);
  }

  #refill(): void {
    const now = this.#now();
    this.#leftMs = Math.min(this.#mostMs, this.#leftMs + (now - this.#atMs) * this.#share);
    this.#atMs = now;
  }
}
