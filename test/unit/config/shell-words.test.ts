/** Lines of hostname.carpN files as words, and words as lines, as a shell reads them. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import fc from "fast-check";
import { quoted, quotedWords, splitWords } from "../../../src/config/shell-words.ts";

for (const [line, words] of [
  ["", []],
  ["  \t ", []],
  ["inet 10.0.0.1\t255.255.255.0 ", ["inet", "10.0.0.1", "255.255.255.0"]],
  ["# a comment 'with a quote", []],
  ["vhid 1 # a comment", ["vhid", "1"]],
  ["vhid#1 \\#2 '#3'", ["vhid#1", "#2", "#3"]],
  ["'a b' \"c d\" e\\ f", ["a b", "c d", "e f"]],
  ["'' \"\"", ["", ""]],
  ["a'b'\"c\"\\d", ["abcd"]],
  ["'it'\\''s' \"it's\"", ["it's", "it's"]],
  ['"\\$ \\" \\` \\\\ \\n"', ['$ " ` \\ \\n']],
  ["'\\'", ["\\"]],
  ["$HOME `id` $(id) *", ["$HOME", "`id`", "$(id)", "*"]],
  ["x$'y'z $'' $", ["x$yz", "$", "$"]],
  ["größe '🔑'", ["größe", "🔑"]],
] as const)
  test(`split: ${line}`, () => assert.deepEqual(splitWords(line), words));

for (const [line, refusal] of [
  ["pass 'open", "unterminated quote"],
  ['pass "open', "unterminated quote"],
  ['pass "open\\"', "unterminated quote"],
  ["pass open\\", "a backslash at the end of the line"],
] as const)
  test(`refused: ${line}`, () => assert.deepEqual(splitWords(line), { refusal }));

const word = fc.oneof(
  fc.string({ unit: "binary" }),
  fc.string({ unit: fc.constantFrom("a", "'", '"', "\\", "$", "#", " ", "\t", "ä", "🔑") }),
);

test("what is quoted is split into the same words again", () => {
  fc.assert(
    fc.property(fc.array(word), (words) => {
      assert.deepEqual(splitWords(quotedWords(words)), words);
    }),
  );
});

test("a shell reads the same words", () => {
  const words = fc.sample(word, 300).filter((each) => !each.includes("\0"));
  const script = `printf '%s\\0' ${quotedWords(words)}`;
  const { stdout } = spawnSync("bash", ["-c", script], { encoding: "utf8" });
  assert.deepEqual(stdout.split("\0").slice(0, -1), words);
});

test("plain words are not quoted", () => {
  for (const plain of ["10.0.0.1/24", "2001:db8::1", "1:0,2:100", "-group", "net.inet.carp.preempt=1"])
    assert.equal(quoted(plain), plain);
});
