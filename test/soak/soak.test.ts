/** Three minutes of soak.ts; `npm run soak -- --minutes 30` runs longer. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { BUSY, soak } from "./soak.ts";

const MINUTES = 3;
const seed = Number(process.env.CARPCTL_TEST_SEED ?? Date.now() % 2 ** 31);

test(`faults on a real kernel: every address is answered, by one host (CARPCTL_TEST_SEED=${seed})`, async (t) => {
  const { violations, text } = await soak(MINUTES, seed, (line) => t.diagnostic(line), BUSY);
  t.diagnostic(text);
  assert.deepEqual(violations, []);
});
