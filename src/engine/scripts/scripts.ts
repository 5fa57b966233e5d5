/**
 * Hooks and service checks of one engine, and the runner that executes both. The runner is started only when such a
 * directory exists.
 */

import { existsSync, statSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import type { Priority } from "../../core/model.ts";
import type { Polling } from "../../kernel/kernel.ts";
import { directoriesOf } from "./directories.ts";
import { Hooks } from "./hooks.ts";
import { Runner } from "./runner/runner.ts";
import type { RunnerProcess } from "./runner/runner-process.ts";
import { ServiceChecks, type ServiceChecksOptions } from "./service-checks.ts";

/** So many files of service checks in one look. */
const LOOK_AT = 100;

/** Time for the hooks of the last changes when the engine stops. */
const LAST_HOOKS_MS = 5000;

export interface ScriptsOptions {
  readonly etcDir: string;
  readonly environment: NodeJS.ProcessEnv;
  readonly runner: RunnerProcess;
  readonly polling: Polling;
  /** @param kind of which the number of lines is limited */
  readonly log: (priority: Priority, text: string, kind?: string) => void;
  readonly failed: ServiceChecksOptions["failed"];
  readonly judge: ServiceChecksOptions["judge"];
  /** Called once when scripts can no longer be run, for which a new engine is needed. */
  readonly lost: () => void;
}

export class Scripts {
  readonly hooks: Hooks;
  readonly checks: ServiceChecks;
  readonly #runner: Runner;
  readonly #directories: readonly string[];

  constructor({ etcDir, environment, runner, polling, log, failed, judge, lost }: ScriptsOptions) {
    const { hooks, checks } = directoriesOf({ ...environment, CARP_ETC_DIR: etcDir });
    this.#runner = new Runner({ log, process: runner, lost });
    this.#directories = [...hooks, ...checks];
    const run = this.#runner.run.bind(this.#runner);
    this.hooks = new Hooks({ exist: () => hooks.some((each) => existsSync(each)), run, log });
    this.checks = new ServiceChecks({
      exist: () => checks.some((each) => existsSync(each)),
      stamp: (files) => [...checks, ...files].map(changeOf).join(),
      run,
      listed: (files) => {
        for (const path of watched) watch.remove(path);
        watched = [...checks, ...files];
        for (const path of watched) watch.add(path);
      },
      log,
      failed,
      judge,
    });
    const watch = polling.watch("file", LOOK_AT, () => this.checks.look());
    let watched: readonly string[] = checks;
    for (const path of watched) watch.add(path);
  }

  start(): void {
    if (this.#exist) this.#runner.start();
  }

  /** Waits for the hooks of the changes so far, at most 5 seconds, and stops the runner. */
  async finish(): Promise<void> {
    this.checks.stop();
    await Promise.race([this.hooks.idle(), pause(LAST_HOOKS_MS, undefined, { ref: false })]);
    await this.stop();
  }

  stop(): Promise<void> {
    this.checks.stop();
    return this.#runner.stop();
  }

  /** Whether there are scripts and no runner can be started. */
  get doNotRun(): boolean {
    return this.#runner.isLost && this.#exist;
  }

  get #exist(): boolean {
    return this.#directories.some((each) => existsSync(each));
  }
}

/** When a file or directory was last changed: another text after each change, also of its mode. */
function changeOf(path: string): string {
  try {
    const { ctimeMs, ino } = statSync(path);
    return `${ino} ${ctimeMs}`;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? "";
  }
}
