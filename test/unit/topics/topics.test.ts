/** The table of topics: one meaning for each name, and every name is one that a command can print. */

import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { everyWord } from "../../../src/cli/grammar/ifconfig/keywords.ts";
import { VERB_NAMES } from "../../../src/cli/grammar/verbs.ts";

import { SYSCTL_VARIABLES } from "../../../src/core/sysctl.ts";

import { CHECK } from "../../../src/topics/check.ts";
import { DIGESTS } from "../../../src/topics/digests.ts";
import { DOCTOR } from "../../../src/topics/doctor.ts";
import { SERVING } from "../../../src/topics/interfaces.ts";
import { GROUPS, TOPICS } from "../../../src/topics/topics.ts";

import { called } from "../cli/called.ts";

const tree = join(import.meta.dirname, "../../..");

test("a name is short, in lower case with dashes, and has one meaning", () => {
  const names = GROUPS.flatMap(({ topics }) => Object.keys(topics));
  assert.deepEqual(names, [...TOPICS.keys()]);
  assert.deepEqual([...names].sort(), [...Object.keys(DOCTOR), ...Object.keys(CHECK)].sort());
  for (const name of names) assert.match(name, /^[a-z0-9]+(-[a-z0-9]+)*$/);
  assert.deepEqual(
    [...everyWord(), ...VERB_NAMES].filter((word) => TOPICS.has(word)),
    [],
  );
});

/** Words that stand for what a reader has. */
const PLACEHOLDERS: Readonly<Record<string, string>> = {
  N: "1",
  NAME: "no-carrier",
  A: "10.0.0.8",
  B: "10.0.0.9",
  C: "10.0.0.10",
  ADDRESS: "10.0.0.9",
  LENGTH: "24",
  FILE: import.meta.filename,
};

test("every command of carpctl in a topic is one, and every variable exists", async () => {
  const known: string[] = SYSCTL_VARIABLES.map(({ name }) => name);
  for (const { name, meaning, see = "", todo } of TOPICS.values()) {
    const text = `${meaning} ${see} ${todo}`;
    for (const [, words = ""] of text.matchAll(/'carpctl ([^']*)'/g)) {
      const typed = words.replace(/,\.\.\./g, "").split(/ /);
      const given = typed.map((word) => word.replace(/\b[A-Z]+\b/g, (each) => PLACEHOLDERS[each] ?? each));
      // Neither needs an engine.
      if (["doctor", "engine"].includes(given[0] ?? "")) continue;
      const { status, err } = await called(given);
      assert.ok(
        status === 0 || err.includes("the engine is not running"),
        `${name}: carpctl ${words}: ${err}`,
      );
    }
    for (const [variable] of text.matchAll(/net\.inet\.carp\.\w+/g))
      assert.ok(known.includes(variable), `${name}: ${variable}`);
  }
});

test("doctor can find everything that it has a topic for", () => {
  const text = globSync(["src/doctor/*.ts", "src/cli/commands/doctor.ts"], { cwd: tree })
    .map((file) => readFileSync(join(tree, file), "utf8"))
    .join("\n");
  // The core has the names of the others, by their types.
  const ofCore = { ...SERVING, ...DIGESTS };
  assert.deepEqual(
    Object.keys(DOCTOR).filter((name) => !(name in ofCore) && !text.includes(`"${name}"`)),
    [],
  );
  assert.match(text, /fault\(`digest-\$\{cause\}`/);
  assert.match(text, /fault\(notRunningKind, .*fault\(kind, name, text,/s);
});
