/** Recent: the counters that a virtual host sent last. */

/** Number of its own counters that a host has to recognise. */
const REMEMBERED_COUNTERS = 4096;

export class RecentCounters {
  readonly #all = new Set<bigint>();
  /** In the order of being sent, around and around. */
  readonly #sent: bigint[] = [];
  #next = 0;

  has(counter: bigint): boolean {
    return this.#all.has(counter);
  }

  add(counter: bigint): void {
    if (this.#all.has(counter)) return;
    this.#all.add(counter);
    const oldest = this.#sent[this.#next];
    if (oldest !== undefined) this.#all.delete(oldest);
    this.#sent[this.#next] = counter;
    this.#next = (this.#next + 1) % REMEMBERED_COUNTERS;
  }
}
