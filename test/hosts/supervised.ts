/**
 * An engine under a supervisor that does what the unit in carpd(8) asks of a service manager: it starts the engine
 * again 100 ms after it has ended, and kills it when it stops answering the watchdog.
 */

import { join } from "node:path";
import { Engine } from "./engine.ts";
import type { Host } from "./host.ts";
import type { LogLine } from "./log.ts";

const SUPERVISOR = join(import.meta.dirname, "supervisor.py");

export interface SupervisedOptions {
  /** The command of the engine, without `engine` and its options. */
  readonly program: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly watchdogMs?: number;
}

export class Supervised {
  readonly #engine: Engine;

  private constructor(engine: Engine) {
    this.#engine = engine;
  }

  /** Resolves when the engine answers. */
  static async start(host: Host, options: SupervisedOptions): Promise<Supervised> {
    const { program, environment, watchdogMs = 2000 } = options;
    const socket = join(host.etcDirectory, "notify");
    const words = [SUPERVISOR, socket, String(watchdogMs), ...program, "engine", "--log", "stderr"];
    const spawned = host.spawn("/usr/bin/python3", words, environment === undefined ? {} : { environment });
    const supervised = new Supervised(await Engine.attach(spawned, host.runDirectory, host.name));
    await supervised.#engine.waitForLog(/^ready$/);
    return supervised;
  }

  /** Messages and the log are those of every engine, one after the other; stopping it ends the supervisor. */
  get engine(): Engine {
    return this.#engine;
  }

  /** The process of the engine that runs now. */
  get pid(): number {
    const started = this.#engine.log.lines.flatMap(({ text }) => /^started (\d+)$/.exec(text)?.[1] ?? []);
    return Number(started.at(-1));
  }

  /** Resolves when the engine has ended, and another one is ready. @returns how it ended, `exited -9` */
  async restarts(act: () => void): Promise<string> {
    const from = this.#engine.log.length;
    act();
    const { text }: LogLine = await this.#engine.waitForLog(/^exited /, { from });
    await this.#engine.waitForLog(/^ready$/, { from });
    return text;
  }
}
