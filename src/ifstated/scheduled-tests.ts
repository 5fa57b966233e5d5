/**
 * The external tests that run every so many seconds. A test that still runs when its time has come again is killed. No
 * test delays another one, or a change of state.
 */

import type { ExternalTest } from "../config/ifstated/syntax.ts";
import type { Steps } from "./machine.ts";
import { type ShellCommand, startShellCommand } from "./shell-command.ts";

/** The longest that a timer of Node takes: a test with a longer interval runs that often. */
const LONGEST_MS = 2 ** 31 - 1;

export interface TestEvents {
  /** Puts a job behind the events that wait: a test is not started while a command runs. */
  queue(job: () => Steps | undefined): void;
  exited(test: ExternalTest, status: number): Steps | undefined;
  log(text: string): void;
  debug(text: string): void;
}

export class ScheduledTests {
  readonly #events: TestEvents;
  readonly #timers = new Map<ExternalTest, NodeJS.Timeout>();
  readonly #running = new Map<ExternalTest, ShellCommand>();
  /** Tests that did not exit the last time, which was told. */
  readonly #failing = new Set<ExternalTest>();

  constructor(events: TestEvents) {
    this.#events = events;
  }

  schedule(test: ExternalTest): void {
    clearTimeout(this.#timers.get(test));
    const timer = setTimeout(
      () =>
        this.#events.queue(() => {
          if (this.#timers.get(test) !== timer) return undefined;
          this.schedule(test);
          this.#start(test);
          return undefined;
        }),
      Math.min(test.seconds * 1000, LONGEST_MS),
    );
    this.#timers.set(test, timer);
  }

  cancel(test: ExternalTest): void {
    clearTimeout(this.#timers.get(test));
    this.#timers.delete(test);
    this.#kill(test);
  }

  cancelAll(): void {
    for (const test of [...this.#timers.keys()]) this.cancel(test);
  }

  #start(test: ExternalTest): void {
    const earlier = this.#running.get(test);
    if (earlier !== undefined)
      this.#complain(test, `[${earlier.pid}]: killed, it did not end within ${test.seconds} seconds`);
    this.#kill(test);
    this.#events.debug(`running ${test.command}`);
    const running = startShellCommand(test.command);
    this.#running.set(test, running);
    void running.ended.then((ended) =>
      this.#events.queue(() => {
        // It was killed, and perhaps started again, since.
        if (this.#running.get(test) !== running) return undefined;
        this.#running.delete(test);
        if ("status" in ended) {
          this.#failing.delete(test);
          return this.#events.exited(test, ended.status);
        }
        this.#complain(test, `[${running.pid}]: ${ended.why}`);
        return undefined;
      }),
    );
  }

  /** Once, until the test exits again. */
  #complain(test: ExternalTest, why: string): void {
    if (!this.#failing.has(test)) this.#events.log(`test "${test.command}" ${why}`);
    this.#failing.add(test);
  }

  #kill(test: ExternalTest): void {
    this.#running.get(test)?.kill();
    this.#running.delete(test);
  }
}
