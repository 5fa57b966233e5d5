/**
 * History: notes what happens to this host, with the cause, and appends it to files in the state directory, which
 * outlive the engine. Noting costs no write: records are collected and written together, in the background, never
 * synced. While they cannot be written the newest are kept in memory.
 */

import { join } from "node:path";
import {
  type HistoryEvent,
  type HistoryFileName,
  type HistoryRecord,
  MAX_RECORD_BYTES,
  OWN_FILE,
  PROVOKED_FILE,
  type UnwrittenHistory,
} from "../../control/history.ts";
import type { HostEvent } from "../../control/messages.ts";
import type { Instant } from "../../core/model.ts";
import { Bucket } from "../bucket.ts";
import { type Earlier, HistoryFile } from "./history-file.ts";
import { Repetitions } from "./repetitions.ts";

/** After a write that failed. */
const AGAIN_MS = 5000;
/** Records turned into text at a time: meanwhile the engine does nothing else. */
const MOST_AT_ONCE = 128;
/** The longest that the end of the engine waits for the disk. */
const END_MS = 1000;
/** Where texts are cut in a record that would be too long: the first of these that is enough. */
const CUTS = [300, 100, 20];

/** Records of a subject that are written one by one; see Repetitions. */
const BURST = 100;
const PROVOKED_BURST = 20;
/** Of what comes with every packet. */
const PACKET_BURST = 1;
/**
 * Records of all subjects together, at once and then in a day: whoever makes many things happen, by commands or on the
 * network, leaves room for a day of what was before. What happens to the interfaces of a user who is not root takes
 * nothing from the others.
 */
const POOLS = { commands: [2000, 1000], others: [5000, 2000] } as const;
const DAY_S = 86_400;
const MOST_SUBJECTS = 16_384;
const MOST_PROVOKED_SUBJECTS = 2048;

/** What is noted: every event that `monitor` tells, and those of the engine itself. */
type NotableEvent = Exclude<HostEvent, { kind: "left-out" }> | HistoryEvent;

/** One file, and the records for it. Their numbers lack those of the records before this engine. */
interface Lane {
  readonly file: HistoryFile;
  readonly most: number;
  readonly repetitions: Repetitions;
  waiting: HistoryRecord[];
  inFlight: HistoryRecord[];
}

type Pool = keyof typeof POOLS;

interface Options {
  readonly directory: string;
  readonly bootId: string;
  readonly now: () => Instant;
  /** A clock in milliseconds that is never set back. */
  readonly steadyMs?: () => number;
  readonly complain: (text: string) => void;
}

export class History {
  readonly #directory: string;
  readonly #boot: string;
  readonly #now: () => Instant;
  readonly #complain: (text: string) => void;
  readonly #own: Lane;
  readonly #provoked: Lane;
  readonly #pools: Readonly<Record<Pool, Bucket>>;
  /** The interfaces that a user who is not root was the last to change. */
  readonly #ofUsers = new Set<string>();
  #seq = 0;
  /** The greatest number before this engine. */
  #before = 0;
  #opened: Promise<void> | undefined;
  #isScheduled = false;
  /** The next try after one that failed. */
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> | undefined;
  #failure: string | undefined;

  constructor({ directory, bootId, now, complain, steadyMs = () => performance.now() }: Options) {
    this.#directory = directory;
    this.#boot = bootId.slice(0, 8);
    this.#now = now;
    this.#complain = complain;
    const lane = (name: HistoryFileName, subjects: number): Lane => {
      const made: Lane = {
        file: new HistoryFile(join(directory, name.name), name),
        most: name.most,
        repetitions: new Repetitions((record) => this.#wait(made, record), subjects, steadyMs),
        waiting: [],
        inFlight: [],
      };
      return made;
    };
    const pool = ([burst, aDay]: readonly [number, number]) => new Bucket(burst, aDay / DAY_S, steadyMs());
    this.#pools = { commands: pool(POOLS.commands), others: pool(POOLS.others) };
    this.#own = lane(OWN_FILE, MOST_SUBJECTS);
    this.#provoked = lane(PROVOKED_FILE, MOST_PROVOKED_SUBJECTS);
  }

  /** Notes the start of this engine, before everything else, and begins to write. */
  begin(version: string, pid: number): void {
    const started = { kind: "engine-started", version, pid } as const;
    const record = this.#record(started);
    this.#own.waiting.unshift(record);
    this.#opened = this.#open().then(({ lastLine }) => {
      const after = lastLine === undefined ? undefined : this.#endOf(lastLine);
      if (after !== undefined) record.event = { ...started, after };
    });
    this.#schedule();
  }

  /** Notes an event. */
  note(event: NotableEvent): void {
    const subject = subjectOf(event);
    const record = this.#record(withoutAddresses(event));
    if (PROVOKED.has(event.kind)) this.#provoked.repetitions.add(record, subject, burstOf(event));
    else this.#own.repetitions.add(record, subject, burstOf(event), this.#poolOf(event));
  }

  /** Notes a change that a command of this user made. @param name undefined: of no interface, or of several */
  noteChange(name: string | undefined, text: string, uid: number): void {
    if (name !== undefined && uid === 0) this.#ofUsers.delete(name);
    else if (name !== undefined && this.#ofUsers.size < MOST_SUBJECTS) this.#ofUsers.add(name);
    this.note({ kind: "changed", interface: name, text });
  }

  #poolOf(event: NotableEvent): Bucket | undefined {
    const { kind } = event;
    // Each takes a start of an engine.
    if (kind === "engine-started" || kind === "engine-stopped") return undefined;
    const isOfUsers = "interface" in event && this.#ofUsers.has(event.interface ?? "");
    return isOfUsers || COMMANDED.has(kind) ? this.#pools.commands : this.#pools.others;
  }

  /** What the files do not have yet. */
  async unwritten(): Promise<UnwrittenHistory> {
    await this.#opened;
    const lanes = [this.#own, this.#provoked];
    const records = lanes.flatMap(({ inFlight, waiting, repetitions }) => [
      ...inFlight,
      ...waiting,
      ...repetitions.held,
    ]);
    return {
      directory: this.#directory,
      boot: this.#boot,
      nowUs: this.#now().us,
      records: records.map((each) => this.#numbered(each)),
      failure: this.#failure,
    };
  }

  /** Notes the end of the engine, and writes everything, if the disk lets it in time. */
  async end(how: "stopped" | "left" | "failed"): Promise<void> {
    if (this.#opened === undefined) return;
    for (const { repetitions } of [this.#own, this.#provoked]) repetitions.releaseAll();
    this.note({ kind: "engine-stopped", how });
    const written = (this.#writing ?? Promise.resolve()).then(() => this.#write());
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, END_MS);
    await Promise.race([written, late]);
    clearTimeout(timer);
    clearTimeout(this.#timer);
  }

  #record(event: HistoryEvent): HistoryRecord {
    const { us, epochUs } = this.#now();
    this.#seq++;
    return { seq: this.#seq, boot: this.#boot, upUs: us, atMs: Math.round(epochUs / 1000), times: 1, event };
  }

  #numbered(record: HistoryRecord): HistoryRecord {
    return { ...record, seq: this.#before + record.seq };
  }

  async #open(): Promise<Earlier> {
    const own = await this.#own.file.open();
    const provoked = await this.#provoked.file.open();
    this.#before = Math.max(own.greatestSeq, provoked.greatestSeq);
    return own;
  }

  /** How it ended before, by the last record of then. */
  #endOf(lastLine: string): "boot" | "end" | undefined {
    try {
      const { boot, event } = JSON.parse(lastLine);
      if (boot !== this.#boot) return "boot";
      return event?.kind === "engine-stopped" ? undefined : "end";
    } catch {
      return undefined;
    }
  }

  #wait(lane: Lane, record: HistoryRecord): void {
    lane.waiting.push(record);
    if (lane.waiting.length > lane.most) leaveOldestOut(lane.waiting);
    this.#schedule();
  }

  /** Writes what there is once this turn of the event loop is over: what an engine that is killed has not written is lost. */
  #schedule(): void {
    if (this.#opened === undefined || this.#isScheduled || this.#writing !== undefined) return;
    this.#isScheduled = true;
    const write = () => {
      this.#isScheduled = false;
      // The end writes without waiting for this turn.
      if (this.#writing === undefined) void this.#write();
    };
    if (this.#failure === undefined) setImmediate(write);
    else this.#timer = setTimeout(write, AGAIN_MS).unref();
  }

  #write(): Promise<void> {
    this.#writing = this.#writeAll().finally(() => {
      this.#writing = undefined;
      const waits = [this.#own, this.#provoked].some(({ waiting }) => waiting.length > 0);
      if (waits) this.#schedule();
    });
    return this.#writing;
  }

  async #writeAll(): Promise<void> {
    await this.#opened;
    try {
      for (const lane of [this.#own, this.#provoked]) await this.#writeLane(lane);
      if (this.#failure !== undefined) this.#complain("the history can be written again");
      this.#failure = undefined;
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      const failure = code ?? message;
      if (this.#failure === undefined) this.#complain(`the history cannot be written: ${failure}`);
      this.#failure = failure;
    }
  }

  async #writeLane(lane: Lane): Promise<void> {
    while (lane.waiting.length > 0) {
      lane.inFlight = lane.waiting.splice(0, MOST_AT_ONCE);
      try {
        await lane.file.append(lane.inFlight.map((each) => lineOf(this.#numbered(each))));
      } catch (error) {
        // What was written in part is written again: readers take a number once.
        lane.waiting.unshift(...lane.inFlight);
        throw error;
      } finally {
        lane.inFlight = [];
      }
    }
  }
}

/** Has the first record tell how many are missing, instead of the first two. */
function leaveOldestOut(waiting: HistoryRecord[]): void {
  const [first, second] = waiting;
  if (first === undefined || second === undefined) return;
  const of = ({ event, times }: HistoryRecord) => (event.kind === "unwritten" ? event.count : times);
  const event = { kind: "unwritten", count: of(first) + of(second) } as const;
  waiting.splice(0, 2, { ...second, times: 1, event });
}

/** Events that any host on the network can cause at will. */
const PROVOKED: ReadonlySet<string> = new Set(["discarded", "wrong-digest", "peer-appeared", "peer-gone"]);

/** Events that commands cause at once. */
const COMMANDED: ReadonlySet<string> = new Set(["changed", "created", "destroyed", "demotion"]);

function burstOf({ kind }: NotableEvent): number {
  if (kind === "discarded" || kind === "send-failed") return PACKET_BURST;
  return PROVOKED.has(kind) ? PROVOKED_BURST : BURST;
}

/** The subject of an event, for Repetitions. */
function subjectOf(event: NotableEvent): string {
  switch (event.kind) {
    case "transition":
    case "contested":
    case "send-failed":
    case "peer-appeared":
    case "peer-gone":
    case "wrong-digest":
      return `${event.kind} ${event.interface} ${event.vhid}`;
    case "discarded":
      return `${event.kind} ${event.counter} ${event.interface ?? ""}`;
    case "demotion":
      return `${event.kind} ${event.group ?? ""} ${event.who ?? ""}`;
    case "repaired":
    case "created":
    case "destroyed":
    case "changed":
      return `${event.kind} ${event.interface ?? ""}`;
    case "complaint":
      return `${event.kind} ${event.text.split(" ", 1)}`;
    default:
      return event.kind;
  }
}

/** There may be thousands of addresses, and they are no cause. */
function withoutAddresses(event: NotableEvent): HistoryEvent {
  if (!("addresses" in event)) return event;
  const { addresses: _, ...others } = event;
  return others;
}

/** A record as a line. Texts that make it too long are cut. */
function lineOf(record: HistoryRecord): string {
  let line = `${JSON.stringify(record)}\n`;
  for (const most of CUTS) {
    if (Buffer.byteLength(line) <= MAX_RECORD_BYTES) break;
    const cut = (_: string, value: unknown) =>
      typeof value === "string" && value.length > most ? `${value.slice(0, most)}...` : value;
    line = `${JSON.stringify(record, cut)}\n`;
  }
  return line;
}
