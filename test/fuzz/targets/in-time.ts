/** Limits of time for inputs that could keep a target waiting for ever: half a minute, which nothing should need. */

import { setTimeout as sleep, setImmediate as turn } from "node:timers/promises";

const LIMIT_MS = 30_000;

/** Rejects when the work has not ended in time. */
export async function inTime<T>(work: Promise<T>): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`hung for ${LIMIT_MS / 1000} s`)), LIMIT_MS);
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Turns of the event loop that something in this process may need; another process is given time. */
const OWN_TURNS = 1000;

/** Resolves when the condition holds, which is asked in each turn of the event loop. */
export async function until(what: string, condition: () => boolean): Promise<void> {
  const deadlineMs = performance.now() + LIMIT_MS;
  for (let turns = 0; !condition(); turns++) {
    if (performance.now() > deadlineMs) throw new Error(`${what}: not within ${LIMIT_MS / 1000} s`);
    await (turns < OWN_TURNS ? turn() : sleep(1));
  }
}
