/**
 * Tests of the simulator: it reports each mutation of src as a violation of the invariant that the mutation
 * breaks, each invariant has a mutation, and the same runs without a mutation violate none.
 */

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { execa } from "execa";
import { MUTATIONS } from "./mutations.ts";
import { simulate } from "./simulation.ts";
import { INVARIANTS } from "./violation.ts";

const FOUND = join(import.meta.dirname, "found");
const planOf = (name: string) => join(FOUND, `${name}.json`);

/** @returns the first line that the simulator prints */
async function mutated(name: string): Promise<string> {
  const words = ["--import", join(import.meta.dirname, "mutate.ts"), join(import.meta.dirname, "run.ts")];
  const { stdout, stderr } = await execa(process.execPath, [...words, "--plan", planOf(name)], {
    env: { CARPCTL_SIM_MUTATION: name },
    reject: false,
  });
  return stdout.split("\n")[0] || stderr;
}

describe("the simulator", () => {
  for (const { title, name, violates } of MUTATIONS)
    it(`reports "${violates}" when ${title}`, async () => {
      assert.equal((await mutated(name)).split(":")[0], violates);
    });

  it("reports nothing in the same runs without a mutation, nor in recorded runs that once failed", () => {
    for (const file of readdirSync(FOUND))
      assert.equal(simulate(JSON.parse(readFileSync(join(FOUND, file), "utf8"))).violation, undefined, file);
  });

  it("has a mutation for each invariant", () => {
    const reported = new Set(MUTATIONS.map(({ violates }) => violates));
    assert.deepEqual([...reported].sort(), Object.keys(INVARIANTS).sort());
  });
});
