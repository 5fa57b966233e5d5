/**
 * SendRecord: the outcomes of an interface's advertisements. After three failed sends in a row for each node
 * the interface is demoted; after as many that left, the demotion ends.
 */

import type { Micros } from "../model.ts";

/** Sends in a row, for each node, that have to fail to demote the interface, or to succeed to end that. */
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

  /** The last failed send; undefined when the last one left. */
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

  /** Ends the demotion and forgets the outcomes so far. */
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
