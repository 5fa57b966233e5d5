import assert from "node:assert/strict";
import { test } from "node:test";
import { groupText, interfaceText } from "../../../src/cli/ifconfig/show.ts";
import { statisticsText } from "../../../src/cli/netstat.ts";
import { age, statusText } from "../../../src/cli/status.ts";
import { interfaceJson } from "../../../src/cli/views.ts";
import { zeroCounters } from "../../../src/core/counters.ts";
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

test("several nodes have a line each, the peers end the carp line", () => {
  const text = interfaceText(
    view({
      balancing: "ip",
      carppeer: "192.0.2.2",
      carppeer6: "2001:db8::2",
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
    view({ carpdev: undefined, carppeer: "192.0.2.2", nodes: [node({ state: "INIT" })] }),
  );
  assert.match(text, /\n\tcarp: INIT carpdev none vhid 1 advbase 1 advskew 0 carppeer 192\.0\.2\.2\n/);
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
    statisticsText(zeroCounters()),
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
      "\t0 packets sent (IPv4)\n" +
      "\t0 packets sent (IPv6)\n" +
      "\t\t0 send failed due to mbuf memory error\n" +
      "\t0 transitions to master\n",
  );
});

test("one of a kind is counted in the singular", () => {
  const text = statisticsText({
    ...zeroCounters(),
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
    statusText(
      [view({ nodes, addresses })],
      [{ name: "carp", carpDemoteCount: 1, interfaces: ["carp0"] }],
      page,
    ),
    "NAME   VHID  STATE   SINCE  ADDRESSES    CARPDEV  ADV       MASTER     CHANGES\n" +
      "carp0  1     MASTER  1h2m   10.0.0.1/24  eth0     1/0       this host  1\n" +
      "                            10.0.0.2/24\n" +
      "carp0  2     BACKUP  1h2m                         1/100     192.0.2.2  1\n" +
      "                                                  as 1/240  0s ago\n" +
      "                                                  demote 1\n" +
      "group carp: carp demote count 1\n",
  );
});

test("status keeps to the width of the terminal by wrapping addresses", () => {
  const addresses = [
    { family: 6, address: "2001:db8:1111:2222:3333:4444:5555:6666", prefixLength: 64 },
    { family: 4, address: "192.168.100.100", prefixLength: 24 },
  ] as const;
  const hosts = [
    view({
      addresses,
      nodes: [node({ state: "BACKUP", heard: { ...heard, source: "fe80::1111:2222:3333:4444" } })],
    }),
  ];
  const lines = statusText(hosts, [], page).split("\n");
  for (const line of lines) assert.ok(line.length <= 80, line);
  assert.equal(
    lines
      .map((line) => line.slice(24, 46).trim())
      .join("")
      .includes("4444:5555:6666/64192.168.100.100/24"),
    true,
  );
});

test("status says why an interface does not run", () => {
  const text = statusText([view({ nodes: [], carpdev: undefined, notRunning: "no vhid is set" })], [], page);
  assert.match(text, /\ncarp0 +- +INIT +- .*none .*\ncarp0: no vhid is set\n$/);
});

test("status without interfaces says so", () =>
  assert.equal(statusText([], [], page), "no carp interfaces\n"));

test("states are coloured only where colour is welcome", () => {
  assert.ok(!statusText([view()], [], page).includes("\x1b"));
  assert.ok(statusText([view()], [], { ...page, colour: true }).includes("\x1b[32mMASTER\x1b[39m"));
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

test("JSON has every field, null where there is nothing, and ages in seconds", () => {
  const fields = interfaceJson(view({ nodes: [node({ heard })] }), page.nowUs);
  assert.equal(fields.description, null);
  assert.equal(fields.carppeer6, null);
  assert.equal(fields.addresses[0]?.broadcast, "10.0.0.255");
  assert.equal(fields.nodes[0]?.ageSeconds, 3725);
  assert.equal(fields.nodes[0]?.heard?.ageSeconds, 0.5);
});
