/**
 * Explanations: finds out why a digest is wrong, a step at a time with a pause after each, in which frames and timers are
 * handled. The core asks for one at a time.
 */

import type { DigestExplanation, DigestQuestion } from "../core/digests/question.ts";
import { DigestSearch } from "../core/digests/search.ts";

/** A step takes less than a fiftieth of it. */
const PAUSE_MS = 10;

/** @param done is called in a turn of the event loop of its own */
export function explain(question: DigestQuestion, done: (explanation: DigestExplanation) => void): void {
  const search = new DigestSearch(question);
  const goOn = () => {
    const explanation = search.step();
    if (explanation === undefined) later();
    else done(explanation);
  };
  const later = () => void setTimeout(goOn, PAUSE_MS).unref();
  later();
}
