/**
 * The engine's end of the runner: has it started, and started again when it dies, and gives it jobs. Whatever the
 * runner sends or fails to send, the engine only waits for promises, and each of them is settled. A runner that does
 * not keep to the messages is left alone: the engine may not kill a process of root.
 */

import { constants } from "node:os";
import { jsonLine, readLines } from "../../../control/framing.ts";
import type { Priority } from "../../../core/model.ts";
import { KINDS, type Result, type Run, RunnerMessage, readMessages } from "./messages.ts";
import type { RunnerProcess } from "./runner-process.ts";

type WithoutId<T> = T extends unknown ? Omit<T, "id"> : never;
export type Job = WithoutId<Run>;
export type Ran =
  | { readonly results: readonly Result[] }
  /** Why it did not run to its end; `again`: it may succeed when given again. */
  | { readonly interrupted: string; readonly again: boolean };

/** Time beyond a script's limit for which the runner may be silent about it. */
const SILENT_MS = 10_000;
/** `exited 255` */
const MAX_SHELL_LINE_BYTES = 32;
/** Unread orders of a runner that no longer runs. */
const MAX_UNREAD_BYTES = 8 * 1024 * 1024;
/** Pause before it is started again: doubled each time, until it has lived for a minute. */
const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 30_000;
const LIVED_MS = 60_000;
/** For a runner that has only to kill its scripts. */
const LEAVE_MS = 500;

interface Pending {
  readonly job: Job;
  readonly settle: (ran: Ran) => void;
  silence?: NodeJS.Timeout;
}

export interface RunnerOptions {
  readonly log: (priority: Priority, text: string) => void;
  readonly process: RunnerProcess;
  /** Called once when no runner can be started any more. */
  readonly lost: () => void;
}

export class Runner {
  readonly #options: RunnerOptions;
  readonly #pending = new Map<number, Pending>();
  /** When it was started; undefined: it does not run. */
  #startedMs: number | undefined;
  #isLost = false;
  #lastId = 0;
  /** The last job that was given to an earlier runner. */
  #settledId = 0;
  #pauseMs = FIRST_PAUSE_MS;
  #restart: NodeJS.Timeout | undefined;
  #stopping = false;

  constructor(options: RunnerOptions) {
    this.#options = options;
    const { socket, shell, ended } = options.process;
    void ended.then(() => this.#lose("what starts it ended"));
    if (socket === undefined || shell === undefined) return;
    for (const each of [socket, shell]) each.on("error", () => {}).unref();
    readLines(
      shell,
      MAX_SHELL_LINE_BYTES,
      (line) => this.#gone(exitText(Number(line.toString("latin1").replace("exited ", "")))),
      () => this.#lose("what starts it talks nonsense"),
    );
    readMessages(
      socket,
      RunnerMessage,
      (report) => this.#receive(report),
      (why) => this.#lose(`it sent ${why}`),
    );
  }

  /** Whether no runner can be started any more. */
  get isLost(): boolean {
    return this.#isLost;
  }

  /** Starts the runner before the first job, which then does not wait for it. */
  start(): void {
    if (this.#startedMs !== undefined || this.#restart !== undefined || this.#stopping || this.#isLost)
      return;
    this.#startedMs = performance.now();
    // What an earlier runner left unread has been settled.
    this.#options.process.shell?.write(`start ${this.#settledId + 1}\n`);
    for (const [id, { job }] of this.#pending) this.#ask(id, job);
  }

  /** Runs a job. Resolves when all of its scripts have run, or will not. */
  run(job: Job): Promise<Ran> {
    if (this.#stopping) return Promise.resolve({ interrupted: "the engine is stopping", again: false });
    if (this.#isLost) return Promise.resolve({ interrupted: "no runner can be started", again: false });
    return new Promise((settle) => {
      const id = ++this.#lastId;
      this.#pending.set(id, { job, settle });
      if (this.#startedMs !== undefined) this.#ask(id, job);
      else this.start();
    });
  }

  /** Ends the runner and everything that it runs. Resolves when it is gone, or does not go. */
  async stop(): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#restart);
    const { socket, shell, ended } = this.#options.process;
    shell?.ref();
    for (const each of [socket, shell]) each?.end();
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, LEAVE_MS);
    await Promise.race([ended, late]);
    clearTimeout(timer);
    for (const each of [socket, shell]) each?.destroy();
    this.#end("the engine is stopping", false);
  }

  #ask(id: number, job: Job): void {
    const { socket } = this.#options.process;
    if (socket === undefined) return;
    this.#watch(id);
    socket.write(jsonLine({ id, ...job }));
    if (socket.writableLength > MAX_UNREAD_BYTES) this.#lose("it does not read");
  }

  /** Starts the time within which the runner has to report on a job. */
  #watch(id: number): void {
    const pending = this.#pending.get(id);
    if (pending === undefined) return;
    clearTimeout(pending.silence);
    const limitMs = KINDS[pending.job.kind].longestMs + SILENT_MS;
    pending.silence = setTimeout(() => this.#lose("it does not report"), limitMs);
  }

  #receive(report: RunnerMessage): void {
    const pending = this.#pending.get(report.id);
    if (pending === undefined) {
      this.#lose("it reported on an unknown job");
      return;
    }
    this.#watch(report.id);
    if (report.kind === "ran") this.#settle(report.id, { results: report.results });
  }

  #settle(id: number, ran: Ran): void {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    clearTimeout(pending?.silence);
    pending?.settle(ran);
  }

  /** Gives the runner up: it can neither be spoken to nor started again. */
  #lose(why: string): void {
    if (this.#isLost || this.#stopping) return;
    this.#isLost = true;
    clearTimeout(this.#restart);
    const { socket, shell } = this.#options.process;
    for (const each of [socket, shell]) each?.destroy();
    this.#options.log(3, `the runner of hooks and service checks is given up: ${why}`);
    this.#end(`the runner was given up: ${why}`, false);
    this.#options.lost();
  }

  #gone(how: string): void {
    const livedMs = performance.now() - (this.#startedMs ?? 0);
    if (!this.#stopping) {
      this.#options.log(3, `the runner of hooks and service checks ended (${how}), starting it again`);
      if (livedMs >= LIVED_MS) this.#pauseMs = FIRST_PAUSE_MS;
      this.#restart = setTimeout(() => {
        this.#restart = undefined;
        this.start();
      }, this.#pauseMs);
      this.#restart.unref();
      this.#pauseMs = Math.min(LONGEST_PAUSE_MS, 2 * this.#pauseMs);
    }
    this.#end(`the runner ended (${how})`, !this.#stopping);
  }

  /** Settles every job. What the runner left running, the next one kills. */
  #end(interrupted: string, again: boolean): void {
    this.#startedMs = undefined;
    this.#settledId = this.#lastId;
    for (const id of [...this.#pending.keys()]) this.#settle(id, { interrupted, again });
  }
}

/** A status as the shell gives it: above 128 it stands for a signal. */
function exitText(status: number): string {
  const signal = Object.entries(constants.signals).find(([, number]) => number === status - 128);
  return signal?.[0] ?? `exit status ${status}`;
}
