/** Recent counters: those that a virtual host has sent last, of which it has to recognise each. */

/** Number of its own counters that a host has to recognise. */
const REMEMBERED_COUNTERS = 4096;

export class RecentCounters {
  /** Around and around. */
  readonly #sent: bigint[] = [];
  #next = 0;
  #latest: bigint | undefined;

  /** Looks at all of them: ask only about a counter that the host has sent some time. */
  has(counter: bigint): boolean {
    return this.#sent.includes(counter);
  }

  add(counter: bigint): void {
    // A signed counter may be sent several times, at once one after the other.
    if (counter === this.#latest) return;
    this.#latest = counter;
    this.#sent[this.#next] = counter;
    this.#next = (this.#next + 1) % REMEMBERED_COUNTERS;
  }
}
