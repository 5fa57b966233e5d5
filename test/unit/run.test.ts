/** test/run itself: what it prints when a test fails, and what it leaves. */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { LINE_LIMIT, WIDTH_LIMIT } from "../failure-report.ts";

const directory = mkdtempSync(join(tmpdir(), "run-"));
after(() => rmSync(directory, { recursive: true }));

/** Runs test/run on one file, as a run of its own. */
function runOn(file: string): Promise<{ status: number; output: string }> {
  const { NODE_TEST_CONTEXT: _, CARPCTL_TEST_RUN: __, ...environment } = process.env;
  const env = {
    ...environment,
    TMPDIR: directory,
    CARPCTL_TEST_OTHERS_AT_WORK: "1",
    NO_COLOR: "1",
    FORCE_COLOR: "0",
  };
  return new Promise((resolve) => {
    execFile(join(import.meta.dirname, "../run"), [file], { env }, (error, stdout, stderr) =>
      resolve({ status: error === null ? 0 : Number(error.code), output: stdout + stderr }),
    );
  });
}

test("a failure prints its assertion in at most 60 lines and names a file with the whole text", async () => {
  const { status, output } = await runOn("test/fixtures/failing.test.ts");
  assert.equal(status, 1);
  const [, ...failures] = output.slice(output.indexOf("failing tests:")).split(/^✖ /m);
  assert.deepEqual(failures.map((text) => text.split(" (")[0]).slice(0, 5), [
    "a long comparison",
    "a long message",
    "a comparison of long lines",
    "a long line that is not as wanted",
    "a short comparison",
  ]);
  const [comparison = "", message = "", ofLines = "", longLine = "", short = ""] = failures;
  for (const text of failures) {
    assert.ok(text.split("\n").length <= LINE_LIMIT + 5, text);
    assert.ok(text.split("\n").every((line) => line.length <= WIDTH_LIMIT + 5));
  }

  assert.match(comparison, /AssertionError: Expected values to be strictly deep-equal/);
  assert.match(comparison, /^ *\+ +name: 'carp1500',?$/m);
  assert.match(comparison, /^ *- +name: 'other',?$/m);
  assert.match(comparison, /at .*failing\.test\.ts:\d+/);
  assert.match(message, /Error: nothing came\n/);
  assert.match(message, /line of carp2999\n/);
  assert.match(ofLines, /^ *\+ ".*carp1500.*"\n *- ".*other.*"$/m);
  assert.match(longLine, /did not match the regular expression/);
  assert.match(short, /1 !== 2/);

  const named = [comparison, message].map((text) => /The whole text: (.*)$/m.exec(text)?.[1] ?? "");
  const [comparisonFile = "", messageFile = ""] = named;
  assert.match(readFileSync(comparisonFile, "utf8"), /carp2999/);
  assert.match(readFileSync(messageFile, "utf8"), /line of carp1500/);
  assert.doesNotMatch(short, /The whole text/);
  assert.match(output, /nothing left behind/);
});

test("a success leaves no file", async () => {
  const before = readdirSync(directory);
  const file = join(directory, "passing.test.ts");
  writeFileSync(file, 'import { test } from "node:test";\ntest("a success", () => {});\n');
  const { status, output } = await runOn(file);
  rmSync(file);
  assert.equal(status, 0, output);
  assert.deepEqual(readdirSync(directory), before);
});
