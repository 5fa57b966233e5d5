/**
 * Repetitions: passes records on one by one up to a burst for each subject, and after that one in a while, which stands
 * for all since. So nothing that happens again and again fills the history, whoever causes it.
 */

import type { HistoryRecord } from "../../control/history.ts";
import { Bucket } from "../bucket.ts";

/** After its burst a subject has a record in this time. */
const EVERY_MS = 600_000;
const A_SECOND = 1000 / EVERY_MS;

interface Subject {
  readonly bucket: Bucket;
  /** The last record, with the number of those since the one that was passed on. */
  held: HistoryRecord | undefined;
}

export class Repetitions {
  readonly #pass: (record: HistoryRecord) => void;
  readonly #now: () => number;
  readonly #most: number;
  readonly #subjects = new Map<string, Subject>();
  #sweptAtMs = Number.NEGATIVE_INFINITY;

  /**
   * @param most subjects at a time; those beyond share one
   * @param now a clock in milliseconds that is never set back
   */
  constructor(pass: (record: HistoryRecord) => void, most: number, now: () => number) {
    this.#pass = pass;
    this.#most = most;
    this.#now = now;
  }

  add(record: HistoryRecord, name: string, burst: number): void {
    const subject = this.#subject(name, burst);
    const { held } = subject;
    if (held !== undefined) {
      subject.held = { ...record, times: held.times + 1 };
      return;
    }
    if (subject.bucket.take(this.#now())) {
      this.#pass(record);
      return;
    }
    subject.held = record;
    setTimeout(() => this.#release(subject), EVERY_MS).unref();
  }

  /** The records that wait. */
  get held(): HistoryRecord[] {
    return [...this.#subjects.values()].flatMap(({ held }) => held ?? []);
  }

  /** Passes on what waits. */
  releaseAll(): void {
    for (const subject of this.#subjects.values()) this.#release(subject);
  }

  #release(subject: Subject): void {
    const { held } = subject;
    subject.held = undefined;
    if (held === undefined) return;
    subject.bucket.take(this.#now());
    this.#pass(held);
  }

  #subject(name: string, burst: number): Subject {
    const known = this.#subjects.get(name);
    if (known !== undefined) return known;
    if (this.#subjects.size >= this.#most) this.#sweep();
    if (this.#subjects.size >= this.#most && name !== "") return this.#subject("", burst);
    const subject = { bucket: new Bucket(burst, A_SECOND, this.#now()), held: undefined };
    this.#subjects.set(name, subject);
    return subject;
  }

  /** Forgets the subjects that have been quiet, at most once a second. */
  #sweep(): void {
    const nowMs = this.#now();
    if (nowMs - this.#sweptAtMs < 1000) return;
    this.#sweptAtMs = nowMs;
    for (const [name, { bucket, held }] of this.#subjects)
      if (held === undefined && bucket.isFull(nowMs)) this.#subjects.delete(name);
  }
}
