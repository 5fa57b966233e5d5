/** hostname.carpN files: what each line is read as, and what is said of one that cannot be read. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { readInterfaceFile } from "../../../src/cli/commands/netstart/interface-file.ts";
import { lineOf } from "../../../src/config/hostname-file.ts";
import { readSysctlFile } from "../../../src/config/sysctl-file.ts";

const lookups = {
  resolve: async (host: string) => (host === "b" ? "10.0.0.3" : undefined),
  firstLine: async () => "secret",
};

function read(text: string | Buffer) {
  return readInterfaceFile(Buffer.from(text), "carp0", lookups);
}

async function file(text: string | Buffer) {
  const result = await read(text);
  assert.ok(!("errors" in result), JSON.stringify(result));
  return result;
}

async function errors(text: string | Buffer): Promise<string[]> {
  const result = await read(text);
  assert.ok("errors" in result, "it was taken");
  return result.errors.map(({ line, message }) => `${line}: ${message}`);
}

const ipv4 = (address: string, prefixLength: number, others = {}) => ({
  family: 4,
  address,
  prefixLength,
  alias: false,
  ...others,
});
const ipv6 = (address: string, prefixLength = 64) => ({ family: 6, address, prefixLength, alias: false });

describe("a line", () => {
  for (const [line, change] of [
    ["inet 10.0.0.1", { addAddresses: [ipv4("10.0.0.1", 8)] }],
    ["inet 10.0.0.1/24", { addAddresses: [ipv4("10.0.0.1", 24)] }],
    ["inet6 fe80::1%carp0 64", { addAddresses: [ipv6("fe80::1")] }],
    ["fe80::1%carp0/60", { addAddresses: [ipv6("fe80::1", 60)] }],
    ["inet 10.0.0.1/24 vhid 1", { addAddresses: [ipv4("10.0.0.1", 24)], vhid: 1 }],
    ["10.0.0.1/24", { addAddresses: [ipv4("10.0.0.1", 24)] }],
    ["inet 10.0.0.1 255.255.255.0", { addAddresses: [ipv4("10.0.0.1", 24)] }],
    ["inet 10.0.0.1 0xffffff00 NONE", { addAddresses: [ipv4("10.0.0.1", 24)] }],
    [
      "inet 10.0.0.1 255.255.255.0 10.0.0.127 vhid 1",
      { addAddresses: [ipv4("10.0.0.1", 24, { broadcast: "10.0.0.127" })], vhid: 1 },
    ],
    [
      "inet 10.0.0.1 255.255.255.0 NONE vhid 1 description 'a b'",
      { addAddresses: [ipv4("10.0.0.1", 24)], vhid: 1, description: "a b" },
    ],
    ["inet 10.0.0.1 255.255.255.0 vhid 1", { addAddresses: [ipv4("10.0.0.1", 24)], vhid: 1 }],
    ["inet 10.0.0.1 netmask 255.255.255.0", { addAddresses: [ipv4("10.0.0.1", 24)] }],
    ["inet alias 10.0.0.5 255.255.255.255 NONE", { addAddresses: [ipv4("10.0.0.5", 32, { alias: true })] }],
    ["inet6 2001:db8::1", { addAddresses: [ipv6("2001:db8::1")] }],
    ["inet6 2001:db8::1 48 vhid 2", { addAddresses: [ipv6("2001:db8::1", 48)], vhid: 2 }],
    ["inet6 alias 2001:db8::1 48", { addAddresses: [{ ...ipv6("2001:db8::1", 48), alias: true }] }],
    ["  vhid 1\tpass 'it'\\''s' # a comment", { vhid: 1, pass: "it's" }],
    ["carppeer b passfile /etc/pass", { carppeer: ["10.0.0.3"], pass: "secret" }],
    ["carppeer 10.0.0.2,b,10.0.0.4", { carppeer: ["10.0.0.2", "10.0.0.3", "10.0.0.4"] }],
    ["-group carp group www", { leaveGroups: ["carp"], joinGroups: ["www"] }],
    ["create", {}],
    ["destroy", {}],
    ["destroy create vhid 1", { vhid: 1 }],
    ["description create", { description: "create" }],
    ["description destroy", { description: "destroy" }],
    ["down", { up: false }],
    ["# only a comment", {}],
  ] as const)
    test(line, async () => assert.deepEqual((await file(line)).whole, change));

  for (const [line, message] of [
    ["inet", "inet: needs an address"],
    ["inet alias", "alias: needs an address"],
    ["inet 10.0.0.256", "10.0.0.256: not an address"],
    ["inet 10.0.0.1 255.0.255.0", "netmask 255.0.255.0: expected a netmask like 255.255.255.0 or 0xffffff00"],
    ["inet 10.0.0.1 255.255.255.0 10.0.0.300", "broadcast 10.0.0.300: not an IPv4 address"],
    ["inet 10.0.0.1 10.0.0.255", "netmask 10.0.0.255: expected a netmask like 255.255.255.0 or 0xffffff00"],
    ["inet 10.0.0.255/24", "10.0.0.255: not a unicast address (it is the network's broadcast address)"],
    ["inet 2001:db8::1", "2001:db8::1: not an IPv4 address"],
    ["inet6 2001:db8::1 129", "prefixlen 129: must be 0..128"],
    ["inet6 10.0.0.1", "10.0.0.1: not an IPv6 address"],
    ["netmask 255.255.255.0", "netmask: needs an address before it"],
    ["vhid 256", "vhid 256: must be 1..255"],
    ["vhid", "vhid: needs a value (1..255)"],
    ["vihd 1", "vihd: unknown parameter (did you mean vhid?)"],
    ["dhcp", "dhcp: unknown parameter"],
    ["up destroy", "destroy: only at the beginning of a file"],
    ["vhid 1 --run-dir /x", "--run-dir: unknown parameter"],
    ["rdomain 1", "rdomain 1: not on Linux: put the engine in a network namespace instead"],
    ["dest", "dest: needs an address"],
    ["dest nowhere", "dest nowhere: not an address"],
    ["dest 10.0.0.9 up", "up: dest takes one address"],
    ["pass 'open", "unterminated quote"],
    ["pass 'a\tb'", "pass: control characters are not allowed"],
    ["vhid 1 pass open sesame", "a word behind the pass is no parameter (a pass with blanks is quoted)"],
    ["pass open 10.sesame", "a word behind the pass is no parameter (a pass with blanks is quoted)"],
    ["pass open vhid 256", "vhid 256: must be 1..255"],
    ["description 'a\x1bb'", "description: control characters are not allowed"],
    ["!", "!: needs a command"],
    ["carppeer nobody", "carppeer nobody: cannot resolve"],
    ["\x1b[2J", "\\x1b[2J: unknown parameter"],
  ] as const)
    test(`refused: ${line}`, async () => assert.deepEqual(await errors(line), [`1: ${message}`]));
});

describe("a file", () => {
  test("names every line that cannot be taken", async () => {
    assert.deepEqual(await errors("vhid 1\nvhid 0\n\n# fine\nfrob\nup"), [
      "2: vhid 0: must be 1..255",
      "5: frob: unknown parameter",
    ]);
  });

  test("names the line of the word where a line is continued", async () => {
    const text =
      "vhid 1 \\\n  carpdev eth0 \\\n  advskew 255\ninet 10.0.0.1\\\n\\\n  255.255.255.256\nfrob\n";
    assert.deepEqual(await errors(text), [
      "3: advskew 255: must be 0..254",
      "6: netmask 255.255.255.256: expected a netmask like 255.255.255.0 or 0xffffff00",
      "7: frob: unknown parameter",
    ]);
  });

  test("that begins with destroy and create is read as one without, and no other line may say destroy", async () => {
    assert.deepEqual((await file("# made by a script\ndestroy\ncreate\nvhid 1\n")).whole, { vhid: 1 });
    const refusal = "destroy: only at the beginning of a file";
    assert.deepEqual(await errors("vhid 1\ndestroy\n"), [`2: ${refusal}`]);
    assert.deepEqual(await errors("!true\ndestroy\n"), [`2: ${refusal}`]);
    assert.deepEqual(await errors("create\nup \\\n destroy\n"), [`3: ${refusal}`]);
  });

  test("is one change, whatever the order of its lines", async () => {
    const { steps, whole } = await file("advskew 100\ninet6 2001:db8::1\nvhid 1\ninet 10.0.0.1/24\n");
    assert.equal(steps.length, 1);
    assert.deepEqual(whole, {
      advskew: 100,
      vhid: 1,
      addAddresses: [ipv6("2001:db8::1"), ipv4("10.0.0.1", 24)],
    });
  });

  test("counts the last word on everything", async () => {
    const text = [
      ...["vhid 1", "group www", "inet 10.0.0.1/24", "inet alias 10.0.0.5/24", "vhid 2", "-group www"],
      ...["inet 10.0.0.2/24", "inet6 2001:db8::1", "-inet6", "inet6 2001:db8::2"],
    ].join("\n");
    assert.deepEqual((await file(text)).whole, {
      vhid: 2,
      leaveGroups: ["www"],
      removeFamilies: [6],
      addAddresses: [ipv4("10.0.0.2", 24), ipv4("10.0.0.5", 24, { alias: true }), ipv6("2001:db8::2")],
    });
  });

  test("is parted by commands, which are sh's business but for the name of the interface", async () => {
    const { steps, whole } = await file("vhid 1\nup\n! echo 'a  b' # \\$if $HOME \\$if\ninet 10.0.0.1/24\n");
    const words = (step: (typeof steps)[number]) =>
      step.kind === "command" ? step : [step.change, ...step.entries.flatMap((entry) => entry.words)];
    assert.deepEqual(steps.map(words), [
      [{ vhid: 1, up: true }, "vhid", "1", "up"],
      { kind: "command", line: 3, command: "echo 'a  b' # carp0 $HOME carp0" },
      [{ addAddresses: [ipv4("10.0.0.1", 24)] }, "inet", "10.0.0.1/24"],
    ]);
    assert.deepEqual(whole, { vhid: 1, up: true, addAddresses: [ipv4("10.0.0.1", 24)] });
  });

  test("may end its lines in any way, and begin with a byte order mark", async () => {
    for (const text of ["vhid 1\r\npass secret\r\n", "vhid 1\npass secret", "\ufeffvhid 1\npass secret\n"])
      assert.deepEqual((await file(text)).whole, { vhid: 1, pass: "secret" });
  });

  test("may be empty", async () => assert.deepEqual((await file("")).steps, []));

  test("is refused where it is no text", async () => {
    assert.deepEqual(await errors("vhid 1\nup\0\n"), ["2: contains a NUL"]);
    assert.deepEqual(await errors(Buffer.from("vhid 1\n\ndescr \xe4\n", "latin1")), ["3: not UTF-8"]);
    assert.deepEqual(await errors(`up\ndescr ${"x".repeat(65_536)}\n`), ["2: longer than 65536 bytes"]);
  });

  test("warns by the line", async () => {
    const { warnings } = await file("vhid 1\ndest 10.0.0.9\npass 12345678901234567890\n");
    assert.deepEqual(warnings, [
      { line: 2, message: "dest 10.0.0.9: ignored: a carp interface has no address at a far end" },
      { line: 3, message: "pass: only its first 19 bytes are used" },
    ]);
  });

  test("says which line the engine's refusal is about", async () => {
    const { lines } = await file(
      "inet 10.0.0.1/24 vhid 1\ncarpdev eth9\ninet6 2001:db8::1 64\n\nmtu 9000\npass mtu description vhid\n",
    );
    for (const [refusal, line] of [
      ["carpdev eth9: no such device", 2],
      ["vhid 1 is already used by carp1 on eth0", 1],
      ["10.0.0.1 is already used by carp1", 1],
      ["2001:db8::1 is already used by carp1", 3],
      ["mtu 9000: eth0 takes at most 1500", 5],
      ["permission denied: replacing carp0 and its pass needs root", undefined],
    ] as const)
      assert.equal(lineOf(refusal, lines), line, refusal);
  });
});

describe("sysctl.conf", () => {
  const sysctl = (text: string) => readSysctlFile(Buffer.from(text));

  test("has a variable and its value in a line; the last one counts", () => {
    const text =
      "# comment\n\n net.inet.carp.preempt=1 # comment\r\nnet.inet.carp.log = 3\nnet.inet.carp.log=4";
    assert.deepEqual(sysctl(text), {
      settings: [
        { line: 3, name: "net.inet.carp.preempt", value: 1 },
        { line: 5, name: "net.inet.carp.log", value: 4 },
      ],
    });
  });

  for (const [line, message] of [
    ["net.inet.carp.preempt", "net.inet.carp.preempt: expected NAME=VALUE"],
    ["net.inet.carp.preempt=yes", "net.inet.carp.preempt=yes: not a number"],
    ["=1", "=1: no such variable"],
    [
      "net.inet.carp.demotion=10",
      "net.inet.carp.demotion: a written value is added to it: use 'carpctl demote REASON N' instead",
    ],
  ] as const)
    test(`refused: ${line}`, () => assert.deepEqual(sysctl(`\n${line}`), { errors: [{ line: 2, message }] }));
});
