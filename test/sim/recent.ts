/** Recent counters: those that a virtual host has sent last, of which it has to recognise each. */

import type { Micros } from "../../src/core/model.ts";

/** Number of its own counters that a host has to recognise. */
const REMEMBERED_COUNTERS = 4096;

export class RecentCounters {
  /** Around and around. */
  readonly #sent: bigint[] = [];
  readonly #sentAtUs: Micros[] = [];
  #next = 0;
  #latest: bigint | undefined;

  /**
   * When it was sent, on the host's clock; undefined: it is none of them. Looks at all: ask only about a counter that the host
   * has sent some time.
   */
  sentAtUs(counter: bigint): Micros | undefined {
    const at = this.#sent.indexOf(counter);
    return at < 0 ? undefined : this.#sentAtUs[at];
  }

  add(counter: bigint, atUs: Micros): void {
    // A signed counter may be sent several times, at once one after the other.
    if (counter === this.#latest) return;
    this.#latest = counter;
    this.#sent[this.#next] = counter;
    this.#sentAtUs[this.#next] = atUs;
    this.#next = (this.#next + 1) % REMEMBERED_COUNTERS;
  }
}
