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
  readonly atUs: Micros;
}

export class QuickPeers {
  /** Intervals, each shorter than the ones heard after it; the last one was heard last. */
  readonly #heard: Heard[] = [];

  heard(intervalUs: Micros, atUs: Micros): void {
    while ((this.#heard.at(-1)?.intervalUs ?? 0) >= intervalUs) this.#heard.pop();
    const last = this.#heard.at(-1);
    // A shorter one than was heard makes the lease shorter, which is safe.
    if (last !== undefined && this.#heard.length >= MAX_HEARD)
      this.#heard[this.#heard.length - 1] = { ...last, atUs };
    else this.#heard.push({ intervalUs, atUs });
  }

  /** The shortest interval that is remembered; undefined: none. */
  shortestUs(nowUs: Micros): Micros | undefined {
    for (;;) {
      const [first] = this.#heard;
      if (first === undefined) return undefined;
      const { intervalUs, atUs } = first;
      if (nowUs - atUs < Math.max(REMEMBERED_US, REMEMBERED_INTERVALS * intervalUs)) return intervalUs;
      // Those after it were heard later and are longer: they are remembered longer.
      this.#heard.shift();
    }
  }

  forget(): void {
    this.#heard.length = 0;
  }
}
