/** The table of topics: one meaning for each name, and every name is one that a command can print. */

import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { everyWord } from "../../../src/cli/grammar/ifconfig/keywords.ts";
import { VERB_NAMES } from "../../../src/cli/grammar/verbs.ts";
import { CHECK } from "../../../src/topics/check.ts";
import { DIGESTS } from "../../../src/topics/digests.ts";
import { DOCTOR } from "../../../src/topics/doctor.ts";
import { SERVING } from "../../../src/topics/interfaces.ts";
import { GROUPS, TOPICS } from "../../../src/topics/topics.ts";

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
  assert.match(text, /fault\(notRunningKind, .*fault\(kind, name, text\)/s);
});
