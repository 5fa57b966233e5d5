/**
 * The simulator notices what is wrong: each invariant is violated when the core is changed so that it has to be, and
 * each fault it has found is found again when it is put back. And as the core is, none of those runs violates any.
 */

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { Mutant } from "./mutant.ts";
import { MUTATIONS } from "./mutations.ts";
import { simulate } from "./simulation.ts";
import { INVARIANTS } from "./violation.ts";

const FOUND = join(import.meta.dirname, "found");
const planOf = (name: string) => join(FOUND, `${name}.json`);

describe("the simulator", () => {
  for (const mutation of MUTATIONS) {
    const { title, plan, violates } = mutation;
    it(`reports "${violates}" when ${title}`, async () => {
      const mutant = new Mutant(mutation);
      try {
        assert.equal((await mutant.run("--plan", planOf(plan))).split(":")[0], violates);
      } finally {
        mutant.remove();
      }
    });
  }

  it("reports nothing in the same runs of the core as it is, nor in others that once failed", () => {
    for (const file of readdirSync(FOUND))
      assert.equal(simulate(JSON.parse(readFileSync(join(FOUND, file), "utf8"))).violation, undefined, file);
  });

  it("has been shown to report each invariant", () => {
    const reported = new Set(MUTATIONS.map(({ violates }) => violates));
    assert.deepEqual([...reported].sort(), Object.keys(INVARIANTS).sort());
  });
});
