/**
 * Whether the advertisements of an interface leave: after so many that failed in a row the interface is demoted,
 * after as many that left no longer.
 */

import type { Micros } from "./event.ts";

/** Sends of each node that have to fail, or to succeed, in a row before the interface is demoted, or no longer. */
const SENDS_PER_NODE_TO_JUDGE = 3;

export interface SendFailure {
  /** The errno name. */
  readonly error: string;
  readonly atUs: Micros;
}

export class SendRecord {
  readonly #demoted: (now: boolean) => void;
  #failed = 0;
  #left = 0;
  #isDemoted = false;
  #lastFailure: SendFailure | undefined;

  constructor(demoted: (now: boolean) => void) {
    this.#demoted = demoted;
  }

  /** Of those that failed in a row; undefined since one has left. */
  get failure(): SendFailure | undefined {
    return this.#failed > 0 ? this.#lastFailure : undefined;
  }

  failed(failure: SendFailure, nodes: number): void {
    this.#lastFailure = failure;
    this.#left = 0;
    if (++this.#failed < toJudge(nodes) || this.#isDemoted) return;
    this.#isDemoted = true;
    this.#demoted(true);
  }

  left(nodes: number): void {
    this.#failed = 0;
    if (this.#isDemoted && ++this.#left >= toJudge(nodes)) this.forget();
  }

  forget(): void {
    this.#failed = 0;
    this.#left = 0;
    if (!this.#isDemoted) return;
    this.#isDemoted = false;
    this.#demoted(false);
  }
}

function toJudge(nodes: number): number {
  return SENDS_PER_NODE_TO_JUDGE * Math.max(1, nodes);
}
