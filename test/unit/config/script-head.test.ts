/** The heads of service checks and hooks: what is taken, and each refusal in words that name the line and what is accepted. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { HEAD_BYTES, parseScriptHead } from "../../../src/config/script-head.ts";

const ALL = {
  every: 5,
  timeout: 2,
  fall: 3,
  rise: 2,
  demote: 50,
  group: "web",
  user: "nobody",
};
const CHECK_WORDS = "every, timeout, fall, rise, demote, group, user";

const taken: readonly (readonly [what: string, text: string, settings: object])[] = [
  ["nothing", "", {}],
  ["a script without a head", "#!/bin/sh\nexit 0\n", {}],
  ["a program that is no script", "\x7fELF\0\0\n# carp: every 5\n", {}],
  [
    "every word",
    "#!/bin/sh\n# carp: every 5 timeout 2 fall 3 rise 2 demote 50 group web user nobody\nexit 0\n",
    ALL,
  ],
  [
    "several lines, blanks and tabs",
    "#!/bin/sh\n#carp:every 5\n\n# Looks after the web server.\n#\tcarp: \ttimeout  2\t\n  # carp: fall 9\ntrue",
    {
      every: 5,
      timeout: 2,
    },
  ],
  ["lines that end in CRLF", "#!/bin/sh\r\n# carp: every 5\r\n", { every: 5 }],
  ["the last line without an end", "# carp: every 5", { every: 5 }],
  ["the least", "# carp: every 1 timeout 1 fall 1 rise 1 demote 1\n", bounds(1, 1, 1, 1)],
  [
    "the most",
    "# carp: every 86400 timeout 60 fall 1000 rise 1000 demote 1048576\n",
    bounds(86_400, 60, 1000, 1_048_576),
  ],
  ["a line behind the head", "#!/bin/sh\necho\n# carp: every 5\n", {}],
  ["another comment", "#!/bin/sh\n# carp checks every 5\n# Carp: 5\n# a carp: 5\n", {}],
  ["a line that is cut", `${"#\n".repeat(HEAD_BYTES / 2 - 8)}# carp: every 50`.slice(0, HEAD_BYTES), {}],
];

function bounds(every: number, timeout: number, count: number, demote: number): object {
  return { every, timeout, fall: count, rise: count, demote };
}

for (const [what, text, settings] of taken)
  test(`taken: ${what}`, () => {
    const head = parseScriptHead(Buffer.from(text), "checks");
    assert.ok("settings" in head, JSON.stringify(head));
    assert.deepEqual(head.settings, settings);
  });

const refused: readonly (readonly [words: string, message: string])[] = [
  ["", `carp: expected one of ${CHECK_WORDS}`],
  ["evry 5", `evry: unknown word (${CHECK_WORDS})`],
  ["5", `5: unknown word (${CHECK_WORDS})`],
  ["every", "every '': must be 1..86400 seconds"],
  ["every 0", "every 0: must be 1..86400 seconds"],
  ["every 86401", "every 86401: must be 1..86400 seconds"],
  ["every 5s", "every 5s: must be 1..86400 seconds"],
  ["every -5", "every -5: must be 1..86400 seconds"],
  ["every 1e3", "every 1e3: must be 1..86400 seconds"],
  ["every 0x10", "every 0x10: must be 1..86400 seconds"],
  ["every timeout 5", "every timeout: must be 1..86400 seconds"],
  ["timeout 61", "timeout 61: must be 1..60 seconds"],
  ["timeout 2.5", "timeout 2.5: must be 1..60 seconds"],
  ["fall 0", "fall 0: must be 1..1000"],
  ["rise 1001", "rise 1001: must be 1..1000"],
  ["demote 1048577", "demote 1048577: must be 1..1048576"],
  ["group web1", "group web1: must be 1..15 characters and not end in a digit"],
  ["group", "group '': must be 1..15 characters and not end in a digit"],
  ["user 0", "user 0: must be the name of a user"],
  ["user a:b", "user a:b: must be the name of a user"],
  ["every 5 every 5", "every: given twice"],
  ["every 5 \x1b[2J", `\\x1b[2J: unknown word (${CHECK_WORDS})`],
  ["__proto__ 5", `__proto__: unknown word (${CHECK_WORDS})`],
];

for (const [words, message] of refused)
  test(`refused: ${JSON.stringify(words)}`, () => {
    const text = `#!/bin/sh\n\n# carp: ${words}\nexit 0\n`;
    assert.deepEqual(parseScriptHead(Buffer.from(text), "checks"), { line: 3, message });
  });

test("a word on another line is given twice as well", () => {
  const text = "# carp: fall 2\n# carp: rise 2\n# carp: fall 3\n";
  assert.deepEqual(parseScriptHead(Buffer.from(text), "checks"), { line: 3, message: "fall: given twice" });
});

test("a hook takes a user, and nothing else", () => {
  const head = (text: string) => parseScriptHead(Buffer.from(text), "hooks");
  assert.deepEqual(head("#!/bin/sh\n# carp: user www-data\n"), {
    settings: { user: "www-data" },
    userLine: 2,
  });
  assert.deepEqual(head("# carp: every 5\n"), { line: 1, message: "every: unknown word (user)" });
});
