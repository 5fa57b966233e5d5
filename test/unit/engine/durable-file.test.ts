/** Files that are replaced whole, whatever lies where they are written first. */

import assert from "node:assert/strict";
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { writeDurably, writeDurablySync } from "../../../src/engine/state/durable-file.ts";

for (const [name, write] of [
  ["writeDurably", writeDurably],
  ["writeDurablySync", writeDurablySync],
] as const)
  test(`${name} follows no symbolic link, and replaces what an ended process left`, async () => {
    const directory = mkdtempSync(join(tmpdir(), "carpctl-durable-"));
    try {
      const path = join(directory, "file");
      const victim = join(directory, "victim");
      writeFileSync(victim, "kept");
      symlinkSync(victim, `${path}.new`);
      await write(path, "first");
      writeFileSync(`${path}.new`, "half of it", { mode: 0o666 });
      await write(path, "second");
      assert.equal(readFileSync(path, "utf8"), "second");
      assert.equal(statSync(path).mode & 0o777, 0o600);
      assert.equal(readFileSync(victim, "utf8"), "kept");
      assert.deepEqual(readdirSync(directory).sort(), ["file", "victim"]);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
