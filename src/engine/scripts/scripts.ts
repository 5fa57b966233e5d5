/**
 * Hooks and service checks of one engine: where their directories are, and the runner that executes both. The
 * runner is started only when such a directory exists.
 */

import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import type { Priority } from "../../core/model.ts";
import { Hooks } from "./hooks.ts";
import type { Keeper } from "./runner/keeper.ts";
import { Runner } from "./runner/runner.ts";
import { type RunnerProcess, spawnRunner } from "./runner/runner-process.ts";
import { ServiceChecks, type ServiceChecksOptions } from "./service-checks.ts";

/** The directory in which packages written for another carp system install their checks. */
const OTHER_CHECKS = "/usr/local/etc/rc.carp_service_status.d";
/** Time for the hooks of the last changes when the engine stops. */
const LAST_HOOKS_MS = 5000;

export interface ScriptsOptions {
  readonly runDir: string;
  readonly etcDir: string;
  readonly environment: NodeJS.ProcessEnv;
  /** Starts the runner with the privileges that the engine has given up. */
  readonly keeper?: Keeper | undefined;
  readonly log: (priority: Priority, text: string) => void;
  readonly judge: ServiceChecksOptions["judge"];
}

export class Scripts {
  readonly hooks: Hooks;
  readonly checks: ServiceChecks;
  readonly #runner: Runner;
  #stopping = false;
  readonly #keeper: Keeper | undefined;
  readonly #directories: readonly string[];

  constructor({ runDir, etcDir, environment: own, keeper, log, judge }: ScriptsOptions) {
    const carp = resolve(etcDir, "carp");
    const path = own.CARP_SERVICE_STATUS_PATH || `${join(carp, "service_status.d")}:${OTHER_CHECKS}`;
    const directories = path
      .split(":")
      .filter((each) => each !== "")
      .map((each) => resolve(each));
    const hooksDirectory = join(carp, "hooks.d");
    const environment = { CARP_RUN_DIR: resolve(runDir), CARP_ETC_DIR: resolve(etcDir) };
    this.#keeper = keeper;
    this.#runner = new Runner({ log, start: () => this.#startRunner() });
    void keeper?.gone.then(() => {
      if (!this.#stopping)
        log(4, "the keeper is gone: hooks and service checks have only the engine's privileges from now on");
    });
    this.#directories = [hooksDirectory, ...directories];
    const run = this.#runner.run.bind(this.#runner);
    this.hooks = new Hooks({ directory: hooksDirectory, run, log, environment });
    this.checks = new ServiceChecks({ directories, run, judge, environment });
  }

  start(): void {
    if (this.#exist) this.#runner.start();
  }

  /** Waits for the hooks of the changes so far, at most 5 seconds, and stops the runner. */
  async finish(): Promise<void> {
    await Promise.race([this.hooks.idle(), pause(LAST_HOOKS_MS, undefined, { ref: false })]);
    await this.stop();
  }

  stop(): Promise<void> {
    this.#stopping = true;
    return this.#runner.stop();
  }

  /** Whether there are scripts and no keeper, so that they have only the engine's privileges. */
  get areConfined(): boolean {
    return this.#keeper?.isThere !== true && this.#exist;
  }

  get #exist(): boolean {
    return this.#directories.some((each) => existsSync(each));
  }

  #startRunner(): RunnerProcess {
    const own = [process.execPath, ...process.execArgv, process.argv[1] ?? ""];
    return this.#keeper?.startRunner() ?? spawnRunner(own);
  }
}
