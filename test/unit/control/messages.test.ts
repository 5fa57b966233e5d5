/**
 * The schema of the control messages, for the texts that a file of configuration or a terminal has to carry.
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { checkParams } from "../../../src/control/messages.ts";

for (const key of ["description", "pass"] as const)
  for (const [what, text] of [
    ["a newline", "a\nb"],
    ["a tabulator", "a\tb"],
    ["an escape", "a\x1b[2J"],
    ["a NUL", "a\0b"],
    ["a line separator", "a\u2028b"],
    ["a bidirectional control", "a\u202eb"],
  ] as const)
    test(`a ${key} with ${what} is refused`, () =>
      assert.deepEqual(checkParams("change", { name: "carp0", change: { [key]: text } }), {
        refusal: `${key}: control characters are not allowed`,
      }));

test("a description of other characters is taken", () => {
  const change = { description: "it's größe 🔑 $HOME" };
  assert.deepEqual(checkParams("change", { name: "carp0", change }), { params: { name: "carp0", change } });
});

test("a carpdev with a bidirectional control is refused", () => {
  assert.deepEqual(checkParams("change", { name: "carp0", change: { carpdev: "eth\u202e0" } }), {
    refusal: "carpdev eth\\u202e0: not a device name",
  });
});
