/**
 * SharedAnswers: one evaluation of a costly question for many users, and its text. An answer serves those who ask while
 * it is made, and twenty times as long as it took to make, at most a second.
 */

import type { JSONRPCResponse } from "json-rpc-2.0";
import { jsonLine } from "../../control/framing.ts";

const TIMES_ITS_COST = 20;
const MOST_MS = 1000;
/** Different questions (one may name any interface) whose answers are kept. */
const MOST_ANSWERS = 64;

/** The JSON of shared results: it is made once, and its bytes are in memory once however many clients wait for them. */
const texts = new WeakMap<object, Buffer>();
const RESULT_END = Buffer.from("}\n");

interface Answer {
  result: Promise<object>;
  /** Infinite while it is made. */
  untilMs: number;
  hasBegun: boolean;
  /** Something has changed since it began: it serves those who asked before that alone. */
  isStale: boolean;
}

export class SharedAnswers {
  readonly #answers = new Map<string, Answer>();
  readonly #now: () => number;

  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Returns the answer to a question; calls `evaluate` when no earlier answer serves any more. */
  get<R extends object>(question: string, evaluate: () => R | Promise<R>): Promise<R> {
    const known = this.#answers.get(question);
    if (known !== undefined && !known.isStale && this.#now() < known.untilMs)
      return known.result as Promise<R>;
    this.#answers.delete(question);
    for (const oldest of this.#answers.keys()) {
      if (this.#answers.size < MOST_ANSWERS) break;
      this.#answers.delete(oldest);
    }
    // After a change a question waits for the evaluation under way: however often changes come, there is one at a time.
    const before = known?.isStale ? known.result : undefined;
    const pending = { untilMs: Number.POSITIVE_INFINITY, hasBegun: before === undefined, isStale: false };
    const result: Promise<R> = this.#evaluate(evaluate, pending, before);
    this.#answers.set(question, Object.assign(pending, { result }));
    return result;
  }

  /** Lets no answer that has begun serve those who ask from now on. */
  forget(): void {
    for (const [question, answer] of this.#answers)
      if (answer.untilMs !== Number.POSITIVE_INFINITY) this.#answers.delete(question);
      else if (answer.hasBegun) answer.isStale = true;
  }

  async #evaluate<R extends object>(
    evaluate: () => R | Promise<R>,
    answer: Omit<Answer, "result">,
    before: Promise<object> | undefined,
  ): Promise<R> {
    if (before !== undefined) await before.catch(() => {});
    answer.hasBegun = true;
    const beganMs = this.#now();
    // After a failure the next client that asks begins a new evaluation.
    let untilMs = 0;
    try {
      const made = await evaluate();
      texts.set(made, Buffer.from(JSON.stringify(made)));
      untilMs = this.#now() + Math.min(MOST_MS, TIMES_ITS_COST * (this.#now() - beganMs));
      return made;
    } finally {
      answer.untilMs = untilMs;
    }
  }
}

/** A response as one line, in pieces. Warnings stand beside its result. */
export function replyLine(response: JSONRPCResponse, warnings: readonly string[] = []): Buffer[] {
  const { result } = response;
  const text = typeof result === "object" && result !== null ? texts.get(result) : undefined;
  if (text === undefined)
    return [Buffer.from(jsonLine(warnings.length === 0 ? response : { ...response, warnings }))];
  const start = `{"jsonrpc":"2.0","id":${JSON.stringify(response.id)},"result":`;
  return [Buffer.from(start), text, RESULT_END];
}
