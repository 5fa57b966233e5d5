/**
 * Budget: a share of the event loop's time for the requests of users without rights. What they cost is charged after
 * it was spent, so a step may overdraw it; then they wait until it is paid back.
 */

/** Share of the time, as a fraction. */
const SHARE = 0.05;
/** Unused time is kept up to this amount: a second's. */
const MOST_MS = 1000 * SHARE;
/** They go on when this much is there, so that a wait is worth the timer. */
const WORTHWHILE_MS = 1;

export class Budget {
  readonly #now: () => number;
  #leftMs = MOST_MS;
  #atMs: number;

  /** @param now a clock in milliseconds that is never set back */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
    this.#atMs = now();
  }

  charge(ms: number): void {
    this.#refill();
    this.#leftMs -= ms;
  }

  /** The time to wait before the next step; 0: none. */
  get waitMs(): number {
    this.#refill();
    return this.#leftMs > 0 ? 0 : Math.ceil((WORTHWHILE_MS - this.#leftMs) / SHARE);
  }

  #refill(): void {
    const now = this.#now();
    this.#leftMs = Math.min(MOST_MS, this.#leftMs + (now - this.#atMs) * SHARE);
    this.#atMs = now;
  }
}
