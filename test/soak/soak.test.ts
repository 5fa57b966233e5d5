/** A short time of soak.ts, with other faults each time; `npm run soak -- --minutes 30` runs longer. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { BUSY, soak } from "./soak.ts";

/** Beside the other tests, which take longer. */
const MINUTES = 3;
const seed = Number(process.env.CARPCTL_TEST_SEED ?? Date.now() % 2 ** 31);

test(`faults on a real kernel: every address is answered, by one host (CARPCTL_TEST_SEED=${seed})`, async (t) => {
  const { violations, text } = await soak(MINUTES, seed, (line) => t.diagnostic(line), { slack: BUSY });
  t.diagnostic(text);
  assert.deepEqual(violations, []);
});
