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
          { line: 1, words: ["vhid", "1"] },
          { line: 4, words: ["up"] },
        ],
      },
      { kind: "command", line: 5, command: "echo carp7" },
      { kind: "command", line: 6, command: "true" },
      { kind: "parameters", lines: [{ line: 7, words: ["mtu", "1400"] }] },
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
      { kind: "parameters", lines: [{ line: 1, words: words.split(" ") }] },
    ]));

test("errors and warnings have their lines, and the other lines are read all the same", () => {
  const { steps, warnings, errors } = read("'open\ndest 10.0.0.9\n!\nup\n");
  assert.deepEqual(steps, [{ kind: "parameters", lines: [{ line: 4, words: ["up"] }] }]);
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
    { line: 1, words: ["vhid", "1"] },
    { line: 2, words: ["inet", "10.0.0.1/24", "vhid", "2"] },
  ];
  assert.equal(lineOf("vhid 2 is already used by carp1", lines), 2);
  assert.equal(lineOf("10.0.0.1: not here", lines), 2);
  assert.equal(lineOf("permission denied", lines), undefined);
});

test("a file is an interface's by its name alone, and a backup is none's", () => {
  assert.equal(interfaceOf(fileOf("carp10")), "carp10");
  for (const file of ["hostname.carp0~", "hostname.carp0.bak", "hostname.carp01", "hostname.eth0", "carp0"])
    assert.equal(interfaceOf(file), undefined, file);
});
