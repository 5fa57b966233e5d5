/**
 * SendRecord: the outcomes of an interface's advertisements. After three failed sends in a row for each node
 * the interface is demoted; after as many that left, the demotion ends.
 */

import { SECOND } from "../election/timing.ts";
import type { Family, Micros } from "../model.ts";

/** Sends in a row, for each node, that have to fail to demote the interface, or to succeed to end that. */
const SENDS_PER_NODE_TO_JUDGE = 3;

/** A demoted BACKUP is demoted for so long after its last failed send. */
const RESTS_US: Micros = 30 * SECOND;

export interface SendFailure {
  /** The errno name. */
  readonly error: string;
  readonly atUs: Micros;
  /** The families whose packets of the same advertisement left; with any of them it counts as sent. */
  readonly left: readonly Family[];
}

export class SendRecord {
  readonly #demoted: (now: boolean) => void;
  #failed = 0;
  #left = 0;
  #isDemoted = false;
  #lastFailure: SendFailure | undefined;
  #lastPartial: SendFailure | undefined;

  constructor(demoted: (now: boolean) => void) {
    this.#demoted = demoted;
  }

  /** The last failed send; undefined when the last one left whole. */
  get failure(): SendFailure | undefined {
    return this.#failed > 0 ? this.#lastFailure : this.#lastPartial;
  }

  /** Whether the last advertisement left whole, and there is nothing to be forgotten. */
  get isFaultless(): boolean {
    return this.#failed === 0 && this.#lastPartial === undefined && !this.#isDemoted;
  }

  /** Whether the interface is demoted for failed sends. */
  get isDemoted(): boolean {
    return this.#isDemoted;
  }

  failed(failure: SendFailure, nodes: number): void {
    this.#lastFailure = failure;
    this.#left = 0;
    if (++this.#failed < toJudge(nodes) || this.#isDemoted) return;
    this.#isDemoted = true;
    this.#demoted(true);
  }

  /** @param partial set when some packets of it failed */
  left(nodes: number, partial?: SendFailure): void {
    this.#failed = 0;
    this.#lastPartial = partial;
    if (this.#isDemoted && ++this.#left >= toJudge(nodes)) this.#endDemotion();
  }

  /**
   * Nothing is sent while no node is MASTER, so that nothing could end the demotion: it ends by itself, for another
   * attempt.
   */
  rest(nowUs: Micros): void {
    if (this.#isDemoted && nowUs - (this.#lastFailure?.atUs ?? 0) >= RESTS_US) this.forget();
  }

  /** Ends the demotion and forgets the outcomes so far. */
  forget(): void {
    this.#failed = 0;
    this.#left = 0;
    this.#lastPartial = undefined;
    if (this.#isDemoted) this.#endDemotion();
  }

  #endDemotion(): void {
    this.#left = 0;
    this.#isDemoted = false;
    this.#demoted(false);
  }
}

function toJudge(nodes: number): number {
  return SENDS_PER_NODE_TO_JUDGE * Math.max(1, nodes);
}
