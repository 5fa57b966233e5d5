/**
 * carp-migration(7) compared with what it is about: our words exist, ucarp and keepalived accept what the page shows of
 * them, and every option of ucarp is there.
 */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { keywordOf } from "../../src/cli/grammar/ifconfig/keywords.ts";
import { VERB_NAMES } from "../../src/cli/grammar/verbs.ts";
import { SYSCTL_VARIABLES } from "../../src/core/sysctl.ts";
import { displays, heads, readPage } from "./mdoc.ts";

const page = readPage("carp-migration.7");
const SECTIONS = ["From OpenBSD", "From FreeBSD and OPNsense", "From ucarp", "From keepalived"];

/** A line of words: their words, and ours. */
const rows = (title: string) =>
  heads(page, title)
    .slice(1)
    .map((row) => row.split(" Ta ") as [string, string]);

test("our words exist", () => {
  const all = SECTIONS.flatMap(rows);
  assert.ok(all.length > 60, `only ${all.length} rows`);
  for (const [theirs, ours = ""] of all) {
    for (const [, words = ""] of ours.matchAll(/\bCm ([^A-Z]+)/g))
      for (const word of words.split(/[ ,:;]+/).filter((each) => /^-?[a-z]/.test(each)))
        assert.ok(
          keywordOf(word) || VERB_NAMES.includes(word) || /^(carpdemote|on|backup)$/.test(word),
          `${theirs}: ${word}`,
        );
    for (const [, name = ""] of ours.matchAll(/\bVa (\S+)/g))
      assert.ok(
        SYSCTL_VARIABLES.some((variable) => variable.name === name),
        `${theirs}: ${name}`,
      );
  }
});

test("FreeBSD's words that are accepted are", () => {
  const accepted = rows("From FreeBSD and OPNsense").filter(([, ours]) => ours.includes("both are accepted"));
  const words = accepted.flatMap(([theirs]) => theirs.replace("Li ", "").split(" , "));
  assert.deepEqual(words, ["add", "remove", "peer", "peer6", "mcast", "mcast6"]);
  for (const word of words) assert.ok(keywordOf(word), word);
});

test("every option of ucarp has a row", (context) => {
  const { stdout, stderr, error } = spawnSync("ucarp", ["--help"], { encoding: "utf8" });
  if (error !== undefined) return context.skip("ucarp is not installed");
  const options = [...`${stdout}${stderr}`.matchAll(/^(--[a-z]+).*\(-\w/gm)].map(([, option]) => option);
  const told = rows("From ucarp").flatMap(([theirs]) => theirs.match(/--[a-z]+/) ?? []);
  assert.deepEqual(told.sort(), options.filter((option) => option !== "--help").sort());
});

test("keepalived takes its configuration, and each of its words has a row", (context) => {
  const [configuration = ""] = displays(page, "vrrp_instance");
  const told = rows("From keepalived").flatMap(([theirs]) => theirs.match(/[a-z_]{4,}/g) ?? []);
  const words = [...configuration.matchAll(/^ {0,4}([a-z_]+)\b/gm)].map(([, word = ""]) => word);
  const inside = new Set(["group", "script", "interval"]);
  for (const word of words) assert.ok(told.includes(word) || inside.has(word), word);
  const directory = mkdtempSync(join(tmpdir(), "carpctl-test-"));
  const path = join(directory, "keepalived.conf");
  // The scripts of the page are not on this machine.
  writeFileSync(path, configuration.replaceAll(/\/(usr\/bin|etc)\/[^\s"]+/g, "/bin/true"));
  const given = ["--config-test", `--use-file=${path}`, "--log-console"];
  const { stdout, stderr, error } = spawnSync("keepalived", given, { encoding: "utf8" });
  rmSync(directory, { recursive: true });
  if (error !== undefined) return context.skip("keepalived is not installed");
  const complaints = `${stdout}${stderr}`.split("\n").filter((line) => /unknown|error|invalid/i.test(line));
  assert.deepEqual(complaints, []);
});
