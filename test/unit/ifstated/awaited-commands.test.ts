/** The commands that everything waits for: one that hangs, dies or cannot be run is told of, and left. */

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { AwaitedCommands, type Patience } from "../../../src/ifstated/awaited-commands.ts";
import { eventually } from "../../hosts/eventually.ts";

function commands(patience: Partial<Patience> = {}) {
  const lines: string[] = [];
  const log = (text: string) => void lines.push(text.replace(/\[\d+\]/, "[PID]"));
  const awaited = new AwaitedCommands(
    { log, debug: log },
    { tellMs: 60_000, leaveMs: 60_000, testMs: 60_000, ...patience },
  );
  return { awaited, lines };
}

test("a command is waited for, and its end is told unless its exit status is 0", async () => {
  const { awaited, lines } = commands();
  await awaited.run("true");
  await awaited.run("exit 3");
  await awaited.run("kill -9 $$");
  assert.deepEqual(lines, [
    "running true",
    "running exit 3",
    '"exit 3" [PID]: exit status 3',
    "running kill -9 $$",
    '"kill -9 $$" [PID]: killed by SIGKILL',
  ]);
  assert.equal(await awaited.test({ command: "exit 2", seconds: 1 }), 2);
  assert.equal(await awaited.test({ command: "kill -9 $$", seconds: 1 }), undefined);
  assert.equal(lines.at(-1), 'test "kill -9 $$" [PID]: killed by SIGKILL');
});

test("a command that hangs is left to itself, and goes on", async () => {
  const directory = mkdtempSync(join(tmpdir(), "carpctl-test-"));
  try {
    const { awaited, lines } = commands({ tellMs: 50, leaveMs: 100 });
    const command = `until test -e ${directory}/go; do sleep 0.05; done; echo done > ${directory}/end`;
    await awaited.run(command);
    assert.deepEqual(lines.slice(1), [
      `"${command}" [PID]: still running after 0.05 seconds`,
      `"${command}" [PID]: still running after 0 seconds, not waited for any longer`,
    ]);
    await awaited.run(`touch ${directory}/go`);
    const end = () => Promise.resolve().then(() => readFileSync(`${directory}/end`, "utf8"));
    assert.equal(await eventually(() => end().catch(() => ""), Boolean), "done\n");
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test("what waits behind a command that hangs can hurry it, once it has been told of", async () => {
  const { awaited, lines } = commands({ tellMs: 50 });
  const hanging = awaited.run("exec sleep 5");
  awaited.hurry(true);
  await hanging;
  assert.match(lines.at(-1) ?? "", /not waited for any longer$/);
  awaited.hurry(false);
  await awaited.run("true");
});

test("a test that hangs is killed with its processes", async () => {
  const { awaited, lines } = commands({ testMs: -900 });
  assert.equal(await awaited.test({ command: "sleep 1000 | sleep 1000", seconds: 1 }), undefined);
  assert.equal(
    lines.at(-1),
    'test "sleep 1000 | sleep 1000" [PID]: killed, it did not end within 0.1 seconds',
  );
});
