/** Three minutes of it; `npm run soak -- --minutes 30` for more. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { soak } from "./soak.ts";

const MINUTES = 3;
const seed = Number(process.env.CARPCTL_TEST_SEED ?? Date.now() % 2 ** 31);

test(`faults on a real kernel: every address is answered, by one host (CARPCTL_TEST_SEED=${seed})`, async (t) => {
  const { violations, text } = await soak(MINUTES, seed, (line) => t.diagnostic(line));
  t.diagnostic(text);
  assert.deepEqual(violations, []);
});
