/** The table of topics: one meaning for each name, and every name is one that a command can print. */

import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { CHECK } from "../../../src/topics/check.ts";
import { DIGESTS } from "../../../src/topics/digests.ts";
import { DOCTOR } from "../../../src/topics/doctor.ts";
import { TOPICS } from "../../../src/topics/topics.ts";

const tree = join(import.meta.dirname, "../../..");

test("a name is short, in lower case with dashes, and has one meaning", () => {
  const names = [DOCTOR, DIGESTS, CHECK].flatMap((each) => Object.keys(each));
  assert.deepEqual(names, [...TOPICS.keys()]);
  for (const name of names) assert.match(name, /^[a-z0-9]+(-[a-z0-9]+)*$/);
});

test("doctor can find everything that it has a topic for", () => {
  const text = globSync(["src/doctor/*.ts", "src/cli/commands/doctor.ts"], { cwd: tree })
    .map((file) => readFileSync(join(tree, file), "utf8"))
    .join("\n");
  assert.deepEqual(
    Object.keys(DOCTOR).filter((name) => !text.includes(`"${name}"`)),
    [],
  );
  assert.ok(text.includes("`digest-$" + "{cause}`"));
});
