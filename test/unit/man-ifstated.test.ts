/** ifstated(8) and ifstated.conf(5) compared with the program: options, examples and keywords. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { optionsOf } from "../../src/cli/grammar/verb-parser.ts";
import { VERBS } from "../../src/cli/grammar/verbs.ts";
import { parseIfstatedFile } from "../../src/config/ifstated/parser.ts";
import { displays, readPage, section, tree } from "./mdoc.ts";

const daemon = readPage("ifstated.8");
const file = readPage("ifstated.conf.5");

test("every option has an entry", () => {
  const verb = VERBS.find(({ names }) => names.includes("ifstated"));
  assert.ok(verb);
  const described = [...section(daemon, "DESCRIPTION").matchAll(/^\.It Fl (\w)/gm)].map(
    ([, name]) => `-${name}`,
  );
  assert.deepEqual(
    described.sort(),
    optionsOf(verb)
      .map(({ word }) => word)
      .sort(),
  );
});

test("every example is a file without errors", () => {
  const examples = displays(section(file, "EXAMPLES"), "state ");
  assert.equal(examples.length, 3);
  for (const text of examples) {
    const parsed = parseIfstatedFile(Buffer.from(text.replaceAll("\\e", "\\")));
    assert.ok(!("errors" in parsed), JSON.stringify(parsed));
    assert.ok(parsed.initial !== undefined);
  }
});

test("every keyword of the language is explained", () => {
  const lexer = readFileSync(join(tree, "src/config/ifstated/lexer.ts"), "utf8");
  const [, list = ""] = /const KEYWORDS = \[(.*?)\] as const/s.exec(lexer) ?? [];
  const keywords = [...list.matchAll(/"([^"]+)"/g)].map(([, word = ""]) => word);
  assert.equal(keywords.length, 13);
  for (const word of keywords)
    assert.match(
      file,
      new RegExp(
        `(\\.Cm |Cm \\.link\\.|Cm \\.|link\\.|^\\t)${RegExp.escape(word)}\\b|Cm ${RegExp.escape(word)}`,
        "m",
      ),
    );
});
