/**
 * `carpctl plan` agrees with the simulator about clusters drawn at random: a failure of each kind has the same masters
 * before, during and after it in both, and nobody answers for as long; see agreement.ts for what that means.
 */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { disagreements } from "./agreement.ts";

const CLUSTERS = 200;
/** Enough in one test to see where a disagreement begins. */
const TOGETHER = 50;

describe("what plan predicts for random clusters, the simulator does", () => {
  for (let first = 1; first <= CLUSTERS; first += TOGETHER)
    it(`clusters ${first} to ${first + TOGETHER - 1}`, async () => {
      const found: string[] = [];
      for (let seed = first; seed < first + TOGETHER; seed++) found.push(...(await disagreements(seed)));
      assert.deepEqual(found, []);
    });
});
