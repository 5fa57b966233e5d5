/**
 * LimitedLog: the rate limit that every line of the engine's log passes. Lines of one kind (the same message about the
 * same device or virtual host) are logged up to a burst, then one a second, which tells how many were left out. So is
 * the log as a whole, with a burst that holds the failover of every virtual host.
 */

import type { LogFields } from "../core/effect.ts";
import type { Priority } from "../core/model.ts";
import type { Log } from "../kernel/process/syslog.ts";
import { Bucket } from "./bucket.ts";

const SECOND_MS = 1000;

/** The burst of a kind, and of packets that any host on the network can send. */
const BURST = 20;
const PROVOKED_BURST = 50;
/** The host's demotion counter changes once for each interface that goes down. */
const DEMOTION_BURST = 1000;
/** All lines together: a burst, and so many a second. */
const WHOLE_BURST = 5000;
const WHOLE_A_SECOND = 10;
/** Kinds kept at a time; those beyond share one. */
const MOST_KINDS = 4096;

/** The kind of lines that any host on the network can cause with a packet. */
export const PROVOKED = "provoked";

/** Lines of a kind that wait for a token. */
interface LeftOut {
  count: number;
  latest: string;
  /** Of the latest. */
  fields: LogFields | undefined;
  /** The most important priority among them. */
  priority: Priority;
}

interface Kind {
  readonly bucket: Bucket;
  leftOut: LeftOut | undefined;
}

export class LimitedLog {
  readonly #log: Log;
  readonly #now: () => number;
  readonly #kinds = new Map<string, Kind>();
  readonly #whole: Kind;
  #sweptAtMs = Number.NEGATIVE_INFINITY;

  /** @param now a clock in milliseconds that is never set back */
  constructor(log: Log, now: () => number = () => performance.now()) {
    this.#log = log;
    this.#now = now;
    this.#whole = { bucket: new Bucket(WHOLE_BURST, WHOLE_A_SECOND, now()), leftOut: undefined };
  }

  /** Logs a line, or counts it as left out. */
  line(priority: Priority, text: string, kind = kindOf(text), fields?: LogFields): void {
    const own = this.#kind(kind);
    if (own.leftOut !== undefined || !own.bucket.take(this.#now()))
      this.#leaveOut(own, priority, text, fields);
    else this.#pass(priority, text, fields, 1);
  }

  #pass(priority: Priority, text: string, fields: LogFields | undefined, count: number): void {
    const whole = this.#whole;
    if (whole.leftOut === undefined && whole.bucket.take(this.#now())) this.#log(priority, text, fields);
    else this.#leaveOut(whole, priority, text, fields, count);
  }

  #leaveOut(kind: Kind, priority: Priority, text: string, fields: LogFields | undefined, count = 1): void {
    const { leftOut } = kind;
    if (leftOut === undefined) {
      kind.leftOut = { count, latest: text, fields, priority };
      setTimeout(() => this.#tell(kind), SECOND_MS).unref();
      return;
    }
    leftOut.count += count;
    leftOut.latest = text;
    leftOut.fields = fields;
    if (priority < leftOut.priority) leftOut.priority = priority;
  }

  #tell(kind: Kind): void {
    const { leftOut } = kind;
    kind.leftOut = undefined;
    if (leftOut === undefined) return;
    kind.bucket.take(this.#now());
    const { count, latest, fields, priority } = leftOut;
    const text = count === 1 ? latest : `${count} more lines like these were left out, the last: ${latest}`;
    if (kind === this.#whole) this.#log(priority, text, fields);
    else this.#pass(priority, text, fields, count);
  }

  #kind(name: string): Kind {
    const known = this.#kinds.get(name);
    if (known !== undefined) return known;
    const nowMs = this.#now();
    if (this.#kinds.size >= MOST_KINDS) this.#sweep(nowMs);
    if (this.#kinds.size >= MOST_KINDS && name !== "") return this.#kind("");
    const kind = {
      bucket: new Bucket(burstOf(name), 1, nowMs),
      leftOut: undefined,
    };
    this.#kinds.set(name, kind);
    return kind;
  }

  /** Forgets the kinds that have been quiet. */
  #sweep(nowMs: number): void {
    if (nowMs - this.#sweptAtMs < SECOND_MS) return;
    this.#sweptAtMs = nowMs;
    for (const [name, { bucket, leftOut }] of this.#kinds)
      if (leftOut === undefined && bucket.isFull(nowMs)) this.#kinds.delete(name);
  }
}

function burstOf(kind: string): number {
  if (kind === PROVOKED) return PROVOKED_BURST;
  return /^(demoted|promoted) by /.test(kind) ? DEMOTION_BURST : BURST;
}

/**
 * The kind of a line: its text up to the second `: `, without numbers, except the number of an interface or a virtual
 * host.
 */
function kindOf(text: string): string {
  const [subject = "", what] = text.split(": ", 2);
  const whole = what === undefined ? subject : `${subject}: ${what}`;
  const label = /^[\w.@-]{1,15}$/.test(subject) && what !== undefined ? subject : "";
  const rest = whole.slice(label.length, 200);
  return label + rest.replaceAll(/\b(carp\d+|vhid \d+)\b|\d+/g, (_, named?: string) => named ?? "#");
}
