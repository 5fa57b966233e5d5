/**
 * Long-running commands: printing, and when they end. They end at a signal, and when the reader of their
 * output has gone.
 */

import { fstatSync } from "node:fs";

export interface LongRunning {
  write(text: string): void;
  /** Aborts when the command has to end. */
  readonly ended: AbortSignal;
}

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
const CHECK_EVERY_MS = 1000;

export function longRunning(outputIsRead: () => Promise<boolean>): LongRunning {
  const controller = new AbortController();
  const end = () => controller.abort();
  for (const signal of SIGNALS) process.once(signal, end);
  process.stdout.on("error", end);
  endWhenUnread(controller, outputIsRead);
  return { write: (text) => void process.stdout.write(text), ended: controller.signal };
}

/** A pipe reports that its reader has gone only on a write, and the next write may be far away. */
function endWhenUnread(controller: AbortController, outputIsRead: () => Promise<boolean>): void {
  const output = fstatSync(1);
  if (!output.isFIFO() && !output.isSocket()) return;
  const check = async () => (await outputIsRead()) || controller.abort();
  const checks = setInterval(() => void check(), CHECK_EVERY_MS).unref();
  controller.signal.addEventListener("abort", () => clearInterval(checks));
}

/** Waits for that time, or until `signal` aborts. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) {
      resolve();
      return;
    }
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done);
  });
}
