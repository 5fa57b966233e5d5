/**
 * QuickPeers: the shortest interval that another host has advertised lately, which shortens the lease. No
 * digest covers the interval, and a host may be given a longer one: what is not heard again is forgotten.
 */

import type { Micros } from "../model.ts";
import { SECOND } from "./timing.ts";

/** An interval is forgotten after this time, or after so many of itself where it is longer. */
const REMEMBERED_US: Micros = 60 * SECOND;
const REMEMBERED_INTERVALS = 4;

const MAX_HEARD = 32;

interface Heard {
  readonly intervalUs: Micros;
  readonly untilUs: Micros;
}

export class QuickPeers {
  /** The intervals that are the shortest one now or later: each is longer than the one before it, and remembered longer. */
  readonly #heard: Heard[] = [];

  heard(intervalUs: Micros, atUs: Micros): void {
    const untilUs = atUs + Math.max(REMEMBERED_US, REMEMBERED_INTERVALS * intervalUs);
    let from = this.#heard.length;
    while (from > 0 && (this.#heard[from - 1]?.intervalUs ?? 0) >= intervalUs) from--;
    let to = from;
    while (to < this.#heard.length && (this.#heard[to]?.untilUs ?? 0) <= untilUs) to++;
    // Most times it is the one that was heard last.
    if (to - from === 1) this.#heard[from] = { intervalUs, untilUs };
    else this.#heard.splice(from, to - from, { intervalUs, untilUs });
    if (this.#heard.length <= MAX_HEARD) return;
    // A shorter one than was heard makes the lease shorter, which is safe.
    const [shorter, longer] = this.#heard.splice(-2);
    if (shorter !== undefined && longer !== undefined)
      this.#heard.push({ intervalUs: shorter.intervalUs, untilUs: longer.untilUs });
  }

  /** The shortest interval that is remembered; undefined: none. */
  shortestUs(nowUs: Micros): Micros | undefined {
    for (let first = this.#heard[0]; first !== undefined; first = this.#heard[0]) {
      if (nowUs < first.untilUs) return first.intervalUs;
      this.#heard.shift();
    }
    return undefined;
  }

  forget(): void {
    this.#heard.length = 0;
  }
}
