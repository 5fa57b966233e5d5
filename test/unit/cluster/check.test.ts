/**
 * What `carpctl check` finds: a row for every kind of mistake, with the line it is told of, and beside it a healthy
 * variant that nothing is said about.
 */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { CHECK } from "../../../src/topics/check.ts";
import { type Cluster, compared, type Files, findingsOf, PUBLISHED } from "./clusters.ts";

/** A pair of firewalls: carp0 on the inside, carp1 on the outside. */
const INSIDE = "carpdev eth0 vhid 1 pass in\ninet 10.0.0.1 255.255.255.0\n";
const OUTSIDE = "carpdev eth1 vhid 2 pass out\ninet 192.0.2.1 255.255.255.0\n";
const BEHIND = "advskew 100\n";
const SYSCTL = "net.inet.carp.preempt=1\n";

const A: Files = { "hostname.carp0": INSIDE, "hostname.carp1": OUTSIDE, "carp/sysctl.conf": SYSCTL };
const B: Files = {
  ...A,
  "hostname.carp0": INSIDE + BEHIND,
  "hostname.carp1": OUTSIDE + BEHIND,
};

/** Files of a and b in place of those of the pair; an empty text: the file is not there. */
type Changed = Readonly<Record<"a" | "b", Files>>;

function pair({ a, b }: Changed): Cluster {
  const present = (files: Files) =>
    Object.fromEntries(Object.entries(files).filter(([, text]) => text !== ""));
  return { a: present({ ...A, ...a }), b: present({ ...B, ...b }) };
}

const both = (files: Files): Changed => ({ a: files, b: files });
const inB = (files: Files): Changed => ({ a: {}, b: files });
const carp0 = (text: string): Files => ({ "hostname.carp0": text });
const sysctl = (text: string): Files => ({ "carp/sysctl.conf": text });

const inside = (words: string, address = "inet 10.0.0.1 255.255.255.0\n") =>
  `carpdev eth0 vhid 1 pass in\n${address}${words}\n`;
const balanced = (words: string) => `carpdev eth0 pass in\ninet 10.0.0.1 255.255.255.0\n${words}\n`;
/** Without carp1, so that carp0 alone is compared. */
const single = (a: string, b: string): Changed => ({
  a: { "hostname.carp0": a, "hostname.carp1": "" },
  b: { "hostname.carp0": b, "hostname.carp1": "" },
});

interface Row {
  readonly mistake: string;
  readonly wrong: Changed;
  readonly found: readonly string[];
  readonly healthy: Changed;
}

const ROWS: readonly Row[] = [
  {
    mistake: "a line that is no parameter",
    wrong: inB(carp0(`${INSIDE}${BEHIND}frob\n`)),
    found: ["unreadable b/hostname.carp0:4"],
    healthy: inB(carp0(`${INSIDE}${BEHIND}# frob\n`)),
  },
  {
    mistake: "a variable without a number",
    wrong: inB(sysctl("net.inet.carp.preempt=1\nnet.inet.carp.log=some\n")),
    found: ["unreadable b/carp/sysctl.conf:2"],
    healthy: inB(sysctl("net.inet.carp.preempt=1\nnet.inet.carp.log=3\n")),
  },
  {
    mistake: "a variable out of its range",
    wrong: inB(sysctl("net.inet.carp.preempt=2\n")),
    found: ["refused b/carp/sysctl.conf:1"],
    healthy: inB(sysctl("net.inet.carp.preempt = 1 # on\n")),
  },
  {
    mistake: "one vhid twice on a carpdev",
    wrong: inB({ "hostname.carp2": "carpdev eth0 vhid 1 pass in\ninet alias 10.0.0.7/24\n" }),
    found: ["alone b/hostname.carp2:1", "refused b/hostname.carp2:1", "vhid-reused b/hostname.carp2:1"],
    healthy: {
      a: { "hostname.carp2": "carpdev eth0 vhid 3 pass in\ninet 10.0.0.7/24\n" },
      b: { "hostname.carp2": "carpdev eth0 vhid 3 pass in advskew 100\ninet 10.0.0.7/24\n" },
    },
  },
  {
    mistake: "one address on two interfaces, written in another way",
    wrong: both({
      "hostname.carp0": `${inside("advskew 1")}inet6 2001:db8::1 64\n`,
      "hostname.carp1": `${OUTSIDE}advskew 1\ninet6 2001:DB8:0::1 64\n`,
    }),
    found: [
      "refused a/hostname.carp1:4",
      "no-preferred-master b/hostname.carp0:3",
      "no-preferred-master b/hostname.carp1:3",
      "refused b/hostname.carp1:4",
    ],
    healthy: {
      a: {
        "hostname.carp0": `${INSIDE}inet6 2001:db8::1 64\n`,
        "hostname.carp1": `${OUTSIDE}inet6 2001:db8:1::1 64\n`,
      },
      b: {
        "hostname.carp0": `${INSIDE}${BEHIND}inet6 2001:DB8:0::1 64\n`,
        "hostname.carp1": `${OUTSIDE}${BEHIND}inet6 2001:db8:1::1 64\n`,
      },
    },
  },
  {
    mistake: "a pass that is cut",
    wrong: both({ ...carp0(""), "hostname.carp1": `${OUTSIDE}pass 01234567890123456789\n` }),
    found: [
      "suspect-line a/hostname.carp1:3",
      "no-preferred-master b/hostname.carp1:1",
      "suspect-line b/hostname.carp1:3",
    ],
    healthy: {
      a: { "hostname.carp1": `${OUTSIDE}pass 0123456789012345678\n` },
      b: { "hostname.carp1": `${OUTSIDE}${BEHIND}pass 0123456789012345678\n` },
    },
  },
  {
    mistake: "a host without files",
    wrong: { a: { "hostname.carp1": "" }, b: { "hostname.carp0": "", "hostname.carp1": "" } },
    found: ["alone a/hostname.carp0:1", "no-interface b"],
    healthy: { a: { "hostname.carp1": "" }, b: { "hostname.carp1": "" } },
  },
  {
    mistake: "no vhid",
    wrong: {
      a: { "hostname.carp1": "" },
      b: { ...carp0("carpdev eth0 pass in\ninet 10.0.0.1/24\n"), "hostname.carp1": "" },
    },
    found: ["alone a/hostname.carp0:1", "stays-init b/hostname.carp0"],
    healthy: inB(carp0("carpdev eth0 pass in\ninet 10.0.0.1/24\nvhid 1 advskew 100\n")),
  },
  {
    mistake: "no address",
    wrong: {
      a: { "hostname.carp1": "" },
      b: { ...carp0("carpdev eth0 vhid 1 pass in up\n"), "hostname.carp1": "" },
    },
    found: ["alone a/hostname.carp0:1", "stays-init b/hostname.carp0:1"],
    healthy: inB(carp0("carpdev eth0 vhid 1 pass in up 10.0.0.1/24 advskew 100\n")),
  },
  {
    mistake: "an interface that is down",
    wrong: { a: { "hostname.carp1": "" }, b: { ...carp0(`${INSIDE}${BEHIND}down\n`), "hostname.carp1": "" } },
    found: ["alone a/hostname.carp0:1", "is-down b/hostname.carp0:4"],
    healthy: inB(carp0(`${INSIDE}${BEHIND}down\nup\n`)),
  },
  {
    mistake: "a virtual host of one host",
    wrong: inB({ "hostname.carp2": "carpdev eth2 vhid 9 pass x\n10.9.0.1/24\n" }),
    found: ["alone b/hostname.carp2:1"],
    healthy: {
      a: { "hostname.carp2": "carpdev eth2 vhid 9 pass x\n10.9.0.1/24\n" },
      b: { "hostname.carp2": "carpdev eth2 vhid 9 pass x advskew 100\n10.9.0.1/24\n" },
    },
  },
  {
    mistake: "another pass",
    wrong: inB(carp0(`${INSIDE}${BEHIND}pass In\n`)),
    found: ["pass-differs b/hostname.carp0:4"],
    healthy: inB(carp0(`${INSIDE}${BEHIND}pass "in"\n`)),
  },
  {
    mistake: "a passfile that is not among the copies",
    wrong: inB(carp0(`${INSIDE}${BEHIND}passfile /etc/carp/pass\n`)),
    found: ["pass-unknown b/hostname.carp0:4"],
    healthy: inB({ ...carp0(`${INSIDE}${BEHIND}passfile /etc/carp/pass\n`), "carp/pass": "in\nout\n" }),
  },
  {
    mistake: "an address more",
    wrong: inB(carp0(`${INSIDE}${BEHIND}inet alias 10.0.0.9/24\n`)),
    found: ["addresses-differ b/hostname.carp0:4"],
    healthy: {
      a: carp0(`inet 10.0.0.9/24\n${INSIDE.replace("inet", "inet alias")}`),
      b: carp0(`${INSIDE}${BEHIND}inet alias 10.0.0.9/24\n`),
    },
  },
  {
    mistake: "one family alone",
    wrong: { a: carp0(`${INSIDE}inet6 2001:db8::1\n`), b: {} },
    found: ["addresses-differ a/hostname.carp0:3"],
    healthy: { a: carp0(`${INSIDE}inet6 2001:db8::1\n`), b: carp0(`${INSIDE}${BEHIND}2001:db8:0:0::1\n`) },
  },
  {
    mistake: "another link-local address",
    wrong: { a: carp0(`${INSIDE}inet6 fe80::1\n`), b: carp0(`${INSIDE}${BEHIND}inet6 fe80::2\n`) },
    found: ["link-locals-differ a/hostname.carp0:3", "link-locals-differ b/hostname.carp0:4"],
    healthy: { a: carp0(`${INSIDE}inet6 fe80::1%carp0\n`), b: carp0(`${INSIDE}${BEHIND}inet6 fe80::1 64\n`) },
  },
  {
    mistake: "another mask",
    wrong: inB(carp0(inside("advskew 100", "inet 10.0.0.1\n"))),
    found: ["masks-differ b/hostname.carp0:2"],
    healthy: inB(carp0(inside("advskew 100", "10.0.0.1/24\n"))),
  },
  {
    mistake: "another broadcast address",
    wrong: inB(carp0(inside("advskew 100", "inet 10.0.0.1 255.255.255.0 10.0.0.127\n"))),
    found: ["masks-differ b/hostname.carp0:2"],
    healthy: inB(carp0(inside("advskew 100", "inet 10.0.0.1 255.255.255.0 10.0.0.255\n"))),
  },
  {
    mistake: "another vhid for the same address",
    wrong: inB(carp0(`${INSIDE}${BEHIND}vhid 11\n`)),
    found: ["vhid-differs b/hostname.carp0:4"],
    healthy: { a: carp0(`${INSIDE}vhid 11\n`), b: carp0(`${INSIDE}${BEHIND}vhid 11\n`) },
  },
  {
    mistake: "one vhid for different addresses",
    wrong: inB(carp0(inside("advskew 100", "10.0.0.7/24\n"))),
    found: ["vhid-reused b/hostname.carp0:1"],
    healthy: {
      a: { "hostname.carp1": OUTSIDE.replace("vhid 2", "vhid 1") },
      b: { "hostname.carp1": `${OUTSIDE.replace("vhid 2", "vhid 1")}${BEHIND}` },
    },
  },
  {
    mistake: "a node that is another interface's vhid",
    wrong: {
      a: { ...carp0(balanced("carpnodes 1:0,7:100")) },
      b: {
        ...carp0(balanced("carpnodes 1:100,7:0")),
        "hostname.carp5": "carpdev eth0 vhid 7 pass x\n10.0.0.70/24\n",
      },
    },
    found: ["alone b/hostname.carp5:1", "refused b/hostname.carp5:1", "vhid-reused b/hostname.carp5:1"],
    healthy: {
      a: { ...carp0(balanced("carpnodes 1:0,7:100")), "hostname.carp1": "" },
      b: { ...carp0(balanced("carpnodes 7:0,1:100")), "hostname.carp1": "" },
    },
  },
  {
    mistake: "other carpnodes",
    wrong: single(balanced("carpnodes 1:0,3:100"), balanced("carpnodes 1:100,4:0")),
    found: ["carpnodes-differ b/hostname.carp0:3"],
    healthy: single(balanced("carpnodes 1:0,3:100"), balanced("carpnodes 3:0,1:100")),
  },
  {
    mistake: "another balancing mode",
    wrong: single(balanced("carpnodes 1:0,3:100"), balanced("carpnodes 1:100,3:0\nbalancing ip-stealth")),
    found: ["balancing-differs b/hostname.carp0:4"],
    healthy: single(balanced("carpnodes 1:0,3:100"), balanced("carpnodes 1:100,3:0\nbalancing ip")),
  },
  {
    mistake: "a MAC address by hand on one host",
    wrong: inB(carp0(`${INSIDE}${BEHIND}lladdr 02:00:00:00:00:01\n`)),
    found: ["lladdr-differs b/hostname.carp0:4"],
    healthy: inB(carp0(`${INSIDE}${BEHIND}lladdr 0:0:5E:0:1:1\n`)),
  },
  {
    mistake: "the carpdev's MAC address on one host",
    wrong: { a: carp0(`${INSIDE}lladdr carpdev\n`), b: {} },
    found: ["lladdr-mixed b/hostname.carp0:1"],
    healthy: { a: carp0(`${INSIDE}lladdr carpdev\n`), b: carp0(`${INSIDE}${BEHIND}lladdr carpdev\n`) },
  },
  {
    mistake: "carppeer on one host",
    wrong: { a: carp0(`${INSIDE}carppeer 10.0.0.3\n`), b: {} },
    found: ["peers-one-sided b/hostname.carp0:1"],
    healthy: { a: carp0(`${INSIDE}carppeer 10.0.0.3\n`), b: carp0(`${INSIDE}${BEHIND}peer 10.0.0.2\n`) },
  },
  {
    mistake: "carppeer6 that stands for nothing on the other host",
    wrong: {
      a: carp0(`${INSIDE}2001:db8::1/64\ncarppeer6 2001:db8::3\n`),
      b: carp0(`${INSIDE}${BEHIND}2001:db8::1/64\n`),
    },
    found: ["peers-one-sided b/hostname.carp0:1"],
    healthy: { a: carp0(`${INSIDE}carppeer6 2001:db8::3\n`), b: {} },
  },
  {
    mistake: "each host lists the same other one",
    wrong: { a: carp0(`${INSIDE}carppeer 10.0.0.3\n`), b: carp0(`${INSIDE}${BEHIND}carppeer 10.0.0.3\n`) },
    found: ["peers-not-mirrored b/hostname.carp0:4"],
    healthy: {
      a: carp0(`${INSIDE}carppeer 10.0.0.2,10.0.0.3\n`),
      b: carp0(`${INSIDE}${BEHIND}carppeer peer2,peer3\n`),
    },
  },
  {
    mistake: "the shared address as a peer",
    wrong: { a: carp0(`${INSIDE}carppeer 10.0.0.1\n`), b: carp0(`${INSIDE}${BEHIND}carppeer 10.0.0.2\n`) },
    found: ["peer-is-shared a/hostname.carp0:3"],
    healthy: { a: carp0(`${INSIDE}carppeer 10.0.0.3\n`), b: carp0(`${INSIDE}${BEHIND}carppeer 10.0.0.2\n`) },
  },
  {
    mistake: "equal advskew",
    wrong: inB({ ...carp0(INSIDE), "hostname.carp1": OUTSIDE }),
    found: ["no-preferred-master b/hostname.carp0:1", "no-preferred-master b/hostname.carp1:1"],
    healthy: inB({ ...carp0(`${INSIDE}advskew 1\n`), "hostname.carp1": `${OUTSIDE}advskew 1\n` }),
  },
  {
    mistake: "equal advskew of one node",
    wrong: single(balanced("carpnodes 1:0,3:100"), balanced("carpnodes 1:0,3:0")),
    found: ["no-preferred-master b/hostname.carp0:3"],
    healthy: single(balanced("carpnodes 1:0,3:100"), balanced("carpnodes 1:1,3:0")),
  },
  {
    mistake: "another advbase",
    wrong: inB({ ...carp0(`${INSIDE}advbase 5\n`), "hostname.carp1": `${OUTSIDE}advskew 100\n` }),
    found: ["advbase-differs b/hostname.carp0:3", "demotion-too-small b/hostname.carp0:1"],
    healthy: { a: carp0(`${INSIDE}advbase 5\n`), b: carp0(`${INSIDE}${BEHIND}advbase 5\n`) },
  },
  {
    mistake: "preempt on one host",
    wrong: inB(sysctl("")),
    found: ["preempt-differs a/carp/sysctl.conf:1"],
    healthy: both(sysctl("")),
  },
  {
    mistake: "the inside prefers one firewall, the outside the other",
    wrong: {
      a: carp0(`${INSIDE}${BEHIND}`),
      b: carp0(INSIDE),
    },
    found: ["preferred-apart a/hostname.carp1:1"],
    healthy: {
      a: {
        "hostname.carp2": "carpdev eth0 vhid 21 pass in advskew 100\n10.0.0.7/24\n",
        "hostname.carp3": "carpdev eth1 vhid 22 pass out advskew 100\n192.0.2.7/24\n",
      },
      b: {
        "hostname.carp2": "carpdev eth0 vhid 21 pass in\n10.0.0.7/24\n",
        "hostname.carp3": "carpdev eth1 vhid 22 pass out\n192.0.2.7/24\n",
      },
    },
  },
  {
    mistake: "interfaces whose faults demote nothing else",
    wrong: {
      a: {
        ...carp0(`${INSIDE}-group carp\n`),
        ...sysctl(`${SYSCTL}net.inet.carp.ifdown_demotion_factor=0\n`),
      },
      b: {
        ...carp0(`${INSIDE}${BEHIND}-group carp\n`),
        ...sysctl(`${SYSCTL}net.inet.carp.ifdown_demotion_factor=0\n`),
      },
    },
    found: [
      "faults-apart a/hostname.carp0:3",
      "faults-apart a/hostname.carp1:1",
      "faults-apart b/hostname.carp0:4",
      "faults-apart b/hostname.carp1:1",
    ],
    healthy: {
      a: carp0(`${INSIDE}-group carp\n`),
      b: carp0(`${INSIDE}${BEHIND}-group carp\n`),
    },
  },
  {
    mistake: "other groups",
    wrong: inB(carp0(`${INSIDE}${BEHIND}-group carp\n`)),
    found: ["groups-differ b/hostname.carp0:4"],
    healthy: { a: carp0(`${INSIDE}group x\ngroup y\n`), b: carp0(`${INSIDE}${BEHIND}group y group x\n`) },
  },
  {
    mistake: "another demotion factor",
    wrong: inB(sysctl(`${SYSCTL}net.inet.carp.senderr_demotion_factor=200\n`)),
    found: ["factor-differs b/carp/sysctl.conf:2"],
    healthy: both(sysctl(`${SYSCTL}net.inet.carp.senderr_demotion_factor=200\n`)),
  },
  {
    mistake: "a demotion that advskew hides",
    wrong: inB({ ...carp0(`${INSIDE}advskew 250\n`) }),
    found: ["demotion-too-small b/hostname.carp0:3"],
    healthy: inB({ ...carp0(`${INSIDE}advskew 239\n`) }),
  },
  {
    mistake: "a small demotion",
    wrong: both(sysctl(`${SYSCTL}net.inet.carp.ifdown_demotion_factor=50\n`)),
    found: ["demotion-too-small b/hostname.carp0:3", "demotion-too-small b/hostname.carp1:3"],
    healthy: both(sysctl(`${SYSCTL}net.inet.carp.ifdown_demotion_factor=150\n`)),
  },
  {
    mistake: "a balanced host without a node",
    wrong: single(balanced("carpnodes 1:0,3:0"), balanced("carpnodes 1:100,3:100")),
    found: ["idle-host b/hostname.carp0:3"],
    healthy: single(balanced("carpnodes 1:0,3:0,4:0,5:100"), balanced("carpnodes 1:100,3:100,4:100,5:0")),
  },
  {
    mistake: "advertisements are not accepted",
    wrong: inB(sysctl(`${SYSCTL}net.inet.carp.allow=0\n`)),
    found: ["allow-off b/carp/sysctl.conf:2"],
    healthy: inB(sysctl(`${SYSCTL}net.inet.carp.allow=1\n`)),
  },
];

const THREE: readonly {
  readonly mistake: string;
  readonly files: readonly string[];
  readonly found: readonly string[];
}[] = [
  {
    mistake: "one host of three lacks an address",
    files: ["alias 10.0.0.9/24", "advskew 50", "alias 10.0.0.9/24 advskew 100"],
    found: ["addresses-differ b/hostname.carp0:1"],
  },
  {
    mistake: "one host of three has another pass: it is told of, whichever it is",
    files: ["pass other", "advskew 50", "advskew 100"],
    found: ["pass-differs a/hostname.carp0:3"],
  },
  {
    mistake: "two backups of equal rank",
    files: ["advskew 0", "advskew 100", "advskew 100"],
    found: ["equal-advskew c/hostname.carp0:3"],
  },
  {
    mistake: "a peer that one host has forgotten",
    files: [
      "carppeer 10.0.0.3,10.0.0.4",
      "carppeer 10.0.0.2,10.0.0.4 advskew 50",
      "carppeer 10.0.0.2 advskew 100",
    ],
    found: ["peers-not-mirrored c/hostname.carp0:3"],
  },
  { mistake: "nothing", files: ["advskew 0", "advskew 50", "advskew 100"], found: [] },
  {
    mistake: "nothing, with peers",
    files: [
      "carppeer 10.0.0.3,10.0.0.4",
      "carppeer 10.0.0.2,10.0.0.4 advskew 50",
      "carppeer 10.0.0.2,10.0.0.3 advskew 100",
    ],
    found: [],
  },
];

describe("a mistake, and a healthy pair beside it", () => {
  for (const { mistake, wrong, found, healthy } of ROWS)
    test(mistake, async () => {
      assert.deepEqual((await findingsOf(pair(wrong))).sort(), [...found].sort());
      assert.deepEqual(await findingsOf(pair(healthy)), []);
    });

  for (const { mistake, files, found } of THREE)
    test(`three hosts: ${mistake}`, async () => {
      const cluster = Object.fromEntries(
        files.map((words, at) => ["abc"[at], { "hostname.carp0": inside(words) }]),
      );
      assert.deepEqual(await findingsOf(cluster), found);
    });

  test("every kind has a row", () => {
    const found = new Set([...ROWS, ...THREE].flatMap((row) => row.found.map((each) => each.split(" ")[0])));
    assert.deepEqual(
      Object.keys(CHECK).filter((kind) => !found.has(kind)),
      [],
    );
  });
});

describe("well configured clusters: nothing is said", () => {
  for (const [name, cluster] of Object.entries(PUBLISHED))
    test(name, async () => {
      const { findings, segments } = await compared(cluster);
      assert.deepEqual(findings, []);
      const hosts = Object.keys(cluster).length;
      for (const { shared } of segments)
        for (const { members } of shared) assert.equal(members.length, hosts);
    });
});
