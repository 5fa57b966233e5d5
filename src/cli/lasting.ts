/**
 * A command that goes on until somebody ends it: where it prints, and when it has to end. It ends at a signal, and
 * when nobody reads any more what it prints.
 */

import { fstatSync } from "node:fs";

export interface Lasting {
  write(text: string): void;
  /** Aborts when the command has to end. */
  readonly ended: AbortSignal;
}

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
const LOOK_EVERY_MS = 1000;

export function lasting(outputIsRead: () => Promise<boolean>): Lasting {
  const controller = new AbortController();
  const end = () => controller.abort();
  for (const signal of SIGNALS) process.once(signal, end);
  process.stdout.on("error", end);
  endWhenUnread(controller, outputIsRead);
  return { write: (text) => void process.stdout.write(text), ended: controller.signal };
}

/** A pipe tells by itself that its reader has gone only when something is written, which may be long. */
function endWhenUnread(controller: AbortController, outputIsRead: () => Promise<boolean>): void {
  const output = fstatSync(1);
  if (!output.isFIFO() && !output.isSocket()) return;
  const look = async () => (await outputIsRead()) || controller.abort();
  const looking = setInterval(() => void look(), LOOK_EVERY_MS).unref();
  controller.signal.addEventListener("abort", () => clearInterval(looking));
}

/** Resolves after that time, or earlier when `signal` aborts. */
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
