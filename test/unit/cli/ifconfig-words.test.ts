/** ifconfig's words: the change that each form asks for, and the message that refuses it. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { type Form, readForm } from "../../../src/cli/grammar/ifconfig/forms.ts";
import { KEYWORDS } from "../../../src/cli/grammar/ifconfig/keywords.ts";
import type { Lookups } from "../../../src/cli/grammar/ifconfig/lookups.ts";
import { defaultOptions } from "../../../src/cli/grammar/options.ts";
import { isRefusal, refuse } from "../../../src/cli/outcome.ts";
import { checkParams } from "../../../src/control/messages.ts";

const names: Record<string, Record<4 | 6, string | undefined>> = {
  peer: { 4: "192.0.2.7", 6: "2001:db8::7" },
  group: { 4: "224.0.0.18", 6: "ff02::12" },
  v6only: { 4: undefined, 6: "2001:db8::9" },
};
const files: Record<string, string> = {
  "/secret": "mekmitasdigoat",
  "/empty": "",
  "/long": "nineteen bytes here",
};
const lookups: Lookups = {
  resolve: async (host, family) => names[host]?.[family],
  firstLine: async (path) => files[path] ?? refuse("no such file"),
};

const FOUR = { family: 4, address: "10.0.0.1", prefixLength: 24, alias: true };

async function read(words: readonly string[]) {
  const result = await readForm(words, defaultOptions({}), lookups);
  return isRefusal(result) ? result.refusal : result.form;
}

/** The words of FreeBSD and OPNsense, behind a device; `lo` is on every machine. */
const ON_A_DEVICE: readonly (readonly [words: string, change: object])[] = [
  ["vhid 1", { vhid: 1 }],
  [
    "vhid 1 advskew 100 pass x alias 10.0.0.1/32",
    { vhid: 1, advskew: 100, pass: "x", addAddresses: [{ ...FOUR, address: "10.0.0.1", prefixLength: 32 }] },
  ],
  ["inet vhid 1 pass x alias 10.0.0.1/24", { vhid: 1, pass: "x", addAddresses: [FOUR] }],
  ["inet 10.0.0.1/24 vhid 1", { vhid: 1, addAddresses: [{ ...FOUR, alias: false }] }],
  ["10.0.0.1/24 alias vhid 1", { vhid: 1, addAddresses: [FOUR] }],
  ["inet 10.0.0.1 netmask 255.255.255.0 alias vhid 1", { vhid: 1, addAddresses: [FOUR] }],
  ["add vhid 1 10.0.0.1/24", { vhid: 1, addAddresses: [FOUR] }],
  [
    "inet6 2001:db8::1 prefixlen 64 alias vhid 1",
    { vhid: 1, addAddresses: [{ family: 6, address: "2001:db8::1", prefixLength: 64, alias: true }] },
  ],
  ["vhid 1 state master", { vhid: 1, state: "master" }],
  ["state BACKUP vhid 1", { vhid: 1, state: "backup" }],
  ["vhid 1 peer peer mcast6", { vhid: 1, carppeer: ["192.0.2.7"], carppeer6: null }],
  ["inet 10.0.0.1 -alias", { removeAddresses: ["10.0.0.1"] }],
  ["inet6 2001:db8::1 remove", { removeAddresses: ["2001:db8::1"] }],
  ["-alias 10.0.0.1 vhid 1", { vhid: 1, removeAddresses: ["10.0.0.1"] }],
];

for (const [words, change] of ON_A_DEVICE)
  test(`lo ${words}`, async () => {
    assert.deepEqual(await read(["lo", ...words.split(" ")]), {
      kind: "change-on",
      carpdev: "lo",
      change,
      warnings: [],
    });
  });

test("lo --json shows what is on it", async () => {
  assert.deepEqual(await read(["lo", "--json"]), { kind: "show", name: "lo" });
});

async function changeOf(text: string) {
  const form = await read(["carp0", ...text.split(" ")]);
  return typeof form === "object" && form.kind === "change" ? form.change : form;
}

const v4 = { family: 4, prefixLength: 24, alias: false };
const v6 = { family: 6, prefixLength: 64, alias: false };

const CHANGES: readonly (readonly [string, object])[] = [
  ["10.1.2.3", { addAddresses: [{ ...v4, address: "10.1.2.3", prefixLength: 8 }] }],
  ["172.16.0.1", { addAddresses: [{ ...v4, address: "172.16.0.1", prefixLength: 16 }] }],
  ["192.0.2.1", { addAddresses: [{ ...v4, address: "192.0.2.1" }] }],
  ["inet 192.0.2.1/32", { addAddresses: [{ ...v4, address: "192.0.2.1", prefixLength: 32 }] }],
  [
    "192.0.2.1 netmask 255.255.255.128",
    { addAddresses: [{ ...v4, address: "192.0.2.1", prefixLength: 25 }] },
  ],
  ["192.0.2.1 netmask 0xffffff00", { addAddresses: [{ ...v4, address: "192.0.2.1" }] }],
  ["10.0.0.4/31", { addAddresses: [{ ...v4, address: "10.0.0.4", prefixLength: 31 }] }],
  ["10.0.0.5/31", { addAddresses: [{ ...v4, address: "10.0.0.5", prefixLength: 31 }] }],
  ["10.0.0.0/32", { addAddresses: [{ ...v4, address: "10.0.0.0", prefixLength: 32 }] }],
  ["10.0.1.0/23", { addAddresses: [{ ...v4, address: "10.0.1.0", prefixLength: 23 }] }],
  ["2001:db8::/127", { addAddresses: [{ ...v6, address: "2001:db8::", prefixLength: 127 }] }],
  ["2001:db8::/128", { addAddresses: [{ ...v6, address: "2001:db8::", prefixLength: 128 }] }],
  ["10.77.0.0/24 delete", { removeAddresses: ["10.77.0.0"] }],
  ["10.0.0.1 prefixlen 24", { addAddresses: [{ ...v4, address: "10.0.0.1" }] }],
  [
    "192.0.2.1 broadcast 192.0.2.127",
    { addAddresses: [{ ...v4, address: "192.0.2.1", broadcast: "192.0.2.127" }] },
  ],
  ["2001:DB8:0::1", { addAddresses: [{ ...v6, address: "2001:db8::1" }] }],
  [
    "inet6 alias fe80::1/10",
    { addAddresses: [{ ...v6, address: "fe80::1", prefixLength: 10, alias: true }] },
  ],
  ["fe80::1%carp0", { addAddresses: [{ ...v6, address: "fe80::1" }] }],
  ["inet6 fe80::1%carp0/60", { addAddresses: [{ ...v6, address: "fe80::1", prefixLength: 60 }] }],
  ["carppeer6 fe80::2%carp0,2001:db8::2", { carppeer6: ["fe80::2", "2001:db8::2"] }],
  ["inet6 -alias FE80::1%carp0", { removeAddresses: ["fe80::1"] }],
  ["inet6 fe80::1%carp0 delete", { removeAddresses: ["fe80::1"] }],
  ["inet 192.0.2.2 alias", { addAddresses: [{ ...v4, address: "192.0.2.2", alias: true }] }],
  ["alias 192.0.2.2", { addAddresses: [{ ...v4, address: "192.0.2.2", alias: true }] }],
  [
    "192.0.2.1 alias 192.0.2.2 alias 192.0.2.3",
    {
      addAddresses: [
        { ...v4, address: "192.0.2.1" },
        { ...v4, address: "192.0.2.2", alias: true },
        { ...v4, address: "192.0.2.3", alias: true },
      ],
    },
  ],
  ["inet 192.0.2.1 inet 192.0.2.2", { addAddresses: [{ ...v4, address: "192.0.2.2" }] }],
  ["inet -alias 192.0.2.2", { removeAddresses: ["192.0.2.2"] }],
  ["192.0.2.2 delete", { removeAddresses: ["192.0.2.2"] }],
  ["inet6 2001:DB8::2 -alias", { removeAddresses: ["2001:db8::2"] }],
  ["192.0.2.2 delete inet alias 192.0.2.2", { addAddresses: [{ ...v4, address: "192.0.2.2", alias: true }] }],
  ["-inet", { removeFamilies: [4] }],
  ["192.0.2.1 -inet -inet6", { removeFamilies: [4, 6] }],
  ["-inet 192.0.2.1", { removeFamilies: [4], addAddresses: [{ ...v4, address: "192.0.2.1" }] }],
  ["vhid 01 carpdev eth0 advbase 0 advskew 254", { vhid: 1, carpdev: "eth0", advbase: 0, advskew: 254 }],
  ["vhid 1 vhid 2", { vhid: 2 }],
  ["up down", { up: false }],
  ["down up", { up: true }],
  ["pass up", { pass: "up" }],
  ["passfile /secret", { pass: "mekmitasdigoat" }],
  ["carppeer 192.0.2.9 carppeer6 2001:DB8::9", { carppeer: ["192.0.2.9"], carppeer6: ["2001:db8::9"] }],
  ["peer peer peer6 peer", { carppeer: ["192.0.2.7"], carppeer6: ["2001:db8::7"] }],
  [
    "carppeer 192.0.2.9,peer,192.0.2.8 peer6 peer,2001:db8::9",
    { carppeer: ["192.0.2.9", "192.0.2.7", "192.0.2.8"], carppeer6: ["2001:db8::7", "2001:db8::9"] },
  ],
  ["carppeer 192.0.2.9,192.0.2.8 carppeer 192.0.2.7", { carppeer: ["192.0.2.7"] }],
  ["-carppeer -carppeer6", { carppeer: null, carppeer6: null }],
  ["mcast mcast6", { carppeer: null, carppeer6: null }],
  [
    "carpnodes 2:100,1:0 balancing ip-stealth",
    {
      carpnodes: [
        { vhid: 1, advskew: 0 },
        { vhid: 2, advskew: 100 },
      ],
      balancing: "ip-stealth",
    },
  ],
  ["state backup", { state: "backup" }],
  ["lladdr 2:0:0:0:0:A", { lladdr: "02:00:00:00:00:0a" }],
  ["lladdr carpdev", { lladdr: "carpdev" }],
  ["-lladdr", { lladdr: null }],
  ["announce 0", { announce: 0 }],
  ["pass new grace off", { pass: "new", grace: "off" }],
  ["announce 30 -announce", { announce: null }],
  ["preemptdelay 86400", { preemptdelay: 86_400 }],
  ["preemptdelay 30 -preemptdelay", { preemptdelay: null }],
  ["group www -group dmz", { joinGroups: ["www"], leaveGroups: ["dmz"] }],
  ["group www -group www", { leaveGroups: ["www"] }],
  ["description www", { description: "www" }],
  ["descr www -descr", { description: null }],
  ["mtu 1400", { mtu: 1400 }],
];

for (const [words, change] of CHANGES) {
  test(`carp0 ${words}`, async () => {
    assert.deepEqual(await changeOf(words), change);
    assert.ok("params" in checkParams("change", { name: "carp0", change }), "the engine takes it too");
  });
}

const REFUSALS: readonly (readonly [string, string])[] = [
  ["vhid 256", "vhid 256: must be 1..255"],
  ["vhid 0", "vhid 0: must be 1..255"],
  ["vhid -1", "vhid -1: must be 1..255"],
  ["vhid 0x1", "vhid 0x1: must be 1..255"],
  ["vhid 1.5", "vhid 1.5: must be 1..255"],
  ["vhid 1e1", "vhid 1e1: must be 1..255"],
  ["vhid ", "vhid '': must be 1..255"],
  ["vhid", "vhid: needs a value (1..255)"],
  ["balancing", "balancing: needs a value (none|ip|ip-unicast|ip-stealth)"],
  ["carpdev", "carpdev: needs a value (IF)"],
  ["advbase 255", "advbase 255: must be 0..254"],
  ["advskew 255", "advskew 255: must be 0..254"],
  ["mtu 67", "mtu 67: must be 68..65535"],
  ["grace 10", "grace 10: must be off: the time is net.inet.carp.grace"],
  ["grace", "grace: needs a value (off)"],
  ["announce 3601", "announce 3601: must be 0..3600"],
  ["announce -5", "announce -5: must be 0..3600"],
  ["announce", "announce: needs a value (0..3600)"],
  ["preemptdelay 86401", "preemptdelay 86401: must be 0..86400"],
  ["carpdev a/b", "carpdev a/b: not a device name"],
  ["carpnodes 1-0", "carpnodes 1-0: expected vhid:advskew"],
  ["carpnodes 1:0,", "carpnodes 1:0,: expected vhid:advskew"],
  ["carpnodes 256:0", "vhid 256: must be 1..255"],
  ["carpnodes 1:0,2:255", "advskew 255: must be 0..254"],
  ["carpnodes 1:0,1:5", "carpnodes 1:0,1:5: duplicate vhid 1"],
  [`carpnodes ${Array.from({ length: 33 }, (_, at) => `${at + 1}:0`)}`, "carpnodes: at most 32"],
  ["balancing foo", "balancing foo: unknown mode (none, ip, ip-unicast, ip-stealth)"],
  ["state slave", "state slave: unknown state (master, backup, init)"],
  ["lladdr random", "lladdr random: expected a unicast address like 02:00:00:00:00:01"],
  ["lladdr 01:00:5e:00:00:12", "lladdr 01:00:5e:00:00:12: expected a unicast address like 02:00:00:00:00:01"],
  ["lladdr 0:0:0:0:0:0", "lladdr 00:00:00:00:00:00: expected a unicast address like 02:00:00:00:00:01"],
  ["group carp1", "group carp1: must be 1..15 characters and not end in a digit"],
  [`description ${"x".repeat(64)}`, "description: at most 63 characters"],
  ["rdomain 1", "rdomain 1: not on Linux: put the engine in a network namespace instead"],
  ["carppeer nosuch", "carppeer nosuch: cannot resolve"],
  ["carppeer v6only", "carppeer v6only: cannot resolve"],
  ["carppeer group", "carppeer group: not a unicast address"],
  ["carppeer 224.0.0.18", "carppeer 224.0.0.18: not a unicast address"],
  ["carppeer 10.1", "carppeer 10.1: not an address"],
  ["carppeer 2001:db8::1", "carppeer 2001:db8::1: not an IPv4 address (carppeer6 takes it)"],
  ["carppeer 192.0.2.9,", "carppeer 192.0.2.9,: expected HOST[,HOST...]"],
  ["carppeer ,192.0.2.9", "carppeer ,192.0.2.9: expected HOST[,HOST...]"],
  ["carppeer 192.0.2.8,,192.0.2.9", "carppeer 192.0.2.8,,192.0.2.9: expected HOST[,HOST...]"],
  ["carppeer ", "carppeer '': cannot resolve"],
  ["carppeer 192.0.2.7,peer", "carppeer 192.0.2.7,peer: duplicate 192.0.2.7"],
  ["carppeer 192.0.2.9,nosuch,10.1", "carppeer nosuch: cannot resolve"],
  ["carppeer 192.0.2.9,2001:db8::1", "carppeer 2001:db8::1: not an IPv4 address (carppeer6 takes it)"],
  ["carppeer6 2001:db8::1,192.0.2.9", "carppeer6 192.0.2.9: not an IPv6 address (carppeer takes it)"],
  [`carppeer ${Array.from({ length: 32 }, (_, at) => `192.0.2.${at}`)}`, "carppeer: at most 31"],
  ["carppeer6 ff02::12", "carppeer6 ff02::12: not a unicast address"],
  ["passfile /none", "passfile /none: no such file"],
  ["passfile /empty", "passfile /empty: its first line is empty"],
  ["10.0.0.300", "10.0.0.300: not an address"],
  ["fe80::1%carp1", "fe80::1%carp1: the scope must be carp0"],
  ["inet6 fe80::1%eth0/64", "fe80::1%eth0: the scope must be carp0"],
  ["inet6 fe80::1%", "fe80::1%'': the scope must be carp0"],
  ["carppeer6 fe80::2%eth1", "fe80::2%eth1: the scope must be carp0"],
  ["carppeer6 2001:db8::2%carp0", "carppeer6 2001:db8::2%carp0: not an address"],
  ["inet6 -alias fe80::1%carp1", "fe80::1%carp1: the scope must be carp0"],
  ["alias 2001:db8::1%carp0", "2001:db8::1%carp0: only a link-local address has a scope"],
  ["10.0.0.1%carp0", "10.0.0.1%carp0: only a link-local address has a scope"],
  ["inet www", "www: not an address"],
  ["inet 2001:db8::1", "2001:db8::1: not an IPv4 address"],
  ["inet", "inet: needs an address"],
  ["inet alias", "alias: needs an address"],
  ["10.0.0.1/33", "prefixlen 33: must be 0..32"],
  ["10.0.0.1/", "prefixlen '': must be 0..32"],
  ["2001:db8::1 prefixlen 129", "prefixlen 129: must be 0..128"],
  ["prefixlen 24", "prefixlen: needs an address before it"],
  [
    "10.0.0.1 netmask 255.0.255.0",
    "netmask 255.0.255.0: expected a netmask like 255.255.255.0 or 0xffffff00",
  ],
  [
    "inet 10.0.0.1 255.255.255.0",
    "255.255.255.0: netmask? write '10.0.0.1/24' or '10.0.0.1 netmask 255.255.255.0'",
  ],
  ["224.0.0.1", "224.0.0.1: not a unicast address"],
  ["127.0.0.1", "127.0.0.1: not a unicast address"],
  ["0.0.0.0", "0.0.0.0: not a unicast address"],
  ["255.255.255.255", "255.255.255.255: not a unicast address"],
  ["::1", "::1: not a unicast address"],
  ["10.0.0.255/24", "10.0.0.255: not a unicast address (it is the network's broadcast address)"],
  [
    "10.0.0.255/24 broadcast 10.0.0.127",
    "10.0.0.255: not a unicast address (it is the network's broadcast address)",
  ],
  [
    "10.0.0.127/24 broadcast 10.0.0.127",
    "10.0.0.127: not a unicast address (it is the network's broadcast address)",
  ],
  ["10.77.0.0/24", "10.77.0.0: not a host's address (it is the address of the network 10.77.0.0/24)"],
  [
    "alias 10.0.0.4 netmask 255.255.255.252",
    "10.0.0.4: not a host's address (it is the address of the network 10.0.0.4/30)",
  ],
  ["10.0.0.0", "10.0.0.0: not a host's address (it is the address of the network 10.0.0.0/8)"],
  ["10.0.0.1/0", "prefixlen 0: must be 1..32"],
  ["10.0.0.1 netmask 0.0.0.0", "netmask 0.0.0.0: expected a netmask like 255.255.255.0 or 0xffffff00"],
  ["2001:db8::1/0", "prefixlen 0: must be 1..128"],
  [
    "2001:db8::",
    "2001:db8::: not a host's address (it is the subnet-router anycast address of the network 2001:db8::/64)",
  ],
  [
    "fe80::/10",
    "fe80::: not a host's address (it is the subnet-router anycast address of the network fe80::/10)",
  ],
  ["::", "::: not a unicast address"],
  ["ff02::1", "ff02::1: not a unicast address"],
  ["0.0.0.1/8", "0.0.0.1: not a unicast address"],
  [
    "192.168.0.1 255.255.255.0",
    "255.255.255.0: netmask? write '192.168.0.1/24' or '192.168.0.1 netmask 255.255.255.0'",
  ],
  [
    "inet 192.168.0.1 0xffffff00",
    "0xffffff00: netmask? write '192.168.0.1/24' or '192.168.0.1 netmask 0xffffff00'",
  ],
  ["vhid 1 10.0.0.1 24", "24: prefixlen? write '10.0.0.1/24' or '10.0.0.1 prefixlen 24'"],
  ["inet6 2001:db8::1 64", "64: prefixlen? write '2001:db8::1/64' or '2001:db8::1 prefixlen 64'"],
  ["10.0.0.1/24 10.0.0.2/24", "10.0.0.2/24: unknown parameter"],
  ["10.0.0.1 0.0.0.255", "0.0.0.255: unknown parameter"],
  ["frobnicate", "frobnicate: unknown parameter"],
  ["vihd 1", "vihd: unknown parameter (did you mean vhid?)"],
  ["", "'': unknown parameter"],
  ["destroy up", "destroy: takes no other parameters"],
  ["--jason", "--jason: unknown option"],
];

for (const [words, message] of REFUSALS) {
  test(`carp0 ${words.slice(0, 60)}: refused`, async () => assert.equal(await changeOf(words), message));
}

const FORMS: readonly (readonly [string, Form])[] = [
  ["-a", { kind: "show", name: undefined }],
  ["-A", { kind: "show", name: undefined }],
  ["-A carp", { kind: "show", name: "carp" }],
  ["carp0", { kind: "show", name: "carp0" }],
  ["-C", { kind: "cloners" }],
  ["-g carp", { kind: "group", group: "carp" }],
  ["-g carp carpdemote", { kind: "demote-group", group: "carp", by: 1 }],
  ["-g carp -carpdemote 128", { kind: "demote-group", group: "carp", by: -128 }],
  ["create", { kind: "create" }],
  ["create carp7", { kind: "create", name: "carp7" }],
  ["carp7 create", { kind: "create", name: "carp7" }],
  ["destroy carp7", { kind: "destroy", name: "carp7" }],
  ["carp7 destroy", { kind: "destroy", name: "carp7" }],
  ["carp7 create up", { kind: "change", name: "carp7", change: { up: true }, create: true, warnings: [] }],
  ["-h", { kind: "misused", message: "-h: unknown option" }],
  ["-g", { kind: "misused" }],
  ["destroy", { kind: "misused", message: "destroy: needs an interface" }],
];

for (const [words, form] of FORMS) {
  test(`${words} is the form "${form.kind}"`, async () =>
    assert.deepEqual(await read(words.split(" ")), form));
}

test("no words show every interface", async () => assert.deepEqual(await read([]), { kind: "show" }));

test("a group cannot be demoted by more than 128 at a time", async () => {
  assert.equal(await read(["-g", "carp", "carpdemote", "129"]), "carpdemote 129: must be 0..128");
});

test("only carp interfaces can be changed", async () => {
  assert.equal(await read(["nosuch0", "up"]), "nosuch0: not a carp interface name (carp0, carp1, ...)");
  const needed = "needs a vhid: lo is no carp interface (carpctl lo vhid N up ...)";
  assert.equal(await read(["lo", "up"]), `up: ${needed}`);
});

test("a pass of more than 19 bytes is taken with a warning, and only the last one counts", async () => {
  const warnings = async (text: string) => {
    const form = await read(["carp0", ...text.split(" ")]);
    return typeof form === "object" && form.kind === "change" ? form.warnings : form;
  };
  assert.deepEqual(await warnings("pass 1234567890123456789"), []);
  assert.deepEqual(await warnings("passfile /long"), []);
  assert.deepEqual(await warnings("pass ääääääääää"), ["pass: only its first 19 bytes are used"]);
  assert.deepEqual(await warnings("pass 12345678901234567890 pass short"), []);
});

test("long options are taken behind an interface's name and where a keyword could stand", async () => {
  const result = await readForm(
    ["carp0", "--json", "up", "--run-dir=/r", "--etc-dir", "/e"],
    defaultOptions({}),
  );
  assert.ok(!isRefusal(result));
  assert.deepEqual(
    { ...result.options },
    { runDir: "/r", etcDir: "/e", json: true, help: false, version: false },
  );
  assert.equal(result.form.kind, "change");
});

test("ten thousand words are read to their end", async () => {
  assert.deepEqual(await changeOf(`${"up down ".repeat(5000)}up`), { up: true });
});

test("a long word with control characters is named on one line, cut", async () => {
  const refusal = await read(["carp0", `a\nb\x1b[31m${"x".repeat(10_000)}`]);
  assert.match(String(refusal), /^a\\nb\\x1b\[31mx+\.\.\.: unknown parameter$/);
  assert.ok(String(refusal).length < 150);
});

test("every keyword explains itself in one line of help", () => {
  for (const { name, help } of KEYWORDS) assert.match(help, /^[^\n]{3,60}$/, name);
});
