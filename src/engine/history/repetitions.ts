/**
 * Repetitions: passes records on one by one up to a burst for each subject, and after that one in a while, which stands
 * for all since. So nothing that happens again and again fills the history, whoever causes it. Nor does much that happens
 * to many subjects: they share a pool, and when it is empty one record stands for all events of a kind.
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
  readonly pool: Bucket | undefined;
}

export class Repetitions {
  readonly #pass: (record: HistoryRecord) => void;
  readonly #now: () => number;
  readonly #most: number;
  readonly #subjects = new Map<string, Subject>();
  /** For each kind of event the subject of those for which their pool has no room. */
  readonly #crowds = new Map<string, Subject>();
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

  /** @param pool of all subjects like this one; undefined: they share none */
  add(record: HistoryRecord, name: string, burst: number, pool?: Bucket): void {
    const subject = this.#subject(name, burst, pool);
    if (subject.held !== undefined || !subject.bucket.take(this.#now())) this.#hold(subject, record);
    else this.#passOrCrowd(record, pool);
  }

  #passOrCrowd(record: HistoryRecord, pool: Bucket | undefined): void {
    if (pool === undefined || pool.take(this.#now())) this.#pass(record);
    else this.#hold(this.#crowd(record.event.kind), record);
  }

  #crowd(kind: string): Subject {
    const known = this.#crowds.get(kind);
    if (known !== undefined) return known;
    const crowd = { bucket: new Bucket(1, A_SECOND, this.#now()), held: undefined, pool: undefined };
    this.#crowds.set(kind, crowd);
    return crowd;
  }

  #hold(subject: Subject, record: HistoryRecord): void {
    const { held } = subject;
    if (held === undefined) setTimeout(() => this.#release(subject), EVERY_MS).unref();
    const last = held !== undefined && held.seq > record.seq ? held : record;
    subject.held = { ...last, times: (held?.times ?? 0) + record.times };
  }

  /** The records that wait. */
  get held(): HistoryRecord[] {
    return [...this.#subjects.values(), ...this.#crowds.values()].flatMap(({ held }) => held ?? []);
  }

  /** Passes on what waits. */
  releaseAll(): void {
    // What has no room joins a crowd.
    for (const subjects of [this.#subjects, this.#crowds])
      for (const subject of subjects.values()) this.#release(subject);
  }

  #release(subject: Subject): void {
    const { held, pool } = subject;
    subject.held = undefined;
    if (held === undefined) return;
    subject.bucket.take(this.#now());
    this.#passOrCrowd(held, pool);
  }

  #subject(name: string, burst: number, pool: Bucket | undefined): Subject {
    const known = this.#subjects.get(name);
    if (known !== undefined) return known;
    if (this.#subjects.size >= this.#most) this.#sweep();
    if (this.#subjects.size >= this.#most && name !== "") return this.#subject("", burst, pool);
    const subject = { bucket: new Bucket(burst, A_SECOND, this.#now()), held: undefined, pool };
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
