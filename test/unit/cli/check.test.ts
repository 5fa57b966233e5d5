/**
 * `carpctl check`: what it prints and its exit status, hosts whose configuration `dump` has printed, and that no pass is
 * ever told. What it finds is tried in test/unit/cluster.
 */

import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { readHostFiles } from "../../../src/cli/commands/check/host-files.ts";
import { hostnameLines } from "../../../src/cli/commands/dump.ts";
import { compareHosts } from "../../../src/cluster/comparison.ts";
import { placeText } from "../../../src/cluster/finding.ts";
import { isRefusal } from "../../../src/control/refusal.ts";
import { newInterface } from "../../../src/core/interface/reconfigure.ts";
import { type Cluster, PUBLISHED, written } from "../cluster/clusters.ts";
import { called } from "./called.ts";

const README = PUBLISHED.readme as Cluster;

async function check(cluster: Cluster, ...options: string[]) {
  const base = written(cluster);
  const words = Object.keys(cluster).map((name) => `${name}=${join(base, name)}`);
  const result = await called(["check", ...options, ...words]);
  return { ...result, out: result.out.replaceAll(`${base}/`, "") };
}

test("hosts that fit: the virtual hosts that were compared, exit 0", async () => {
  assert.deepEqual(await check(README), {
    status: 0,
    err: "",
    out: `VHID  ADDRESSES    HOST  INTERFACE  CARPDEV  ADV
1     10.0.0.1/24  fw1   carp0      eth0     1/0
                   fw2   carp0      eth0     1/100

no errors, no warnings
`,
  });
});

test("balanced hosts: with the share of each", async () => {
  const { out } = await check(PUBLISHED.balanced as Cluster);
  assert.match(out, /^nodes 1,2,3: web1 33%, web2 33%, web3 33%$/m);
});

/** The pair with the second host's file changed. */
function changed(text: string): Cluster {
  return { ...README, fw2: { ...README.fw2, "hostname.carp0": text } };
}

test("an error: FILE:LINE of each finding, exit 1", async () => {
  const { status, err, out } = await check(
    changed("vhid 1 carpdev eth0 pass other\ninet 10.0.0.1 255.255.255.0\n"),
  );
  assert.deepEqual([status, err], [1, ""]);
  assert.deepEqual(out.split("\n").slice(0, 3), [
    "fw2/hostname.carp0:1: error: the pass of fw2's carp0 is not the one of fw1's carp0 (fw1/hostname.carp0:1) [pass-differs]",
    "fw2/hostname.carp0:1: warning: vhid 1 has advbase 1 advskew 0 on fw1 and fw2: none is preferred (fw1/hostname.carp0:1) [no-preferred-master]",
    "",
  ]);
  assert.match(out, /\n1 error, 1 warning\n$/);
});

test("warnings alone: exit 0", async () => {
  const { status, out } = await check(
    changed("vhid 1 carpdev eth0 pass mekmitasdigoat\ninet 10.0.0.1 255.255.255.0\n"),
  );
  assert.equal(status, 0);
  assert.match(out, /\nno errors, 1 warning\n$/);
});

test("--json: every field, in its order", async () => {
  const { status, out } = await check(
    changed("vhid 1 carpdev ens3 pass other advskew 7\ninet 10.0.0.1 255.255.255.0\n"),
    "--json",
  );
  assert.equal(status, 1);
  const host = (name: string, carpdev: string, advskew: number) => ({
    host: name,
    interface: "carp0",
    carpdev,
    advbase: 1,
    advskew,
    share: null,
  });
  const expected = {
    ok: false,
    findings: [
      {
        kind: "pass-differs",
        level: "error",
        host: "fw2",
        file: "fw2/hostname.carp0",
        line: 1,
        hosts: ["fw2", "fw1"],
        text: "the pass of fw2's carp0 is not the one of fw1's carp0 (fw1/hostname.carp0:1)",
      },
    ],
    virtualHosts: [
      { vhid: 1, addresses: ["10.0.0.1/24"], hosts: [host("fw1", "eth0", 0), host("fw2", "ens3", 7)] },
    ],
  };
  assert.equal(out, `${JSON.stringify(expected, undefined, 2)}\n`);
});

test("--json: a place without a line is null, and balanced hosts have their share", async () => {
  const { out } = await check({ ...(PUBLISHED.balanced as Cluster), web4: {} }, "--json");
  const { findings, virtualHosts } = JSON.parse(out);
  assert.deepEqual(
    findings.map(({ kind, line }: { kind: string; line: unknown }) => [kind, line]),
    [["no-interface", null]],
  );
  assert.equal(virtualHosts.length, 3);
  for (const { hosts } of virtualHosts)
    for (const { share } of hosts) assert.ok(Math.abs(share - 1 / 3) < 1e-9);
});

test("a host that is not there: one line, exit 1", async () => {
  const base = written(README);
  const { status, err, out } = await called(["check", `a=${base}/fw1`, "b=/nonexistent"]);
  assert.deepEqual([status, err, out], [1, "carpctl: /nonexistent: no such file or directory\n", ""]);
});

describe("words that name no hosts: usage, exit 2", () => {
  for (const [words, message] of [
    ["a=/etc", "at least two hosts are compared"],
    ["a=/etc b", "b: expected NAME=DIRECTORY or NAME=FILE"],
    ["a=/etc b=", "b=: expected NAME=DIRECTORY or NAME=FILE"],
    ["a=/etc =/etc", "'': not a host's name (letters, digits, dots and dashes)"],
    ["a=/etc a/b=/etc", "a/b: not a host's name (letters, digits, dots and dashes)"],
    ["a=/etc a=/etc", "a: two hosts have this name"],
  ] as const)
    test(words, async () => {
      const usage = "usage: carpctl check NAME=PATH NAME=PATH...\n";
      assert.deepEqual(await called(["check", ...words.split(" ")]), {
        status: 2,
        out: "",
        err: `carpctl: ${message}\n${usage}`,
      });
    });
});

/** Findings about hosts of which some are files that dump printed. */
async function findingsIn(hosts: Readonly<Record<string, string>>, base: string): Promise<string[]> {
  const read = await Promise.all(
    Object.entries(hosts).map(async ([name, path]) => {
      const host = await readHostFiles(name, join(base, path));
      assert.ok(!isRefusal(host), JSON.stringify(host));
      return host;
    }),
  );
  return compareHosts(read).findings.map((each) => `${each.kind} ${placeText(each).replace(`${base}/`, "")}`);
}

describe("a host whose configuration dump has printed", () => {
  const base = written(README);
  const configured = (pass: string | undefined) => ({
    ...newInterface("carp0"),
    up: true,
    carpdev: "ens3",
    nodes: [{ vhid: 1, advskew: 100 }],
    pass,
    addresses: [{ family: 4 as const, address: "10.0.0.1", prefixLength: 24 }],
  });
  const dump = (pass: string | undefined, ...more: string[]) =>
    ["# hostname.carp0", ...hostnameLines(configured(pass)), "", ...more, ""].join("\n");
  mkdirSync(join(base, "dumps"));
  const dumped = async (text: string) => {
    writeFileSync(join(base, "dumps/b"), text);
    return findingsIn({ a: "fw1", b: "dumps/b" }, base);
  };
  const VARIABLES = "net.inet.carp.preempt=1";

  test("fits, with its variables before or behind the interfaces", async () => {
    assert.deepEqual(await dumped(dump("mekmitasdigoat", VARIABLES)), []);
    assert.deepEqual(await dumped(`${VARIABLES}\n${dump("mekmitasdigoat")}`), []);
  });

  test("is told of by the lines of that file", async () => {
    const text = dump("other", VARIABLES, "# hostname.carp10", "carpdev ens4 vhid 1", "frob");
    assert.deepEqual(await dumped(text), ["pass-differs dumps/b:2", "unreadable dumps/b:8"]);
  });

  test("has no pass for a user who may not see it: it is not compared", async () => {
    assert.deepEqual(await dumped(dump(undefined, VARIABLES)), ["pass-unknown dumps/b:3"]);
  });

  test("a line that belongs to no interface is told of", async () => {
    assert.deepEqual(await dumped(`# of b\nvhid 1\n${dump("mekmitasdigoat", VARIABLES)}`), [
      "unreadable dumps/b:2",
    ]);
  });

  test("an empty file is a host without interfaces", async () => {
    assert.deepEqual(await dumped(""), ["alone fw1/hostname.carp0:1", "no-interface dumps/b"]);
  });
});

describe("no pass is told", () => {
  const SECRET = "correct-horse";
  for (const [what, line] of [
    ["another one", `pass ${SECRET}`],
    ["too long", `pass ${SECRET}-battery-staple`],
    ["far too long", `pass ${SECRET.repeat(100)}`],
    ["not quoted", `pass battery ${SECRET}`],
    ["not quoted, like an address", `pass battery 10.${SECRET}`],
    ["with an open quote", `pass '${SECRET}`],
    ["in a passfile", "passfile /etc/carp/pass"],
  ] as const)
    test(what, async () => {
      const cluster = changed(`vhid 1 carpdev eth0 advskew 1 ${line}\ninet 10.0.0.1 255.255.255.0\n`);
      const fw2 = { ...cluster.fw2, "carp/pass": `${SECRET}\n` };
      for (const options of [[], ["--json"]]) {
        const { out, err } = await check({ ...cluster, fw2 }, ...options);
        assert.match(out, /error|warning/);
        for (const secret of [SECRET, "battery", "mekmitasdigoat"])
          assert.ok(!`${out}${err}`.includes(secret), out);
      }
    });
});
