/**
 * Words that are being typed, with a NUL behind each: every candidate begins with the last word, comes once,
 * and has no control characters; nothing throws or waits long.
 */

import assert from "node:assert/strict";
import fc from "fast-check";
import { complete } from "../../../src/cli/completion/complete.ts";
import { everyWord } from "../../../src/cli/grammar/ifconfig/keywords.ts";
import { defaultOptions, GLOBAL_OPTIONS } from "../../../src/cli/grammar/options.ts";
import { VERB_NAMES } from "../../../src/cli/grammar/verbs.ts";
import { hasControlCharacter } from "../../../src/control/printable.ts";
import type { Target, Trial } from "../target.ts";
import { word } from "./words.ts";

const MOST_BYTES = 4096;

/** No engine and no files: what is offered comes from the tables and the machine. */
const nowhere = { ...defaultOptions({}), runDir: "/nonexistent/run", etcDir: "/nonexistent/etc" };

async function feed(input: Uint8Array): Promise<void> {
  const words = Buffer.from(input.subarray(0, MOST_BYTES)).toString("utf8").split("\0");
  const current = words.at(-1) ?? "";
  const text = await complete(words, nowhere);
  if (/^:(files|named-files|directories|hosts)\n$/.test(text)) return;
  assert.ok(text === "" || text.endsWith("\n"));
  const lines = text.split("\n").slice(0, -1);
  const candidates = lines.map((line) => line.split("\t"));
  for (const [candidate = "", help = "", ...others] of candidates) {
    assert.deepEqual(others, []);
    assert.ok(candidate !== "" && candidate.startsWith(current), candidate);
    for (const text of [candidate, help]) assert.ok(!hasControlCharacter(text), text);
  }
  assert.equal(new Set(candidates.map(([candidate]) => candidate)).size, candidates.length, text);
}

const beginning = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(...VERB_NAMES) },
  { weight: 2, arbitrary: fc.constantFrom("carp0", "create", "destroy", "-g", "-a", "ifconfig") },
  { weight: 1, arbitrary: word },
);
const unfinished = fc.tuple(word, fc.nat(6)).map(([whole, letters]) => whole.slice(0, letters));

export const completion: Target = {
  name: "completion",
  sensible: fc
    .tuple(beginning, fc.array(word, { maxLength: 5 }), unfinished)
    .map(([first, rest, last]) => Buffer.from([first, ...rest, last].join("\0"))),
  tokens: [
    ...["\0", "\0-", "\0--", "=", "\n", "\t", "-", "\u{1f600}"],
    ...everyWord().map((keyword) => `\0${keyword}\0`),
    ...GLOBAL_OPTIONS.map(({ name }) => `\0--${name}=`),
    ...VERB_NAMES,
  ],
  tries: 300,
  open: (): Trial => ({ feed }),
};
