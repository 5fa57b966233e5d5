/**
 * Check record: what is known of one service check: how it is run, its last result, and whether it demotes, which
 * follows from how many results in a row were the same. Knows no clock: times come in.
 */

import type { ScriptSettings } from "../../config/script-head.ts";
import type { ServiceCheck } from "../../control/messages.ts";
import { type FailedCheck, MOST_BY_SERVICES } from "../../core/service-demotion.ts";
import { KINDS, type Result } from "./runner/messages.ts";

/** Results by outcome, since the engine started. */
export interface ResultCounts {
  readonly passed: number;
  readonly failed: number;
  readonly refused: number;
}

type Outcome = keyof ResultCounts;

interface Last {
  readonly outcome: Outcome;
  readonly why?: string | undefined;
  readonly output: string;
  readonly durationMs?: number | undefined;
  readonly atMs: number;
}

export class CheckRecord {
  readonly name: string;
  readonly file: string;
  #path: string;
  #settings: ScriptSettings;
  #last: Last | undefined;
  /** Results in a row with the outcome of the last one. */
  #count = 0;
  #counts: ResultCounts = { passed: 0, failed: 0, refused: 0 };
  #demotes: boolean;

  /** @param demotes whether it did when the engine started */
  constructor({ name, path, file = path, settings = {} }: Result, demotes: boolean) {
    this.name = name;
    this.file = file;
    this.#path = path;
    this.#settings = settings;
    this.#demotes = demotes;
  }

  /** Takes what the runner tells of it. */
  take({ path, settings = {}, outcome, why, output, durationMs }: Result, atMs: number): void {
    this.#path = path;
    // What is refused says nothing of how it is run.
    if (outcome !== "refused") this.#settings = settings;
    if (outcome === "listed") {
      // It is understood again, and has no result yet.
      if (this.#last?.outcome === "refused") this.#last = undefined;
      return;
    }
    this.#count = this.#last?.outcome === outcome ? this.#count + 1 : 1;
    this.#counts = { ...this.#counts, [outcome]: this.#counts[outcome] + 1 };
    this.#last = { outcome, why, output, durationMs, atMs };
    const { fall = 1, rise = 1 } = this.#settings;
    if (outcome === "failed" && this.#count >= fall) this.#demotes = true;
    if (outcome === "passed" && this.#count >= rise) this.#demotes = false;
  }

  get settings(): ScriptSettings {
    return this.#settings;
  }

  get last(): Last | undefined {
    return this.#last;
  }

  get count(): number {
    return this.#count;
  }

  get counts(): ResultCounts {
    return this.#counts;
  }

  get isRefused(): boolean {
    return this.#last?.outcome === "refused";
  }

  get isScheduled(): boolean {
    return this.#settings.every !== undefined;
  }

  /** What it demotes; undefined: nothing. */
  get demotion(): FailedCheck | undefined {
    if (!this.#demotes) return undefined;
    const { demote: by = MOST_BY_SERVICES, group } = this.#settings;
    const { name, file } = this;
    return {
      file,
      name,
      by,
      ...(group === undefined ? {} : { group }),
      ...(this.isScheduled ? { isScheduled: true } : {}),
    };
  }

  view(nowMs: number): ServiceCheck {
    const { every, timeout, fall = 1, rise = 1, demote, group, user } = this.#settings;
    const { outcome = "waiting", why, output = "", durationMs, atMs } = this.#last ?? {};
    return {
      name: this.name,
      path: this.#path,
      outcome,
      why,
      output,
      count: this.#count,
      durationSeconds: durationMs === undefined ? undefined : durationMs / 1000,
      ageSeconds: atMs === undefined ? undefined : Math.max(0, Math.round(nowMs - atMs)) / 1000,
      demotes: this.#demotes,
      every,
      timeout: timeout ?? KINDS.checks.limitMs / 1000,
      fall,
      rise,
      demote: demote ?? MOST_BY_SERVICES,
      group,
      user,
    };
  }
}
