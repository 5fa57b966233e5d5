/** carp(4) against what it tells of: the variables, the modes, the hash, the messages; and every page is good mdoc. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { globSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { test } from "node:test";
import { BALANCING_MODES } from "../../src/control/messages.ts";
import { SYSCTL_VARIABLES } from "../../src/core/sysctl.ts";
import { fold, nodeIndex } from "../../src/protocol/load-sharing.ts";

const tree = join(import.meta.dirname, "../..");
const page = readFileSync(join(tree, "man/carp.4"), "utf8");

function section(title: string): string {
  const [, text] = page.split(new RegExp(`^\\.S[hs] ${title}\\n`, "m"));
  assert.ok(text !== undefined, `no section ${title}`);
  return text.split(/^\.S[hs] /m)[0] ?? "";
}

/** What stands behind `.It` in a section, one for each entry. */
const heads = (title: string) => [...section(title).matchAll(/^\.It (.*)$/gm)].map(([, head = ""]) => head);

test("every variable is there with its default", () => {
  const rows = heads("SYSCTL VARIABLES").slice(1);
  assert.deepEqual(
    rows.map((row) => row.split(" Ta ").slice(0, 2)),
    SYSCTL_VARIABLES.map(({ name, initial }) => [`Va ${name}`, String(initial)]),
  );
});

test("every balancing mode is explained", () => {
  assert.deepEqual(
    heads("Modes"),
    BALANCING_MODES.map((mode) => `Cm ${mode}`),
  );
});

test("the hash is computed as it says", () => {
  const lines = [...section("The hash").matchAll(/^(\S+) -> (\S+): (\d+), node (\d+)$/gm)];
  assert.equal(lines.length, 3);
  for (const [line, source = "", destination = "", folded, node] of lines)
    assert.deepEqual(
      [fold(source, destination), nodeIndex(source, destination, 2)],
      [Number(folded), Number(node)],
      line,
    );
});

test("every message is one that the engine logs, and all reasons to discard a packet are told", () => {
  const sources = globSync(join(tree, "src/{core,engine}/*.ts")).map((path) => readFileSync(path, "utf8"));
  const text = sources.join("\n");
  const told = heads("DIAGNOSTICS").map((head) => head.replace(/ Pq .*$/, "").replace(/^Em carp : /, ""));
  // What is filled in, and from where on the words of others follow.
  const pieces = told.flatMap((head) => head.replace(/(transition|repaired): .*| by N.*/, "$1").split("N"));
  for (const piece of pieces.map((each) => each.trim())) assert.ok(text.includes(piece), piece);
  const reasons = [...text.matchAll(/discarded\("\w+", \d, [`"](.*?)[`"]\)/g)].map(([, what = ""]) => what);
  assert.ok(reasons.length > 5);
  for (const reason of reasons) {
    const words =
      reason
        .replace(/^\$\{virtualHost\}: /, "")
        .split("${")[0]
        ?.trim() ?? "";
    assert.ok(
      told.some((head) => head.startsWith(words)),
      reason,
    );
  }
});

for (const path of globSync(join(tree, "man/*")))
  test(`${basename(path)} is good mdoc`, () => {
    const { error, stdout, stderr } = spawnSync("mandoc", ["-T", "lint", path], { encoding: "utf8" });
    assert.ifError(error);
    // Which other manuals are installed here is not the page's business.
    const complaints = `${stdout}${stderr}`
      .split("\n")
      .filter((line) => line !== "" && !/referenced manual not found|mandoc\.db/.test(line));
    assert.deepEqual(complaints, []);
  });
