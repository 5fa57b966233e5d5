/**
 * Simulates the clusters and faults of fixed seeds: no invariant is violated. `npm run sim` simulates more of
 * them.
 */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Extent, generate } from "./generate.ts";
import { generateRolling } from "./rolling.ts";
import { simulate } from "./simulation.ts";

/** Simulates the seeds from `first` on, and returns a line for each violation. */
function violations(first: number, runs: number, extent: Extent, draw = generate): string[] {
  return Array.from({ length: runs }, (_, i) => first + i).flatMap((seed) => {
    const { violation } = simulate(draw(seed, extent));
    return violation === undefined ? [] : [`--seed ${seed}: ${violation.invariant}: ${violation.what}`];
  });
}

describe("simulated hosts with faults", () => {
  for (const [first, last] of [
    [1, 30],
    [31, 60],
  ] as const)
    it(`violate no invariant (seeds ${first} to ${last})`, () => {
      assert.deepEqual(violations(first, last - first + 1, { episodes: 20 }), []);
    });

  it("have one master while pass and addresses are changed host by host", () => {
    assert.deepEqual(violations(1, 15, { episodes: 20 }, generateRolling), []);
  });

  it("run the same for the same seed", () => {
    const [once, again] = [1, 2].map(() => generate(7, { episodes: 20 }));
    assert.ok(once !== undefined && again !== undefined);
    assert.deepEqual(once, again);
    assert.deepEqual(simulate(once), simulate(again));
  });
});
