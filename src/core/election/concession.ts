/**
 * Concession: after two masters hear each other again, the one that gives way tells the other one, which may
 * not have heard it and has to announce the addresses again: clients and switches may have learnt this host.
 * It is an advertisement to that master alone, so that no third host acts on it, and slower than that
 * master's, so that no implementation gives way to it.
 */

import type { HeaderFields } from "../counters/counter-format.ts";
import type { Heard, Micros } from "../model.ts";
import { MILLISECOND } from "./timing.ts";

/** A master that has heard this host answers at once. After this time it has not. */
const WAIT_US: Micros = 50 * MILLISECOND;

/** The slowest advbase of a master that is conceded to: there is nothing slower than a greater one. */
const MAX_ADVBASE = 254;

/** The fields of an advertisement that is slower than this one by the least possible. */
export function slowerThan({ advbase, advskew, demote }: HeaderFields): HeaderFields {
  return advskew < 255
    ? { advbase, advskew: advskew + 1, demote }
    : { advbase: advbase + 1, advskew: 0, demote };
}

export class Concession {
  #to: (Heard & { readonly dueUs: Micros }) | undefined;

  /** When the concession is to be sent; infinite: none is. */
  get dueUs(): Micros {
    return this.#to?.dueUs ?? Number.POSITIVE_INFINITY;
  }

  /** Whether a concession is to be sent, unless another advertisement is heard first. */
  get isPending(): boolean {
    return this.#to !== undefined;
  }

  /** This host gives way to the master heard. @param intervalUs that master's */
  begin(to: Heard, intervalUs: Micros, nowUs: Micros): void {
    const isSlowest = to.advbase > MAX_ADVBASE;
    this.#to = isSlowest ? undefined : { ...to, dueUs: nowUs + Math.min(WAIT_US, intervalUs / 4) };
  }

  /** Another advertisement is heard: the answer. The same one over the other family is none. */
  heard({ counter }: Heard): void {
    if (counter !== this.#to?.counter) this.#to = undefined;
  }

  forget(): void {
    this.#to = undefined;
  }

  /** Takes the concession that is due. @returns the advertisement that it concedes to */
  take(nowUs: Micros): Heard | undefined {
    const to = this.#to;
    if (to === undefined || nowUs < to.dueUs) return undefined;
    this.#to = undefined;
    return to;
  }
}
