/**
 * PreemptDelay: since when a virtual host has been back, which counts the time in which it does not preempt a
 * healthy master. It is back when it begins to run, when its demotion falls, and when it gave way because its
 * lease had expired. Pure: the owner has the length of the delay.
 */

import type { Micros } from "../model.ts";

export class PreemptDelay {
  #backSinceUs: Micros = 0;
  #demote = 0;

  /** The virtual host is back. @param demote its demotion from now on */
  begin(demote: number, nowUs: Micros): void {
    this.#backSinceUs = nowUs;
    this.#demote = demote;
  }

  /** Its demotion may have changed: a lower one begins the delay anew. */
  demoted(demote: number, nowUs: Micros): void {
    if (demote < this.#demote) this.#backSinceUs = nowUs;
    this.#demote = demote;
  }

  /** When it may preempt. */
  endUs(delayUs: Micros): Micros {
    return this.#backSinceUs + delayUs;
  }
}
