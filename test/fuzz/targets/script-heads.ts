/**
 * Heads of service checks and hooks: what is taken is within its ranges and can be written as a head that means the same;
 * each refusal names a line of the head, in words. A file without a head line means nothing, whatever it is.
 */

import assert from "node:assert/strict";
import fc from "fast-check";
import { HEAD_BYTES, parseScriptHead, RANGES, type ScriptSettings } from "../../../src/config/script-head.ts";
import { Result } from "../../../src/engine/scripts/runner/messages.ts";
import type { Target, Trial } from "../target.ts";
import { assertRefusal } from "./words.ts";

const KINDS = ["checks", "hooks"] as const;

function open(): Trial {
  return {
    feed(input) {
      const bytes = Buffer.from(input).subarray(0, HEAD_BYTES);
      const lines = bytes.toString("latin1").split("\n");
      for (const kind of KINDS) {
        const head = parseScriptHead(bytes, kind);
        if ("message" in head) {
          assertRefusal(head.message);
          assert.match(lines[head.line - 1] ?? "", /^#[ \t]*carp:/);
          continue;
        }
        const { settings, userLine } = head;
        assertSettings(settings);
        if (kind === "hooks")
          assert.deepEqual(
            Object.keys(settings).filter((word) => word !== "user"),
            [],
          );
        assert.equal(userLine !== undefined, settings.user !== undefined);
        if (userLine !== undefined) assert.ok(lines[userLine - 1]?.includes(settings.user ?? ""));
        // No line of the head is passed over.
        const ends = lines.findIndex((line) => !/^\s*(#|$)/.test(line));
        const own = lines.slice(0, ends < 0 ? undefined : ends).filter((line) => /^#[ \t]*carp:/.test(line));
        if (bytes.length < HEAD_BYTES && own.length > 0) assert.notDeepEqual(settings, {});
        if (!lines.some((line) => /^#[ \t]*carp:/.test(line))) assert.deepEqual(settings, {});
        const words = Object.entries(settings).map(([word, value]) => `${word} ${value}`);
        const written = words.map((each) => `# carp: ${each}\n`).join("");
        assert.deepEqual(parseScriptHead(Buffer.from(written), kind), {
          settings,
          ...(userLine === undefined
            ? {}
            : { userLine: 1 + words.findIndex((each) => each.startsWith("user ")) }),
        });
      }
    },
  };
}

/** The engine takes it from its runner. */
function assertSettings(settings: ScriptSettings): void {
  for (const [word, [min, max]] of Object.entries(RANGES)) {
    const value = settings[word as keyof typeof RANGES];
    assert.ok(value === undefined || (Number.isInteger(value) && value >= min && value <= max), word);
  }
  Result.parse({ name: "web", path: "/web", outcome: "listed", output: "", settings });
}

const number = fc.oneof(fc.integer({ min: 1, max: 60 }), fc.integer({ min: -1, max: 2_000_000 }));
const word = fc.oneof(
  fc
    .tuple(fc.constantFrom("every", "timeout", "fall", "rise", "demote"), number)
    .map((pair) => pair.join(" ")),
  fc.constantFrom("group web", "group web1", "user nobody", "user _x-1", "user 0", "every", "else 5"),
);
const line = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.uniqueArray(word, { maxLength: 5 }).map((words) => `# carp: ${words.join(" ")}`),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom("#!/bin/sh", "# a comment", "", "exit 0", "#carp:every 5", "\t# x"),
  },
);

export const scriptHeads: Target = {
  name: "script-heads",
  sensible: fc.array(line, { maxLength: 4 }).map((lines) => Buffer.from(lines.join("\n"))),
  tokens: [
    ...[
      "# carp: ",
      "#\tcarp:",
      "# carp",
      "\n",
      "\r\n",
      "\r",
      " ",
      "\t",
      "\0",
      "\xff",
      "#",
      "every ",
      "timeout ",
      "fall ",
    ],
    ...[
      "rise ",
      "demote ",
      "group ",
      "user ",
      "1",
      "0",
      "60",
      "86400",
      "1048576",
      "99999999999",
      "-1",
      "1e3",
      "__proto__",
    ],
  ],
  tries: 400,
  open,
};
