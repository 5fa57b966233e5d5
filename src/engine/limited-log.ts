/**
 * LimitedLog: rate limit for log lines that any host on the network can cause; a last line tells how many
 * were left out. Lines about the engine itself do not pass through it.
 */

import type { Priority } from "../core/model.ts";
import type { Log } from "../kernel/process/syslog.ts";

const WINDOW_MS = 1000;
const LINES_A_WINDOW = 50;

export class LimitedLog {
  readonly #log: Log;
  #lines = 0;
  #leftOut = 0;
  /** The most important priority among the lines left out. */
  #priority: Priority = 7;
  #window: NodeJS.Timeout | undefined;

  constructor(log: Log) {
    this.#log = log;
  }

  line(priority: Priority, text: string): void {
    this.#window ??= setTimeout(() => this.#closeWindow(), WINDOW_MS).unref();
    this.#lines += 1;
    if (this.#lines <= LINES_A_WINDOW) {
      this.#log(priority, text);
      return;
    }
    this.#leftOut += 1;
    if (priority < this.#priority) this.#priority = priority;
  }

  #closeWindow(): void {
    if (this.#leftOut > 0) this.#log(this.#priority, `${this.#leftOut} more lines like these were left out`);
    this.#lines = 0;
    this.#leftOut = 0;
    this.#priority = 7;
    this.#window = undefined;
  }
}
