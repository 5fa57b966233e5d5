/** Waiting for what nobody announces: asking again until it is so. */

import { setTimeout as sleep } from "node:timers/promises";
import { DEFAULT_TIMEOUT_MS } from "./log.ts";

/** @returns the first answer that is so. */
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
