/** One script of the runner's: whatever is the matter with it, there is a result. */

import assert from "node:assert/strict";
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { runScript } from "../../../src/engine/scripts/runner/run-script.ts";

const directory = mkdtempSync(join(tmpdir(), "carpctl-script-"));
after(() => rmSync(directory, { recursive: true }));

function run(path: string, environment: Readonly<Record<string, string>> = {}) {
  const options = { limitMs: 10_000, environment, began: () => {}, ended: () => {} };
  return runScript({ name: "script", path }, options);
}

const failed = (path: string, why: string) => ({ name: "script", path, outcome: "failed", why, output: "" });

test("a script that is not there has failed", async () => {
  assert.deepEqual(await run("/nonexistent"), failed("/nonexistent", "cannot be run (ENOENT)"));
});

test("a script that is being written has failed", async () => {
  const path = join(directory, "busy");
  writeFileSync(path, "#!/bin/sh\n", { mode: 0o755 });
  const writer = openSync(path, "a");
  assert.deepEqual(await run(path), failed(path, "cannot be run (ETXTBSY)"));
  closeSync(writer);
  assert.equal((await run(path)).outcome, "passed");
});

test("a script whose environment is larger than the kernel allows has failed", async () => {
  const path = "/bin/true";
  const environment = { CARP_ADDRESSES: "10.0.0.1/24 ".repeat(20_000) };
  assert.deepEqual(await run(path, environment), failed(path, "cannot be run (E2BIG)"));
});
