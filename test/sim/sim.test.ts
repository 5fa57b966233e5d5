/**
 * Clusters in all kinds of trouble, the same ones every time: whatever happens to them, what has to hold does. More
 * of them: `npm run sim`.
 */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Extent, generate } from "./generate.ts";
import { simulate } from "./simulation.ts";

/** The seeds from `first`, each said with what it violates. */
function violations(first: number, runs: number, extent: Extent): string[] {
  return Array.from({ length: runs }, (_, i) => first + i).flatMap((seed) => {
    const { violation } = simulate(generate(seed, extent));
    return violation === undefined ? [] : [`--seed ${seed}: ${violation.invariant}: ${violation.what}`];
  });
}

describe("hosts in trouble", () => {
  for (const [first, last] of [
    [1, 40],
    [41, 80],
  ] as const)
    it(`keep to the protocol (seeds ${first} to ${last})`, () => {
      assert.deepEqual(violations(first, last - first + 1, { episodes: 20 }), []);
    });

  it("are the same ones for the same seed", () => {
    const [once, again] = [1, 2].map(() => generate(7, { episodes: 20 }));
    assert.ok(once !== undefined && again !== undefined);
    assert.deepEqual(once, again);
    assert.deepEqual(simulate(once), simulate(again));
  });
});
