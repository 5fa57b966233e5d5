/** Interfaces and groups in the output format of OpenBSD's ifconfig. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { packetsText, repairsText, statisticsText } from "../../../src/cli/commands/netstat.ts";
import { groupText, interfaceText } from "../../../src/cli/show/ifconfig.ts";
import { interfaceJson } from "../../../src/cli/show/json.ts";
import { age, type HostStatus, type Page, statusText } from "../../../src/cli/show/status.ts";
import type { InterfaceView } from "../../../src/control/messages.ts";
import { zeroStatistics } from "../../../src/core/statistics.ts";
import { node, view } from "./scripted-engine.ts";

test("a MASTER with addresses of both families, as ifconfig prints it", () => {
  const text = interfaceText(
    view({
      description: "www",
      addresses: [
        { family: 4, address: "10.0.0.1", prefixLength: 24 },
        { family: 6, address: "2001:db8::1", prefixLength: 64 },
      ],
    }),
  );
  assert.equal(
    text,
    "carp0: flags=8843<UP,BROADCAST,RUNNING,SIMPLEX,MULTICAST> mtu 1500\n" +
      "\tlladdr 00:00:5e:00:01:01\n" +
      "\tdescription: www\n" +
      "\tindex 5 priority 15 llprio 3\n" +
      "\tcarp: MASTER carpdev eth0 vhid 1 advbase 1 advskew 0\n" +
      "\tgroups: carp\n" +
      "\tstatus: master\n" +
      "\tinet 10.0.0.1 netmask 0xffffff00 broadcast 10.0.0.255\n" +
      "\tinet6 2001:db8::1 prefixlen 64\n",
  );
});

test("a link-local address is printed with its interface, and with the number of its scope", () => {
  const addresses = [{ family: 6 as const, address: "fe80::1", prefixLength: 64 }];
  const lines = (index: number) => interfaceText(view({ name: "carp1", index, addresses })).split("\n");
  assert.equal(lines(29).at(-2), "\tinet6 fe80::1%carp1 prefixlen 64 scopeid 0x1d");
  assert.equal(lines(0).at(-2), "\tinet6 fe80::1%carp1 prefixlen 64");
});

test("several nodes have a line each, the peers end the carp line", () => {
  const text = interfaceText(
    view({
      balancing: "ip",
      carppeer: ["192.0.2.2"],
      carppeer6: ["2001:db8::2"],
      announce: 0,
      preemptdelay: 120,
      groups: ["carp", "www"],
      nodes: [node(), node({ vhid: 2, advskew: 100, state: "BACKUP" })],
      addresses: [],
    }),
  );
  assert.equal(
    text,
    "carp0: flags=8843<UP,BROADCAST,RUNNING,SIMPLEX,MULTICAST> mtu 1500\n" +
      "\tlladdr 00:00:5e:00:01:01\n" +
      "\tindex 5 priority 15 llprio 3\n" +
      "\tcarp: carpdev eth0 advbase 1 balancing ip carppeer 192.0.2.2 carppeer6 2001:db8::2\n" +
      "\t\tstate MASTER vhid 1 advskew 0\n" +
      "\t\tstate BACKUP vhid 2 advskew 100\n" +
      "\tannounce 0\n" +
      "\tpreemptdelay 120\n" +
      "\tgroups: carp www\n" +
      "\tstatus: master\n",
  );
});

test("an interface that was just created has neither a MAC nor a carp line", () => {
  const fresh = {
    up: false,
    running: false,
    lladdr: undefined,
    carpdev: undefined,
    nodes: [],
    addresses: [],
  };
  assert.equal(
    interfaceText(view({ ...fresh, index: 0, status: "invalid" })),
    "carp0: flags=8802<BROADCAST,SIMPLEX,MULTICAST> mtu 1500\n" +
      "\tindex 0 priority 15 llprio 3\n" +
      "\tgroups: carp\n" +
      "\tstatus: invalid\n",
  );
});

test("a vhid without a carpdev says `carpdev none`, one peer ends the line", () => {
  const text = interfaceText(
    view({ carpdev: undefined, carppeer: ["192.0.2.2"], nodes: [node({ state: "INIT" })] }),
  );
  assert.match(text, /\n\tcarp: INIT carpdev none vhid 1 advbase 1 advskew 0 carppeer 192\.0\.2\.2\n/);
  const several = view({
    carppeer: ["192.0.2.2", "192.0.2.3"],
    carppeer6: ["2001:db8::2", "2001:db8::3"],
    nodes: [node()],
  });
  assert.match(
    interfaceText(several),
    / carppeer 192\.0\.2\.2,192\.0\.2\.3 carppeer6 2001:db8::2,2001:db8::3\n/,
  );
});

test("netmask and broadcast of every kind of prefix", () => {
  const lines = (addresses: ReturnType<typeof view>["addresses"]) =>
    interfaceText(view({ addresses })).split("\n").slice(6, -1);
  assert.deepEqual(
    lines([
      { family: 4, address: "10.0.0.1", prefixLength: 32 },
      { family: 4, address: "10.0.0.2", prefixLength: 31 },
      { family: 4, address: "10.0.0.3", prefixLength: 8, broadcast: "10.0.0.255" },
      { family: 4, address: "10.0.0.4", prefixLength: 32, broadcast: "10.0.0.4" },
      { family: 4, address: "10.0.0.5", prefixLength: 0 },
    ]),
    [
      "\tinet 10.0.0.1 netmask 0xffffffff",
      "\tinet 10.0.0.2 netmask 0xfffffffe",
      "\tinet 10.0.0.3 netmask 0xff000000 broadcast 10.0.0.255",
      "\tinet 10.0.0.4 netmask 0xffffffff broadcast 10.0.0.4",
      "\tinet 10.0.0.5 netmask 0x00000000 broadcast 255.255.255.255",
    ],
  );
});

test("a description cannot forge a line of output", () => {
  assert.match(
    interfaceText(view({ description: "a\n\tstatus: master" })),
    /\n\tdescription: a\\n\\tstatus: master\n/,
  );
});

test("a group's demote count", () => {
  assert.equal(
    groupText({ name: "carp", carpDemoteCount: 0, interfaces: ["carp0"] }),
    "carp: carp demote count 0\n",
  );
});

test("no counter has counted anything", () => {
  assert.equal(
    statisticsText("carp", zeroStatistics()),
    "carp:\n" +
      "\t0 packets received (IPv4)\n" +
      "\t0 packets received (IPv6)\n" +
      "\t\t0 packets discarded for bad interface\n" +
      "\t\t0 packets discarded for wrong TTL\n" +
      "\t\t0 packets shorter than header\n" +
      "\t\t0 discarded for bad checksums\n" +
      "\t\t0 discarded packets with a bad version\n" +
      "\t\t0 discarded because packet too short\n" +
      "\t\t0 discarded for bad authentication\n" +
      "\t\t0 discarded for unknown vhid\n" +
      "\t\t0 discarded because of a bad address list\n" +
      "\t\t0 discarded by the rate limit for unauthenticated packets\n" +
      "\t0 packets sent (IPv4)\n" +
      "\t0 packets sent (IPv6)\n" +
      "\t\t0 send failed due to mbuf memory error\n" +
      "\t0 transitions to master\n",
  );
});

test("one of a kind is counted in the singular", () => {
  const text = statisticsText("carp", {
    ...zeroStatistics(),
    receivedIpv4: 1,
    badChecksum: 1,
    badVersion: 1,
    transitionsToMaster: 1,
  });
  assert.match(text, /\t1 packet received \(IPv4\)\n/);
  assert.match(text, /\t\t1 discarded for bad checksum\n\t\t1 discarded packet with a bad version\n/);
  assert.match(text, /\t1 transition to master\n$/);
});

const page = { colour: false, columns: 80, nowUs: 3_726_000_000 };
const heard = { source: "192.0.2.2", advbase: 1, advskew: 0, demote: 0, atUs: 3_725_500_000 };

function status(
  interfaces: readonly InterfaceView[],
  { groups = [], packets = [], demotion, checks = [], ...rest }: Partial<HostStatus & Page> = {},
): string {
  return statusText({ interfaces, groups, packets, demotion, checks }, { ...page, ...rest });
}

test("a grace is told: what is signed with, until when, and who uses the old", () => {
  const nowUs = 5_000_000_000;
  const usedBy = [{ source: "10.0.0.3", atUs: nowUs - 2_000_000 }];
  const grace = {
    signsOld: true,
    untilUs: nowUs + 250_000_000,
    believesUntilUs: nowUs + 550_000_000,
    pass: true,
    addresses: false,
    usedBy,
  };
  assert.match(interfaceText(view({ grace })), /\n\tpassold: still believed\n/);
  assert.doesNotMatch(interfaceText(view({ grace: { ...grace, pass: false, addresses: true } })), /passold/);
  const lines = (of: typeof grace) =>
    status([view({ grace: of })], { nowUs, columns: 300 })
      .split("\n")
      .filter((line) => line.startsWith("carp0: "));
  assert.deepEqual(lines(grace), [
    "carp0: signs with the old pass for 250 s more, or until a peer signs with the new; the old heard from 10.0.0.3 2 s ago",
  ]);
  assert.deepEqual(lines({ ...grace, signsOld: false, addresses: true, usedBy: [] }), [
    "carp0: signs with the new pass and addresses, and believes the old for 550 s more",
  ]);
  assert.deepEqual(interfaceJson(view({ grace }), nowUs, undefined).grace, {
    signs: "old",
    secondsLeft: 250,
    pass: true,
    addresses: false,
    usedBy: [{ source: "10.0.0.3", ageSeconds: 2 }],
  });
});

test("a wrong digest is told while its host advertises, and as JSON for a minute", () => {
  const nowUs = 100_000_000;
  const told = { source: "10.0.0.3", text: "10.0.0.3 has no pass", todo: "set the pass there" };
  const wrong = { vhid: 1, cause: "no-pass" as const, ...told, atUs: nowUs - 2_500_000, untilUs: nowUs + 1 };
  const line = /^carp0: 10\.0\.0\.3 has no pass: set the pass there \[digest-no-pass\]$/m;
  assert.match(status([view({ wrongDigests: [wrong] })], { nowUs }), line);
  assert.doesNotMatch(status([view({ wrongDigests: [{ ...wrong, untilUs: nowUs - 1 }] })], { nowUs }), line);
  const json = (atUs: number) =>
    interfaceJson(view({ wrongDigests: [{ ...wrong, atUs }] }), nowUs, undefined).wrongDigests;
  assert.deepEqual(json(nowUs - 2_500_000), [{ vhid: 1, cause: "no-pass", ...told, ageSeconds: 2.5 }]);
  assert.deepEqual(json(nowUs - 61_000_000), []);
  assert.deepEqual(interfaceJson(view(), nowUs, undefined).wrongDigests, []);
});

test("status has a row for every virtual host", () => {
  const nodes = [
    node(),
    node({ vhid: 2, state: "BACKUP", advskew: 100, effectiveAdvskew: 240, demote: 1, heard }),
  ];
  const addresses = [
    { family: 4, address: "10.0.0.1", prefixLength: 24 },
    { family: 4, address: "10.0.0.2", prefixLength: 24 },
  ] as const;
  assert.equal(
    status([view({ nodes, addresses })], {
      groups: [{ name: "carp", carpDemoteCount: 1, interfaces: ["carp0"] }],
    }),
    "NAME   VHID  STATE   SINCE  ADDRESSES    CARPDEV  ADV       MASTER     CHANGES\n" +
      "carp0  1     MASTER  1h2m   10.0.0.1/24  eth0     1/0       this host  1\n" +
      "                            10.0.0.2/24\n" +
      "carp0  2     BACKUP  1h2m                         1/100     192.0.2.2  1\n" +
      "                                                  as 1/240  0s ago\n" +
      "                                                  demote 1\n" +
      "group carp: carp demote count 1\n",
  );
});

const LONG = "2001:db8:1111:2222:3333:4444:5555:6666";
const LONG_SOURCE = "fe80::1111:2222:3333:4444";

test("addresses that leave no room for the other columns stand below, whole", () => {
  const addresses = [
    { family: 6, address: LONG, prefixLength: 64 },
    { family: 4, address: "192.168.100.100", prefixLength: 24 },
  ] as const;
  assert.equal(
    status([
      view({ addresses, nodes: [node({ state: "BACKUP", heard: { ...heard, source: LONG_SOURCE } })] }),
    ]),
    `NAME   VHID  STATE   SINCE  CARPDEV  ADV  MASTER                     CHANGES
carp0  1     BACKUP  1h2m   eth0     1/0  ${LONG_SOURCE}  1
                                          0s ago
  ${LONG}/64 192.168.100.100/24
`,
  );
});

test("32 nodes, 20 addresses and the longest names there are: nothing is wider than the terminal, nothing is cut", () => {
  const nodes = Array.from({ length: 32 }, (_, n) =>
    node({
      vhid: 224 + n,
      state: "BACKUP",
      advskew: 254,
      effectiveAdvskew: 240,
      demote: 255,
      transitions: 1_000_000,
      sinceUs: -86_400_000_000 * 999,
      heard: { ...heard, source: LONG },
    }),
  );
  const addresses = Array.from({ length: 20 }, (_, n) => ({
    family: 6 as const,
    address: LONG.replace("6666", String(6600 + n)),
    prefixLength: 128,
  }));
  const packets = {
    interface: "carp4294967295",
    nodes: nodes.map(({ vhid }) => ({ vhid, accepted: 123_456_789_012, droppedByHash: 123_456_789_012 })),
    droppedByLease: 123_456_789_012,
    malformed: 0,
    withheld: 0,
  };
  const fields = {
    name: "carp4294967295",
    carpdev: "enp0s31f6np1.42",
    balancing: "ip",
    nodes,
    addresses,
  } as const;
  const text = status([view({ ...fields, notRunning: "word ".repeat(30) })], { packets: [packets] });

  const lines = text.split("\n");
  for (const line of lines) assert.ok(line.length <= 80, line);
  for (const { address } of addresses) assert.equal(text.split(`${address}/128`).length, 2, address);
  const rows = lines.map((line) => line.split(/ +/)).filter(([name]) => name === fields.name);
  assert.deepEqual(
    rows.map(([, vhid]) => Number(vhid)),
    [...nodes, ...nodes].map(({ vhid }) => vhid),
  );
  assert.equal(lines.filter((line) => line === `  heard ${LONG} 0s ago`).length, 32);
});

test("where load is balanced, the share of each node follows, of all that came to this host", () => {
  const packets = {
    interface: "carp0",
    nodes: [
      { vhid: 1, accepted: 50, droppedByHash: 0 },
      { vhid: 2, accepted: 0, droppedByHash: 40 },
    ],
    droppedByLease: 10,
    malformed: 0,
    withheld: 0,
  };
  const nodes = [node(), node({ vhid: 2, state: "BACKUP" })];
  const balanced = view({ balancing: "ip", nodes });
  const groups = [{ name: "carp", carpDemoteCount: 1, interfaces: ["carp0"] }];
  assert.equal(
    status([balanced], { packets: [packets], groups })
      .split("\n")
      .slice(3)
      .join("\n"),
    `
NAME   VHID  ACCEPTED  SHARE  LEFT TO OTHERS
carp0  1     50        50%    0
carp0  2     0         0%     40
carp0: 50 of 100 packets accepted here (50%), 10 dropped without a lease

group carp: carp demote count 1
`,
  );
  assert.doesNotMatch(
    status([view()], { packets: [{ ...packets, nodes: packets.nodes.slice(1) }] }),
    /SHARE/,
  );
  const { nodes: shown, packets: rest } = interfaceJson(balanced, page.nowUs, packets);
  assert.deepEqual(
    shown.map((each) => each.packets),
    [
      { accepted: 50, droppedByHash: 0, share: 0.5 },
      { accepted: 0, droppedByHash: 40, share: 0 },
    ],
  );
  assert.deepEqual(rest, { droppedByLease: 10, malformed: 0, withheld: 0 });
});

test("no share can be told before a packet has come", () => {
  const zero = { accepted: 0, droppedByHash: 0 };
  const packets = {
    interface: "carp0",
    nodes: [
      { vhid: 1, ...zero },
      { vhid: 2, ...zero },
    ],
    droppedByLease: 0,
    malformed: 0,
    withheld: 0,
  };
  assert.match(status([view()], { packets: [packets] }), /^carp0 +1 +0 +- +0$/m);
  assert.equal(interfaceJson(view(), page.nowUs, packets).nodes[0]?.packets?.share, null);
  assert.equal(interfaceJson(view({ repairs: 3 }), page.nowUs, undefined).repairs, 3);
});

test("the statistics of one interface go by its name, and end with what became of packets for it", () => {
  assert.match(statisticsText("carp7", zeroStatistics()), /^carp7:\n\t0 packets received/);
  assert.equal(repairsText(1), "\t1 repair of changes by other programs\n");
  assert.equal(repairsText(2), "\t2 repairs of changes by other programs\n");
  const rest = { droppedByLease: 3, malformed: 0, withheld: 2 };
  assert.equal(
    packetsText({ interface: "carp7", nodes: [{ vhid: 1, accepted: 1, droppedByHash: 0 }], ...rest }),
    "\t1 packet accepted for vhid 1\n" +
      "\t3 packets dropped without a lease\n" +
      "\t0 packets dropped as malformed\n" +
      "\t2 packets of this host withheld without a lease\n",
  );
  const nodes = [
    { vhid: 1, accepted: 5, droppedByHash: 0 },
    { vhid: 2, accepted: 0, droppedByHash: 4 },
  ];
  assert.match(
    packetsText({ interface: "carp7", nodes, ...rest }),
    /\t0 packets accepted for vhid 2\n\t\t4 packets left to another host\n/,
  );
  assert.equal(packetsText(undefined), "");
});

test("status says why an interface does not run", () => {
  const text = status([
    view({ nodes: [], carpdev: undefined, notRunning: "no vhid is set", notRunningKind: "no-vhid" }),
  ]);
  assert.match(text, /\ncarp0 +- +INIT +- .*none .*\ncarp0: no vhid is set \[no-vhid\]\n$/);
});

test("status names the unicast peers of an interface", () => {
  const text = status([
    view({ carppeer: ["192.0.2.2", "192.0.2.3"], carppeer6: ["2001:db8::2"] }),
    view({ name: "carp1" }),
  ]);
  assert.match(text, /\ncarp0: unicast peers 192\.0\.2\.2, 192\.0\.2\.3, 2001:db8::2\n$/);
  const many = Array.from({ length: 31 }, (_, n) => `2001:db8:1111:2222:3333:4444:5555:${n + 1}`);
  for (const line of status([view({ carppeer6: many })]).split("\n")) assert.ok(line.length <= 80, line);
});

test("status without interfaces says so", () => assert.equal(status([]), "no carp interfaces\n"));

test("each service check is told with its last result, and its output when it failed", () => {
  const check = {
    path: "/x",
    output: "",
    count: 1,
    demotes: false,
    timeout: 10,
    fall: 1,
    rise: 1,
    demote: 50,
  };
  const failed = {
    ...check,
    outcome: "failed",
    why: "exit status 1",
    durationSeconds: 0.012,
    ageSeconds: 2.9,
  } as const;
  const checks = [
    { ...check, name: "new", outcome: "waiting", every: 5 },
    { ...check, name: "web", outcome: "passed", count: 3, durationSeconds: 0.5, ageSeconds: 61 },
    { ...check, name: "ill", outcome: "refused", why: "/x/ill:2: evry: unknown word" },
    { ...failed, name: "dns", count: 2, fall: 3, output: "\x1b[2J\nno answer\n" },
    { ...failed, name: "db", demotes: true, group: "db" },
    { ...check, name: "back", outcome: "passed", rise: 2, demotes: true, durationSeconds: 1, ageSeconds: 0 },
  ] as const;
  assert.equal(
    status([], { checks, columns: 200 }),
    `no carp interfaces
check new: not run yet, every 5 s
check web: passed, 3 times, in 0.5 s, 61 s ago
check ill: not run (/x/ill:2: evry: unknown word)
check dns: failed (exit status 1), 2 of 3 before it demotes, 2 times, in 0.012 s, 2 s ago
\t\\x1b[2J
\tno answer
check db: failed (exit status 1), in 0.012 s, 2 s ago, demotes group db by 50
check back: passed, 1 of 2 before it promotes, in 1 s, 0 s ago, demotes by 50
`,
  );
});

test("below the table stands what the host is demoted for, and nothing when it is not", () => {
  const demotion = {
    counter: 532,
    written: -5,
    reasons: [
      { reason: "maintenance", by: 240 },
      { reason: "backup", by: 50 },
    ],
    units: [
      { unit: "db.service", by: 7, active: false },
      { unit: "nginx.service", by: 9, active: true },
    ],
    faults: [{ interface: "carp0", fault: "carpdev", by: 240 }],
  } as const;
  assert.equal(
    status([], { demotion, columns: 200 }),
    "no carp interfaces\n" +
      "demoted by 532: maintenance 240, backup 50, db.service 7, carp0 carpdev 240, net.inet.carp.demotion -5\n" +
      "db.service: not active, demotes by 7 while not active\n" +
      "nginx.service: active, demotes by 9 while not active\n",
  );
  assert.match(status([view()], { demotion }), /^NAME/);
  assert.match(status([view()], { demotion }), /\ndemoted by 532: /);
  const none = { counter: 0, written: 0, reasons: [], units: [], faults: [] };
  assert.equal(status([], { demotion: none }), "no carp interfaces\n");
});

test("states are coloured only where colour is welcome", () => {
  assert.ok(!status([view()]).includes("\x1b"));
  assert.ok(status([view()], { colour: true }).includes("\x1b[32mMASTER\x1b[39m"));
});

test("ages have at most two units", () => {
  const ages: readonly (readonly [number, string])[] = [
    [-5, "0s"],
    [0.9, "0s"],
    [59, "59s"],
    [60, "1m"],
    [61, "1m1s"],
    [3600, "1h"],
    [3661, "1h1m"],
    [90_000, "1d1h"],
  ];
  for (const [seconds, text] of ages) assert.equal(age(seconds * 1e6), text);
});

test("JSON has unicast peers as one text, as the command takes it, and as a list", () => {
  const { carppeer, carppeers, carppeer6, carppeers6 } = interfaceJson(
    view({ carppeer: ["192.0.2.2", "192.0.2.3"], carppeer6: ["2001:db8::2"] }),
    page.nowUs,
    undefined,
  );
  assert.deepEqual(
    { carppeer, carppeers, carppeer6, carppeers6 },
    {
      carppeer: "192.0.2.2,192.0.2.3",
      carppeers: ["192.0.2.2", "192.0.2.3"],
      carppeer6: "2001:db8::2",
      carppeers6: ["2001:db8::2"],
    },
  );
  const none = interfaceJson(view(), page.nowUs, undefined);
  assert.deepEqual([none.carppeer, none.carppeers], [null, []]);
});

test("JSON has every field, null where there is nothing, and ages in seconds", () => {
  const fields = interfaceJson(view({ nodes: [node({ heard })] }), page.nowUs, undefined);
  assert.equal(fields.description, null);
  assert.equal(fields.carppeer6, null);
  assert.equal(fields.addresses[0]?.broadcast, "10.0.0.255");
  assert.equal(fields.nodes[0]?.ageSeconds, 3725);
  assert.equal(fields.nodes[0]?.heard?.ageSeconds, 0.5);
});
