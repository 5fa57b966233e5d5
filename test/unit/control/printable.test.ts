/** Foreign text as messages and documents repeat it: nothing in it acts on a terminal. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { escapeControls, escapeControlsInJson } from "../../../src/control/printable.ts";

/** Every control character, line separator and bidirectional control, and plain text around them. */
const CONTROLS = [
  ...Array.from({ length: 0x20 }, (_, code) => code),
  ...Array.from({ length: 0x21 }, (_, n) => 0x7f + n),
  ...[0x061c, 0x200e, 0x200f, 0x2028, 0x2029, 0x202a, 0x202e, 0x2066, 0x2069],
];
const TEXT = `a${String.fromCodePoint(...CONTROLS)}b \u00e9 \u{1f600}`;
const CONTROL = /[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/u;

test("text has no control character left, and is escaped once", () => {
  const escaped = escapeControls(TEXT);
  assert.doesNotMatch(escaped, CONTROL);
  assert.equal(escapeControls(escaped), escaped);
  assert.ok(escaped.endsWith("b \u00e9 \u{1f600}"));
});

test("a JSON document has none but its line ends, and means the same", () => {
  for (const indent of [undefined, 2]) {
    const document = escapeControlsInJson(JSON.stringify({ [TEXT]: [TEXT] }, undefined, indent));
    assert.doesNotMatch(document.replaceAll("\n", ""), CONTROL);
    assert.deepEqual(JSON.parse(document), { [TEXT]: [TEXT] });
  }
});
