/**
 * The commands that everything else waits for, one at a time: those of `run`, and a test when its state is entered. One
 * that does not end is told of, and not waited for without end.
 */

import type { ExternalTest } from "../config/ifstated/syntax.ts";
import { type Ended, type ShellCommand, startShellCommand } from "./shell-command.ts";

export interface Patience {
  /** After it a command is named in the log, and left when a reload waits. */
  readonly tellMs: number;
  /** After it a command is left to itself. */
  readonly leaveMs: number;
  /** A test is killed so long after its interval. */
  readonly testMs: number;
}

const PATIENCE: Patience = { tellMs: 10_000, leaveMs: 300_000, testMs: 10_000 };

export interface CommandLog {
  log(text: string): void;
  debug(text: string): void;
}

export class AwaitedCommands {
  readonly #log: CommandLog;
  readonly #patience: Patience;
  /** The test that is waited for. */
  #test: ShellCommand | undefined;
  /** Ends the waiting, once the command has been told of. */
  #leave: (() => void) | undefined;
  #isHurried = false;

  constructor(log: CommandLog, patience = PATIENCE) {
    this.#log = log;
    this.#patience = patience;
  }

  /** Resolves when the command has ended, or is left to itself. */
  async run(command: string): Promise<void> {
    const beganMs = performance.now();
    const running = this.#start(command);
    const ended = await this.#patiently(running, this.#patience.leaveMs, command);
    const what = `"${command}" [${running.pid}]`;
    if (ended === undefined) {
      const seconds = Math.round((performance.now() - beganMs) / 1000);
      this.#log.log(`${what}: still running after ${seconds} seconds, not waited for any longer`);
    } else if ("why" in ended) this.#log.log(`${what}: ${ended.why}`);
    else if (ended.status !== 0) this.#log.debug(`${what}: exit status ${ended.status}`);
  }

  /** @returns the exit status; undefined: the test did not exit */
  async test({ command, seconds }: ExternalTest): Promise<number | undefined> {
    const running = this.#start(command);
    this.#test = running;
    const limitMs = seconds * 1000 + this.#patience.testMs;
    const ended = await this.#patiently(running, limitMs, command);
    this.#test = undefined;
    if (ended !== undefined && "status" in ended) return ended.status;
    if (ended === undefined) running.kill();
    const why = ended?.why ?? `killed, it did not end within ${limitMs / 1000} seconds`;
    this.#log.log(`test "${command}" [${running.pid}]: ${why}`);
    return undefined;
  }

  /** Something waits that cannot do so for long, or (false) no longer does. */
  hurry(isHurried: boolean): void {
    this.#isHurried = isHurried;
    if (isHurried) this.#leave?.();
  }

  /** When this process ends: a test is killed, a command of `run` goes on. */
  close(): void {
    this.#test?.kill();
  }

  #start(command: string): ShellCommand {
    this.#log.debug(`running ${command}`);
    return startShellCommand(command);
  }

  /** Undefined: it has not ended by then. */
  async #patiently(running: ShellCommand, limitMs: number, command: string): Promise<Ended | undefined> {
    const left = Promise.withResolvers<undefined>();
    const leave = () => left.resolve(undefined);
    const limit = setTimeout(leave, Math.min(limitMs, 2 ** 31 - 1));
    const tell = setTimeout(() => {
      this.#log.log(
        `"${command}" [${running.pid}]: still running after ${this.#patience.tellMs / 1000} seconds`,
      );
      this.#leave = leave;
      if (this.#isHurried) leave();
    }, this.#patience.tellMs);
    try {
      return await Promise.race([running.ended, left.promise]);
    } finally {
      this.#leave = undefined;
      clearTimeout(limit);
      clearTimeout(tell);
    }
  }
}
