/**
 * DigestSearch: tries what another host may sign with, a few HMACs at a time, so that advertisements never wait for it.
 * The whole of it is bounded: by a number of HMACs, and of bytes that they go over.
 */

import { isDigestOf } from "../../protocol/authentication.ts";
import { answer, noAnswer } from "./answer.ts";
import type { DigestExplanation, DigestQuestion } from "./question.ts";
import { type Supposition, suppositions } from "./suppositions.ts";

/** HMACs for one advertisement: some 10 ms of a processor. */
export const MOST_HMACS = 2048;
/** Bytes that they go over together: an interface may have thousands of addresses. */
export const MOST_BYTES = 4 * 1024 * 1024;
/** HMACs, and bytes, of one step: less than 0.2 ms. */
export const STEP_HMACS = 16;
export const STEP_BYTES = 64 * 1024;

export class DigestSearch {
  readonly #question: DigestQuestion;
  readonly #left: Iterator<Supposition>;
  #hmacs = 0;
  #bytes = 0;

  constructor(question: DigestQuestion) {
    this.#question = question;
    this.#left = suppositions(question);
  }

  /** The HMACs so far. */
  get hmacs(): number {
    return this.#hmacs;
  }

  /** The bytes that they went over. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Goes on for a step. @returns the answer; undefined: there are more steps */
  step(): DigestExplanation | undefined {
    const { counter, digest } = this.#question;
    const untilBytes = Math.min(this.#bytes + STEP_BYTES, MOST_BYTES);
    for (let n = 0; n < STEP_HMACS; n++) {
      const { value } = this.#left.next() as IteratorResult<Supposition, undefined>;
      if (value === undefined) return noAnswer(this.#question, true);
      this.#hmacs++;
      this.#bytes += 64 + value.input.addresses.length;
      if (isDigestOf(value.input, counter, digest)) return answer(this.#question, value.fault);
      if (this.#hmacs >= MOST_HMACS || this.#bytes >= MOST_BYTES)
        return noAnswer(this.#question, value.isFarFetched);
      if (this.#bytes >= untilBytes) break;
    }
    return undefined;
  }
}
