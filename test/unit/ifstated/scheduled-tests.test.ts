/** Tests that run at intervals: one that hangs or dies is told of once, and delays no other. */

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { ScheduledTests } from "../../../src/ifstated/scheduled-tests.ts";
import { eventually } from "../../hosts/eventually.ts";

test("a test that hangs is killed when its time comes again, told of once, and runs on", async () => {
  const directory = mkdtempSync(join(tmpdir(), "carpctl-test-"));
  const lines: string[] = [];
  const exits: string[] = [];
  const tests = new ScheduledTests({
    queue: (job) => void job(),
    exited: ({ command }, status) => void exits.push(`${command}: ${status}`),
    log: (text) => lines.push(text.replace(/\[\d+\]/, "[PID]")),
    debug: (text) => lines.push(text),
  });
  const hanging = { command: `test -e ${directory}/go || exec sleep 1000`, seconds: 0.2 };
  const dying = { command: "kill -9 $$", seconds: 0.2 };
  const fine = { command: "exit 7", seconds: 0.2 };
  try {
    for (const each of [hanging, dying, fine]) tests.schedule(each);
    const times = (text: string) => lines.filter((line) => line === text).length;
    await eventually(
      async () => times(`running ${hanging.command}`),
      (count) => count >= 4,
    );
    await eventually(
      async () => times(`running ${dying.command}`),
      (count) => count >= 4,
    );
    assert.deepEqual(
      lines.filter((line) => line.startsWith("test ")),
      [
        `test "${dying.command}" [PID]: killed by SIGKILL`,
        `test "${hanging.command}" [PID]: killed, it did not end within 0.2 seconds`,
      ],
    );
    assert.deepEqual([...new Set(exits)], ["exit 7: 7"]);
    writeFileSync(`${directory}/go`, "");
    await eventually(
      async () => exits,
      (all) => all.includes(`${hanging.command}: 0`),
    );
    // A cancelled test tells nothing more.
    tests.cancel(fine);
    const before = exits.filter((each) => each === "exit 7: 7").length;
    const so = exits.length;
    await eventually(
      async () => exits.length,
      (count) => count >= so + 3,
    );
    assert.equal(exits.filter((each) => each === "exit 7: 7").length, before);
  } finally {
    tests.cancelAll();
    rmSync(directory, { recursive: true });
  }
});
