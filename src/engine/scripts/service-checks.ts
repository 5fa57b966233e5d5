/**
 * Service checks: runs each scheduled check by itself, apart from the others, and all other checks on request,
 * one evaluation at a time; has the host, or interface groups, demoted while checks fail. Requests that arrive during
 * an evaluation share the next one.
 */

import type { ServiceCheck, ServiceStatus } from "../../control/messages.ts";
import type { Priority } from "../../core/model.ts";
import type { FailedCheck } from "../../core/service-demotion.ts";
import { CheckRecord, type ResultCounts } from "./check-record.ts";
import type { Result } from "./runner/messages.ts";
import type { Job, Ran } from "./runner/runner.ts";
import { Schedule } from "./schedule.ts";

/** Between two evaluations: every user may ask for one. */
const PAUSE_MS = 1000;

export interface ServiceChecksOptions {
  /** Whether there is a directory of checks. */
  readonly exist: () => boolean;
  /** A text that is another one when the directories of checks, or these files, have changed. */
  readonly stamp: (files: readonly string[]) => string;
  readonly run: (job: Job) => Promise<Ran>;
  /** Called when the checks were listed: `look` is to be called once more, and when these files have changed. */
  readonly listed?: (files: readonly string[]) => void;
  /** @param kind of which the number of lines is limited */
  readonly log: (priority: Priority, text: string, kind?: string) => void;
  /** The checks that the host demotes for: at first what an earlier engine left. */
  readonly failed: () => readonly FailedCheck[];
  /**
   * Demotes for these checks, and for no other.
   *
   * @returns whether the host is demoted now, or why it could not be done
   */
  readonly judge: (
    failed: readonly FailedCheck[],
  ) => Promise<{ readonly demoted: boolean } | { readonly error: string }>;
}

export type Evaluation = ServiceStatus | { readonly error: string };

/** A check as it is measured. */
export interface CountedCheck extends ServiceCheck {
  readonly file: string;
  readonly counts: ResultCounts;
}

export class ServiceChecks {
  readonly #options: ServiceChecksOptions;
  /** By file, in the order of their names. */
  readonly #records = new Map<string, CheckRecord>();
  readonly #schedule: Schedule;
  /** Why checks are refused, as was logged, by file. */
  readonly #toldRefusals = new Map<string, string>();
  /** Evaluation under way, its pause included. */
  #current: Promise<void> = Promise.resolve();
  #next: Promise<Evaluation> | undefined;
  #judging: ReturnType<ServiceChecksOptions["judge"]> = Promise.resolve({ demoted: false });
  #stamp = "";
  #isListing = false;
  #isStopped = false;

  constructor(options: ServiceChecksOptions) {
    this.#options = options;
    this.#schedule = new Schedule((file) => this.#runScheduled(file));
  }

  /** All checks that are not scheduled, once, begun after this call. */
  evaluate(): Promise<Evaluation> {
    this.#next ??= this.#current.then(() => {
      this.#next = undefined;
      const evaluation = this.#evaluate();
      this.#current = evaluation.then(pause);
      return evaluation;
    });
    return this.#next;
  }

  /** Takes up files that were changed, added and removed. */
  look(): void {
    const { exist, stamp, run } = this.#options;
    if (this.#isStopped || this.#isListing || (!exist() && this.#records.size === 0)) return;
    const found = stamp([...this.#records.keys()]);
    if (found === this.#stamp) return;
    this.#isListing = true;
    const listing: Promise<Ran> = exist()
      ? run({ kind: "checks", list: true })
      : Promise.resolve({ results: [] });
    void listing.then(async (ran) => {
      this.#isListing = false;
      if (this.#isStopped) return;
      if (!("interrupted" in ran)) this.#take(ran.results);
      this.#options.listed?.([...this.#records.keys()]);
      if ("interrupted" in ran) return;
      for (const { name, file, outcome, why } of ran.results)
        if (outcome === "refused") this.#tellRefusal(name, file ?? "", why ?? "");
      // Without the files that are new: the next look finds them, and what has changed meanwhile.
      this.#stamp = found;
      await this.#judge(false);
    });
  }

  /** Ends the schedule. Nothing is demoted or promoted any more. */
  stop(): void {
    this.#isStopped = true;
    this.#schedule.stop();
  }

  get all(): CountedCheck[] {
    const now = performance.now();
    return [...this.#records.values()].map((record) => ({
      ...record.view(now),
      file: record.file,
      counts: record.counts,
    }));
  }

  async #evaluate(): Promise<Evaluation> {
    const { exist, run } = this.#options;
    // The runner takes as much memory as the engine.
    const ran: Ran = exist() ? await run({ kind: "checks" }) : { results: [] };
    if ("interrupted" in ran)
      return { error: `the service checks did not run to their end: ${ran.interrupted}` };
    this.#take(ran.results);
    await this.#schedule.firstRuns();
    const judged = await this.#judge(true);
    if ("error" in judged) return judged;
    const now = performance.now();
    return { ...judged, checks: [...this.#records.values()].map((record) => record.view(now)) };
  }

  /** Takes what was found of every check. */
  #take(results: readonly Result[]): void {
    const known = new Map(this.#records);
    this.#records.clear();
    for (const result of results) this.#takeOne(result, known.get(result.file ?? result.path));
    this.#schedule.set(
      [...this.#records.values()].flatMap(({ file, isRefused, settings: { every } }) =>
        every === undefined || isRefused ? [] : { file, everyMs: every * 1000 },
      ),
    );
    for (const file of this.#toldRefusals.keys())
      if (!this.#records.get(file)?.isRefused) this.#toldRefusals.delete(file);
  }

  #takeOne(result: Result, known: CheckRecord | undefined): CheckRecord {
    const file = result.file ?? result.path;
    const demotes = this.#options.failed().some((each) => each.file === file);
    const record = known ?? new CheckRecord(result, demotes);
    record.take(result, performance.now());
    this.#records.set(file, record);
    return record;
  }

  async #runScheduled(file: string): Promise<void> {
    const { run, log } = this.#options;
    const beganMs = performance.now();
    const ran = await run({ kind: "checks", only: [file] });
    if (this.#isStopped || "interrupted" in ran) return;
    const record = this.#records.get(file);
    const result = ran.results.find((each) => each.file === file);
    // Removed meanwhile, or no longer: the next look says which.
    if (record === undefined || result === undefined) return;
    const before = record.last?.outcome;
    this.#takeOne(result, record);
    const { name, count, settings } = record;
    const { every, fall = 1 } = settings;
    if (every === undefined || record.isRefused) this.#schedule.remove(file);
    else this.#schedule.change(file, every * 1000);
    const kind = `service check ${name}`;
    if (result.outcome === "refused") this.#tellRefusal(name, file, result.why ?? "");
    else if (result.outcome === "failed" && count === 1) {
      const patience = fall > 1 ? `, 1 of ${fall} failures` : "";
      log(4, `service check ${name} failed${patience}: ${result.why}${firstLine(result.output)}`, kind);
    } else if (result.outcome === "passed" && before === "failed")
      log(6, `service check ${name} passes again`, kind);
    if (every !== undefined && performance.now() - beganMs > every * 1000 && this.#schedule.noteSlow(file))
      log(
        4,
        `service check ${name} takes longer than the ${every} s between two runs: it is run again when it has ended`,
      );
    await this.#judge(false);
  }

  #tellRefusal(name: string, file: string, why: string): void {
    if (this.#toldRefusals.get(file) === why) return;
    this.#toldRefusals.set(file, why);
    this.#options.log(3, `service check ${name} is not run: ${why}`);
  }

  /** @param onRequest the checks that are run on request were: what is not among them has ended */
  #judge(onRequest: boolean): ReturnType<ServiceChecksOptions["judge"]> {
    const next = () => this.#options.judge(this.#wanted(onRequest));
    this.#judging = this.#judging.then(next, next);
    return this.#judging;
  }

  #wanted(onRequest: boolean): FailedCheck[] {
    const records = [...this.#records.values()];
    const before = this.#options.failed();
    const failed = records.flatMap(({ demotion }) => demotion ?? []);
    const gone = before.filter(({ file }) => !this.#records.has(file));
    const kept = onRequest ? [] : gone.filter(({ isScheduled }) => !isScheduled);
    const wanted = [...failed, ...kept];
    // A check that is not run tells nothing of its service: a demotion does not end while there is one.
    if (records.some(({ isRefused }) => isRefused)) {
      const scopes = new Set(wanted.map(({ group }) => group));
      wanted.push(...before.filter(({ group }) => !scopes.has(group)));
    }
    return wanted.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  }
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, PAUSE_MS).unref());
}

function firstLine(output: string): string {
  const [line = ""] = output.trim().split("\n");
  return line === "" ? "" : `: ${line.slice(0, 200)}`;
}
