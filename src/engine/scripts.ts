/**
 * What the engine runs for others: the hooks that hear of changes of state and the checks of services, both in the
 * runner. Knows where they are; the runner is started only where there are any.
 */

import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import type { Priority } from "../core/effect.ts";
import { Hooks } from "./hooks.ts";
import { Runner } from "./runner/runner.ts";
import { ServiceChecks, type ServiceChecksOptions } from "./service-status.ts";

/** Where packages written for another carp system put their checks. */
const OTHER_CHECKS = "/usr/local/etc/rc.carp_service_status.d";
/** How long hooks may take to hear of the last changes when the engine stops. */
const LAST_HOOKS_MS = 5000;

export interface ScriptsOptions {
  readonly runDir: string;
  readonly etcDir: string;
  readonly environment: NodeJS.ProcessEnv;
  readonly log: (priority: Priority, text: string) => void;
  readonly judge: ServiceChecksOptions["judge"];
}

export class Scripts {
  readonly hooks: Hooks;
  readonly checks: ServiceChecks;
  readonly #runner: Runner;
  readonly #directories: readonly string[];

  constructor({ runDir, etcDir, environment: own, log, judge }: ScriptsOptions) {
    const carp = resolve(etcDir, "carp");
    const path = own.CARP_SERVICE_STATUS_PATH || `${join(carp, "service_status.d")}:${OTHER_CHECKS}`;
    const directories = path
      .split(":")
      .filter((each) => each !== "")
      .map((each) => resolve(each));
    const hooksDirectory = join(carp, "hooks.d");
    const environment = { CARP_RUN_DIR: resolve(runDir), CARP_ETC_DIR: resolve(etcDir) };
    this.#runner = new Runner({ log });
    this.#directories = [hooksDirectory, ...directories];
    const run = this.#runner.run.bind(this.#runner);
    this.hooks = new Hooks({ directory: hooksDirectory, run, log, environment });
    this.checks = new ServiceChecks({ directories, run, judge, environment });
  }

  start(): void {
    if (this.#directories.some((each) => existsSync(each))) this.#runner.start();
  }

  /** Lets the hooks hear of what has happened so far, for as long as nobody minds. */
  async finish(): Promise<void> {
    await Promise.race([this.hooks.idle(), pause(LAST_HOOKS_MS, undefined, { ref: false })]);
    await this.stop();
  }

  stop(): Promise<void> {
    return this.#runner.stop();
  }
}
