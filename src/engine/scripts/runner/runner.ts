/**
 * The engine's end of the runner: starts it, starts it again when it dies, and gives it jobs. Whatever the
 * runner sends or fails to send, the engine only waits for promises, and each of them is settled.
 */

import { jsonLine } from "../../../control/framing.ts";
import type { Priority } from "../../../core/model.ts";
import { type Result, type Run, RunnerMessage, readMessages } from "./messages.ts";
import { killGroup } from "./run-script.ts";
import type { RunnerProcess } from "./runner-process.ts";

export type Job = Omit<Run, "id">;
export type Ran =
  | { readonly results: readonly Result[] }
  /** Why it did not run to its end; `again`: it may succeed when given again. */
  | { readonly interrupted: string; readonly again: boolean };

/** Time beyond a script's limit for which the runner may be silent about it. */
const SILENT_MS = 10_000;
/** Unread orders of a runner that no longer runs. */
const MAX_UNREAD_BYTES = 8 * 1024 * 1024;
/** Pause before it is started again: doubled each time, until it has lived for a minute. */
const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 30_000;
const LIVED_MS = 60_000;
/** For a runner that has only to kill its scripts. */
const LEAVE_MS = 200;

interface Pending {
  readonly job: Job;
  readonly settle: (ran: Ran) => void;
  silence?: NodeJS.Timeout;
}

export interface RunnerOptions {
  readonly log: (priority: Priority, text: string) => void;
  readonly start: () => RunnerProcess;
}

export class Runner {
  readonly #options: RunnerOptions;
  readonly #pending = new Map<number, Pending>();
  /** Process groups of what it runs. */
  readonly #scripts = new Set<number>();
  #process: RunnerProcess | undefined;
  #killed = false;
  #lastId = 0;
  #pauseMs = FIRST_PAUSE_MS;
  #restart: NodeJS.Timeout | undefined;
  #stopping = false;

  constructor(options: RunnerOptions) {
    this.#options = options;
  }

  /** Starts the runner before the first job, which then does not wait for it. */
  start(): void {
    if (this.#process !== undefined || this.#restart !== undefined || this.#stopping) return;
    const startedMs = performance.now();
    const started = this.#options.start();
    this.#process = started;
    this.#killed = false;
    void started.ended.then((how) => this.#gone(how, performance.now() - startedMs));
    const { socket } = started;
    if (socket === undefined) return;
    socket.on("error", () => {});
    readMessages(
      socket,
      RunnerMessage,
      (report) => this.#receive(report),
      (why) => this.#kill(`sent ${why}`),
    );
    for (const [id, { job }] of this.#pending) this.#ask(id, job);
  }

  /** Runs a job. Resolves when all of its scripts have run, or will not. */
  run(job: Job): Promise<Ran> {
    if (this.#stopping) return Promise.resolve({ interrupted: "the engine is stopping", again: false });
    return new Promise((settle) => {
      const id = ++this.#lastId;
      this.#pending.set(id, { job, settle });
      if (this.#process !== undefined) this.#ask(id, job);
      else this.start();
    });
  }

  /** Ends the runner and everything that it runs. Resolves when it is gone. */
  async stop(): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#restart);
    const leaving = this.#process;
    if (leaving === undefined) return;
    leaving.socket?.end();
    const late = setTimeout(() => this.#kill(undefined), LEAVE_MS);
    await leaving.ended;
    clearTimeout(late);
  }

  #ask(id: number, job: Job): void {
    const socket = this.#process?.socket;
    if (socket === undefined) return;
    this.#watch(id);
    socket.write(jsonLine({ id, ...job }));
    if (socket.writableLength > MAX_UNREAD_BYTES) this.#kill("does not read");
  }

  /** Starts the time within which the runner has to report on a job. */
  #watch(id: number): void {
    const pending = this.#pending.get(id);
    if (pending === undefined) return;
    clearTimeout(pending.silence);
    pending.silence = setTimeout(() => this.#kill("does not report"), pending.job.limitMs + SILENT_MS);
  }

  #receive(report: RunnerMessage): void {
    const pending = this.#pending.get(report.id);
    if (pending === undefined) {
      this.#kill("reported on an unknown job");
      return;
    }
    this.#watch(report.id);
    switch (report.kind) {
      case "began":
        this.#scripts.add(report.pid);
        break;
      case "ended":
        this.#scripts.delete(report.pid);
        break;
      case "ran":
        this.#settle(report.id, { results: report.results });
        break;
    }
  }

  #settle(id: number, ran: Ran): void {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    clearTimeout(pending?.silence);
    pending?.settle(ran);
  }

  #kill(why: string | undefined): void {
    if (this.#process === undefined || this.#killed) return;
    this.#killed = true;
    if (why !== undefined) this.#options.log(3, `the runner ${why}: killed`);
    this.#process.kill();
  }

  #gone(how: string, livedMs: number): void {
    // A process that it started may still hold the other end.
    this.#process?.socket?.destroy();
    this.#process = undefined;
    for (const pid of this.#scripts) killGroup(pid);
    this.#scripts.clear();
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
    const ran = { interrupted: `the runner ended (${how})`, again: !this.#stopping };
    for (const id of [...this.#pending.keys()]) this.#settle(id, ran);
  }
}
