/** `ifstated` on the command line: its options as getopt(3) has them, the check of a file, and which files it trusts. */

import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { execa } from "execa";

const MAIN = join(import.meta.dirname, "../../../src/main.ts");

let directory: string;
let path: string;
before(() => {
  directory = mkdtempSync(join(tmpdir(), "carpctl-test-"));
  path = join(directory, "ifstated.conf");
});
after(() => rmSync(directory, { recursive: true }));

async function ifstated(text: string, ...words: readonly string[]) {
  writeFileSync(path, text, { mode: 0o644 });
  const { stdout, stderr, exitCode } = await execa(process.execPath, [MAIN, ...words], {
    env: { CARPCTL_ARGV0: "/usr/sbin/ifstated", CARP_ETC_DIR: directory, CARP_RUN_DIR: "/nonexistent" },
    reject: false,
  });
  return { stdout, stderr: stderr.replaceAll(path, "FILE").split("\n"), exitCode };
}

test("-n tells every error with its line, and exits with 1", async () => {
  assert.deepEqual(await ifstated("init-state a\nrun\n", "-n"), {
    stdout: "",
    stderr: ["FILE:1: init-state a: no such state", "FILE:2: run: expected a command, in quotes"],
    exitCode: 1,
  });
  // Without it, the same errors keep it from starting.
  assert.equal((await ifstated("run\n", "-d")).exitCode, 1);
});

test("-n of a file without errors warns of interfaces that do not exist", async () => {
  const text = "x = 'none0.link.up'\nif lo.link.up || carp7.link.up run 'x'\nif $x run 'y'\n";
  assert.deepEqual(await ifstated(text, "-n"), {
    stdout: "",
    stderr: ["FILE:3: warning: none0: no such interface now", "configuration OK"],
    exitCode: 0,
  });
});

test("options are read as getopt reads them; -D stands for what the file defines, -v prints macros", async () => {
  const text = "x = 'none0.link.up'\nif $x run 'y'\n";
  for (const words of [
    ["-nvv", "-D", "x=lo.link.up", "-D", "y=1=2", "-f", path],
    ["-vn", "-v", "-Dx=lo.link.up", "-Dy=1=2", `-f${path}`],
    ["-vnvf", path, "-D", "x=lo.link.up", "-Dy=1=2"],
  ])
    assert.deepEqual(
      await ifstated(text, ...words),
      {
        stdout: 'x = "lo.link.up"\ny = "1=2"',
        stderr: ["warning: macro 'y' not used", "configuration OK"],
        exitCode: 0,
      },
      words.join(" "),
    );
});

test("what is no option or macro is told with the usage", async () => {
  const usage = "usage: ifstated [-d] [-n] [-v] [-D MACRO=VALUE] [-f FILE]";
  for (const [words, message] of [
    [["-x"], "-x: unknown option"],
    [["word"], "word: unknown argument"],
    [["-f"], "-f: needs a value"],
    [["-D", "a-b=c"], "-D a-b=c: expected MACRO=VALUE, where MACRO is letters, digits and _"],
    [["-D", "a"], "-D a: expected MACRO=VALUE, where MACRO is letters, digits and _"],
  ] as const) {
    const { stderr, exitCode } = await ifstated("", ...words);
    assert.deepEqual([stderr, exitCode], [[`ifstated: ${message}`, usage], 2]);
  }
});

test("a file that others can write, or that is none, is refused", async () => {
  assert.deepEqual((await ifstated("", "-n", "-f", "/nonexistent")).stderr, ["/nonexistent: no such file"]);
  writeFileSync(path, "");
  chmodSync(path, 0o666);
  const { stderr, exitCode } = await ifstated("", "-n");
  assert.deepEqual([stderr, exitCode], [["FILE: it can be written by others than root"], 1]);
  chmodSync(path, 0o644);
});
