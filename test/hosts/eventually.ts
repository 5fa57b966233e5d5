/** Polling: waits for a state of a host that no log line and no frame reports. */

import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import { DEFAULT_TIMEOUT_MS } from "./log.ts";

/** Asks until the answer satisfies the predicate. @returns that answer */
export async function eventually<T>(
  ask: () => Promise<T>,
  isSo: (answer: T) => boolean,
  { timeoutMs = DEFAULT_TIMEOUT_MS }: { timeoutMs?: number } = {},
): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const answer = await ask();
    if (isSo(answer)) return answer;
    if (performance.now() > deadline)
      throw new Error(`not within ${timeoutMs} ms: ${isSo}; at last ${JSON.stringify(answer)}`);
    await sleep(20);
  }
}

/** Asks until the answer deeply equals what is expected; fails with the difference to the last answer. */
export async function eventuallyEqual<T>(
  ask: () => Promise<T>,
  expected: T,
  { timeoutMs = DEFAULT_TIMEOUT_MS }: { timeoutMs?: number } = {},
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const answer = await ask();
    if (isDeepStrictEqual(answer, expected)) return;
    if (performance.now() > deadline) assert.deepEqual(answer, expected);
    await sleep(20);
  }
}
