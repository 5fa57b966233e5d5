/** The syntax of hostname.carpN files: steps of words with their lines, commands, warnings and errors. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { fileOf, interfaceOf, lineOf, readHostnameFile } from "../../../src/config/hostname-file.ts";

const read = (text: string) => readHostnameFile(Buffer.from(text), "carp7");

test("lines of parameters that follow one another are one step, and a command is one of its own", () => {
  assert.deepEqual(read("vhid 1\n\n# why\nup\n!echo \\$if\n! true \nmtu 1400\n"), {
    steps: [
      {
        kind: "parameters",
        lines: [
          { words: ["vhid", "1"], lines: [1, 1] },
          { words: ["up"], lines: [4] },
        ],
      },
      { kind: "command", line: 5, command: "echo carp7" },
      { kind: "command", line: 6, command: "true" },
      { kind: "parameters", lines: [{ words: ["mtu", "1400"], lines: [7, 7] }] },
    ],
    warnings: [],
    errors: [],
  });
});

for (const [text, words] of [
  ["inet 10.0.0.1 255.255.255.0 NONE vhid 1", "inet 10.0.0.1 netmask 255.255.255.0 vhid 1"],
  [
    "inet alias 10.0.0.1 255.255.255.0 10.0.0.255",
    "inet alias 10.0.0.1 netmask 255.255.255.0 broadcast 10.0.0.255",
  ],
  ["inet6 2001:db8::1 64 up", "inet6 2001:db8::1 prefixlen 64 up"],
  ["10.0.0.1/24 up", "inet 10.0.0.1/24 up"],
  ["2001:db8::1", "inet6 2001:db8::1"],
  ["inet", "inet"],
  ["anything at all", "anything at all"],
] as const)
  test(`as ifconfig words: ${text}`, () =>
    assert.deepEqual(read(text).steps, [
      { kind: "parameters", lines: [{ words: words.split(" "), lines: words.split(" ").map(() => 1) }] },
    ]));

test("a backslash at the end of a line continues it, and each word keeps the number of its line", () => {
  const text = [
    "inet 10.0.0.1 \\\r",
    "  255.255.255.0\\",
    " vhid 1 desc\\",
    "ription 'a \\",
    "b'",
    "# a comment \\",
    "frob",
    "!echo one \\",
    "  && echo two",
    "pass ends\\\\",
    "up",
  ];
  assert.deepEqual(read(text.join("\n")), {
    steps: [
      {
        kind: "parameters",
        lines: [
          {
            words: ["inet", "10.0.0.1", "netmask", "255.255.255.0", "vhid", "1", "description", "a b"],
            lines: [1, 1, 2, 2, 3, 3, 3, 4],
          },
        ],
      },
      { kind: "command", line: 8, command: "echo one   && echo two" },
      {
        kind: "parameters",
        lines: [
          { words: ["pass", "ends\\"], lines: [10, 10] },
          { words: ["up"], lines: [11] },
        ],
      },
    ],
    warnings: [{ line: 6, message: "a backslash continues this comment: the next line is part of it" }],
    errors: [],
  });
});

for (const text of ["up \\", "up\n!true \\\n", "up\n# \\"])
  test(`nothing continues ${JSON.stringify(text)}`, () => {
    const line = text.split("\n").findIndex((each) => each.includes("\\")) + 1;
    assert.deepEqual(read(text).errors, [{ line, message: "a backslash at the end of the file" }]);
  });

test("blanks behind a backslash do not continue a line, and the error says so", () =>
  assert.deepEqual(read("up \\ \nvhid 1\n").errors, [
    { line: 1, message: "a backslash at the end of the line" },
  ]));

for (const [command, run] of [
  ["echo $if", "echo carp7"],
  ['echo "$if" "it\'s $if"', 'echo "carp7" "it\'s carp7"'],
  ["echo $" + "{if}0 \\$" + "{if}", "echo carp70 carp7"],
  ["echo \\$if \"\\$if\" '\\$if'", "echo carp7 \"carp7\" 'carp7'"],
  ["echo '$if' '\\' $if \\' $if", "echo '$if' '\\' carp7 \\' carp7"],
  ["echo $iface $$if $if_0 $if.1", "echo $iface $$if $if_0 carp7.1"],
] as const)
  test(`the interface's name: ${command}`, () =>
    assert.deepEqual(read(`!${command}`).steps, [{ kind: "command", line: 1, command: run }]));

test("errors and warnings have their lines, and the other lines are read all the same", () => {
  const { steps, warnings, errors } = read("'open\ndest 10.0.0.9\n!\nup\n");
  assert.deepEqual(steps, [{ kind: "parameters", lines: [{ words: ["up"], lines: [4] }] }]);
  assert.deepEqual(warnings, [
    { line: 2, message: "dest 10.0.0.9: ignored: a carp interface has no address at a far end" },
  ]);
  assert.deepEqual(errors, [
    { line: 1, message: "unterminated quote" },
    { line: 3, message: "!: needs a command" },
  ]);
});

test("a refusal is about the last line with its first word", () => {
  const lines = [
    { words: ["vhid", "1"], lines: [1, 1] },
    { words: ["inet", "10.0.0.1/24", "vhid", "2", "-group", "www"], lines: [2, 2, 3, 3, 4, 4] },
  ];
  assert.equal(lineOf("vhid 2 is already used by carp1", lines), 3);
  assert.equal(lineOf("group www: carp7 is not in it", lines), 4);
  assert.equal(lineOf("10.0.0.1: not here", lines), 2);
  assert.equal(lineOf("permission denied", lines), undefined);
  const written = [{ words: ["inet6", "2001:DB8:0::1%carp0/64"], lines: [5, 5] }];
  assert.equal(lineOf("2001:db8::1 is already used by carp1", written), 5);
});

test("a file is an interface's by its name alone, and a backup is none's", () => {
  assert.equal(interfaceOf(fileOf("carp10")), "carp10");
  for (const file of ["hostname.carp0~", "hostname.carp0.bak", "hostname.carp01", "hostname.eth0", "carp0"])
    assert.equal(interfaceOf(file), undefined, file);
});
