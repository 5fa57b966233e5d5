/**
 * The data path on real devices with real traffic and without an engine: the leases alone decide which host
 * answers a client. Of hosts that balance, exactly one answers each packet: the holder of the node that the
 * hash selects.
 */

import assert from "node:assert/strict";
import { connect } from "node:net";
import { join } from "node:path";
import { json } from "node:stream/consumers";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import type { DataPathInterface } from "../../src/kernel/kernel.ts";
import { createNetwork, type Frame, type Host, type Network } from "../hosts/index.ts";
import { nodeIndex } from "../oracle/load-sharing.ts";
import type { Seen, Visit } from "./data-path-visit.ts";

const VIRTUAL = "10.0.0.1";
const VIRTUAL6 = "2001:db8::1";
const DEVICE_MAC = "00:00:5e:00:01:0a";
const VHIDS = [10, 11, 12];
const PORT = 7777;
const HOUR_S = 3600;

const VISITOR = join(import.meta.dirname, "data-path-visitor.ts");

const SOURCES = Array.from({ length: 200 }, (_, n) => `10.0.0.${n + 20}`);
const SOURCES6 = Array.from({ length: 200 }, (_, n) => `2001:db8::${(n + 32).toString(16)}`);

/** Answers with its name; two sockets, so that the answer comes from the address that was asked. */
const RESPONDER = `
import select, socket, sys
sockets = []
for family, address in ((socket.AF_INET, "${VIRTUAL}"), (socket.AF_INET6, "${VIRTUAL6}")):
    s = socket.socket(family, socket.SOCK_DGRAM)
    s.setsockopt(socket.IPPROTO_IP, 15, 1)
    s.bind((address, ${PORT}))
    sockets.append(s)
print("ready", flush=True)
while True:
    for s in select.select(sockets, [], [])[0]:
        _, peer = s.recvfrom(100)
        try: s.sendto(sys.argv[1].encode(), peer)
        except OSError: pass
`;

/**
 * Asks from every source and prints the answers by source. Waits until each has one, or as long as its
 * patience, and then until no more come.
 */
const CLIENT = `
import json, select, socket, sys, time
target, patience, sources = sys.argv[1], float(sys.argv[2]), sys.argv[3:]
family = socket.AF_INET6 if ":" in target else socket.AF_INET
answers, sockets = {source: [] for source in sources}, {}
for source in sources:
    s = socket.socket(family, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    s.bind((source, 0))
    sockets[s] = source
def collect():
    deadline = time.monotonic() + patience
    while True:
        waiting = not all(answers.values()) and time.monotonic() < deadline
        ready = select.select(list(sockets), [], [], 0.3)[0]
        if not ready and not waiting: return
        for s in ready:
            try: answers[sockets[s]].append(s.recv(100).decode())
            except OSError: pass
def ask(asked):
    # Slowly, because a capture has room for few frames.
    for s in asked:
        s.sendto(b"who", (target, ${PORT}))
        time.sleep(0.003)
# The first question resolves the neighbour; its answer is ignored.
probe = socket.socket(family, socket.SOCK_DGRAM)
probe.bind((sources[0], 0))
probe.sendto(b"who", (target, ${PORT}))
select.select([probe], [], [], max(patience, 0.5))
ask(sockets)
collect()
print(json.dumps(answers))
`;

let lan: Network;
let hosts: Host[];
let client: Host;

/** Balancing `ip-unicast` needs a hub, and a switch must not know the shared MAC from another mode. */
async function plugIn({ hub }: { hub: boolean }): Promise<void> {
  lan = await createNetwork();
  if (hub) await lan.flood();
  hosts = await Promise.all(
    ["a", "b", "c"].map((name, n) =>
      lan.host(name, { addresses: [`10.0.0.${n + 2}/24`, `2001:db8::${n + 2}/64`] }),
    ),
  );
  for (const host of hosts) {
    const visitor = host.spawn(process.execPath, [VISITOR, visitSocket(host)]);
    await visitor.log.waitFor(/^open$/);
  }
  client = await lan.host("client", {
    addresses: [...SOURCES.map((each) => `${each}/24`), ...SOURCES6.map((each) => `${each}/64`)],
  });
}

function visitSocket(host: Host): string {
  return join(host.runDirectory, "visits.sock");
}

async function visit(host: Host, wanted: Omit<Visit, "runDir">): Promise<Seen> {
  const guest = connect(visitSocket(host));
  guest.write(`${JSON.stringify({ runDir: host.runDirectory, ...wanted })}\n`);
  const { failed, ...seen } = (await json(guest)) as Seen & { failed?: string };
  assert.equal(failed, undefined);
  return seen;
}

async function carpdevOf(host: Host): Promise<{ index: number; mac: string }> {
  const [{ ifindex, address }] = JSON.parse(await host.run("ip", "-json", "link", "show", "eth0"));
  return { index: ifindex, mac: address };
}

type Mode = DataPathInterface["balancing"];

function givenMac(mode: Mode): string {
  return mode === "ip" ? "01:00:5e:00:01:0a" : DEVICE_MAC;
}

/** Sets a host up as an engine does: carp0 with the addresses, the ARP settings, the data path. */
async function setUp(host: Host, mode: Mode, held: readonly number[]): Promise<void> {
  const { index, mac } = await carpdevOf(host);
  const vhids = mode === "none" ? VHIDS.slice(0, 1) : VHIDS;
  await visit(host, {
    configure: {
      name: "carp0",
      carpdev: index,
      carpdevMac: mac,
      mac: givenMac(mode),
      realMac: false,
      leaves: false,
      balancing: mode,
      vhids,
      addresses: [
        { family: 4, address: VIRTUAL, prefixLength: 24, broadcast: "10.0.0.255" },
        { family: 6, address: VIRTUAL6, prefixLength: 64 },
      ],
    },
    leases: Object.fromEntries(vhids.map((vhid) => [vhid, held.includes(vhid) ? HOUR_S : 0])),
  });
  await host.namespace.ip([
    `link add carp0 link eth0 address ${DEVICE_MAC} type macvlan mode bridge`,
    "link set carp0 addrgenmode none",
  ]);
  await host.namespace.sysctl({
    "ipv4/conf/eth0/arp_ignore": 1,
    "ipv4/conf/carp0/arp_ignore": 1,
    "ipv4/conf/eth0/arp_announce": 2,
    "ipv4/conf/carp0/arp_announce": 2,
    "ipv6/conf/carp0/accept_dad": 0,
  });
  await host.namespace.ip([
    "link set carp0 up",
    `address add ${VIRTUAL}/24 dev carp0 noprefixroute`,
    `address add ${VIRTUAL6}/64 dev carp0 nodad noprefixroute`,
  ]);
  const responder = host.spawn("/usr/bin/python3", ["-ISc", RESPONDER, host.name]);
  await responder.log.waitFor(/ready/);
  stop.push(() => responder.kill("SIGKILL"));
}

const stop: (() => void)[] = [];

async function tearDown(): Promise<void> {
  for (const each of stop.splice(0)) each();
  await client.run("ip", "neighbour", "flush", "dev", "eth0");
  const leave = async (host: Host) => {
    await host.exec("ip", ["link", "delete", "carp0"]);
    await visit(host, { shutdown: true });
  };
  await Promise.all(hosts.map(leave));
}

/** @param patienceS how long to wait for sources without an answer */
async function ask(family: 4 | 6, patienceS = 20): Promise<Map<string, string[]>> {
  const target = family === 4 ? VIRTUAL : VIRTUAL6;
  const sources = family === 4 ? SOURCES : SOURCES6;
  const words = ["-ISc", CLIENT, target, String(patienceS), ...sources];
  return new Map(Object.entries(JSON.parse(await client.run("/usr/bin/python3", ...words))));
}

/** Checks that every source was answered once, by the host that holds the node its hash selects. */
function assertAnswered(
  family: 4 | 6,
  answers: ReadonlyMap<string, readonly string[]>,
  holders: readonly string[],
): void {
  const target = family === 4 ? VIRTUAL : VIRTUAL6;
  for (const [source, who] of answers) {
    assert.deepEqual(who, [holders[nodeIndex(source, target, VHIDS.length)]], `who answered ${source}`);
  }
}

/** Checks that the frames show a switch and the neighbours only the MACs of the mode. */
function assertClean(
  frames: readonly Frame[],
  mode: Mode,
  leader: { own: string[]; others: string[] },
): void {
  for (const { arp, nd, ethernetSource } of frames) {
    if (arp?.senderAddress === VIRTUAL) assert.equal(arp.senderMac, givenMac(mode));
    if (nd?.type === "advertisement" && nd.target === VIRTUAL6)
      assert.deepEqual([nd.linkLayerAddress, nd.checksumIsGood], [givenMac(mode), true]);
    assert.notEqual(ethernetSource.slice(0, 2), "01");
  }
  const sources = new Set(
    frames
      .filter(({ ipv4, ipv6 }) => ipv4?.source === VIRTUAL || ipv6?.source === VIRTUAL6)
      .map(({ ethernetSource }) => ethernetSource),
  );
  const expected = mode === "ip-unicast" ? [DEVICE_MAC] : [...leader.own, ...leader.others];
  assert.deepEqual([...sources].sort(), expected.sort());
}

for (const mode of ["ip", "ip-unicast", "ip-stealth"] as const) {
  describe(`balancing ${mode}`, () => {
    let own: string[];

    before(() => plugIn({ hub: mode === "ip-unicast" }));
    after(() => lan.destroy());
    beforeEach(async () => {
      await Promise.all(hosts.map((host, n) => setUp(host, mode, [VHIDS[n] ?? 0])));
      own = await Promise.all(hosts.map((host) => host.mac()));
    });
    afterEach(tearDown);

    for (const family of [4, 6] as const) {
      test(`IPv${family}: every source is answered by the one host that its hash selects`, async () => {
        const [leader = "", ...others] = own;
        const capture = await client.capture("eth0", "arp or ip or ip6");
        assertAnswered(family, await ask(family), ["a", "b", "c"]);
        const frames = await capture.stop();
        assertClean(frames, mode, { own: [leader], others });
        const answers = frames.filter(
          ({ arp, nd }) =>
            (arp?.operation === "reply" && arp.senderAddress === VIRTUAL) ||
            (nd?.type === "advertisement" && nd.target === VIRTUAL6),
        );
        // Only the MASTER of the leader's node answers for the address.
        assert.ok(answers.length > 0);
        const answering = new Set(answers.map(({ ethernetSource }) => ethernetSource));
        assert.deepEqual([...answering], [mode === "ip-unicast" ? DEVICE_MAC : leader]);
      });
    }

    test("a node that fails over moves its own sources, and back, and no others", async () => {
      const [a, b] = hosts as [Host, Host, Host];
      await visit(b, { leases: { 11: 0 } });
      await visit(a, { leases: { 11: HOUR_S } });
      assertAnswered(4, await ask(4), ["a", "a", "c"]);
      assertAnswered(6, await ask(6), ["a", "a", "c"]);
      await visit(a, { leases: { 11: 0 } });
      await visit(b, { leases: { 11: HOUR_S } });
      assertAnswered(4, await ask(4), ["a", "b", "c"]);
    });

    test("ARP and neighbour discovery move with the leader's node", async () => {
      const [a, b] = hosts as [Host, Host, Host];
      await visit(a, { leases: { 10: 0 } });
      await visit(b, { leases: { 10: HOUR_S } });
      await client.run("ip", "neighbour", "flush", "dev", "eth0");
      const capture = await client.capture("eth0", "arp or icmp6");
      assertAnswered(4, await ask(4), ["b", "b", "c"]);
      assertAnswered(6, await ask(6), ["b", "b", "c"]);
      const frames = await capture.stop();
      for (const { arp, ethernetSource } of frames) {
        if (arp?.operation === "reply" && arp.senderAddress === VIRTUAL)
          assert.equal(ethernetSource, mode === "ip-unicast" ? DEVICE_MAC : own[1]);
      }
    });

    test("the counts show the share of each node", async () => {
      await ask(4);
      const share = VHIDS.map(
        (_, node) => SOURCES.filter((each) => nodeIndex(each, VIRTUAL, 3) === node).length,
      );
      for (const [n, host] of hosts.entries()) {
        const { counts } = await visit(host, {});
        // The client's first question adds one.
        const first = nodeIndex(SOURCES[0] ?? "", VIRTUAL, 3);
        for (const [node, { accepted, droppedByHash }] of (counts?.nodes ?? []).entries()) {
          const asked = (share[node] ?? 0) + (node === first ? 1 : 0);
          assert.deepEqual([accepted, droppedByHash], node === n ? [asked, 0] : [0, asked]);
        }
      }
    });

    test("all fragments of a large packet reach the same node", async () => {
      const ping = await client.run(
        "ping",
        "-c",
        "3",
        "-w",
        "20",
        "-i",
        "0.2",
        "-s",
        "4000",
        "-I",
        SOURCES[7] ?? "",
        VIRTUAL,
      );
      assert.match(ping, /3 received/);
      const ping6 = await client.run(
        "ping",
        "-c",
        "3",
        "-w",
        "20",
        "-i",
        "0.2",
        "-s",
        "4000",
        "-I",
        SOURCES6[7] ?? "",
        VIRTUAL6,
      );
      assert.match(ping6, /3 received/);
    });
  });
}

describe("plain failover", () => {
  before(() => plugIn({ hub: false }));
  after(() => lan.destroy());
  afterEach(tearDown);

  /** The hosts that answer for the address. */
  async function answering(): Promise<string[]> {
    const answers = await ask(4);
    const answers6 = await ask(6);
    return [...new Set([...answers.values(), ...answers6.values()].map((who) => who.join()))].sort();
  }

  test("only the lease decides which of two hosts with the address answers", async () => {
    const [a, b] = hosts as [Host, Host, Host];
    await setUp(a, "none", [10]);
    await setUp(b, "none", []);
    assert.deepEqual(await answering(), ["a"]);
    await visit(a, { leases: { 10: 0 } });
    await visit(b, { leases: { 10: HOUR_S } });
    await client.run("ip", "neighbour", "flush", "dev", "eth0");
    assert.deepEqual(await answering(), ["b"]);
  });

  test("from the end of its lease a host neither answers, nor asks, nor sends for the address", async () => {
    const [a] = hosts as [Host, Host, Host];
    await setUp(a, "none", [10]);
    assert.deepEqual(await answering(), ["a"]);
    await visit(a, { leases: { 10: 0 } });
    const capture = await lan.capture();
    // The client asks with the MAC in its cache and without; the host sends from the address itself.
    await ask(4, 0);
    await client.run("ip", "neighbour", "flush", "dev", "eth0");
    await ask(4, 0);
    await ask(6, 0);
    await a.exec("ping", ["-c", "2", "-i", "0.2", "-W", "1", "-I", VIRTUAL, SOURCES[0] ?? ""]);
    await a.exec("ping", ["-c", "2", "-i", "0.2", "-W", "1", "-I", VIRTUAL6, SOURCES6[0] ?? ""]);
    const claims = (await capture.stop()).filter(
      ({ arp, nd, ipv4, ipv6, ethernetSource }) =>
        ethernetSource === DEVICE_MAC ||
        arp?.senderAddress === VIRTUAL ||
        ipv4?.source === VIRTUAL ||
        ipv6?.source === VIRTUAL6 ||
        (nd?.type === "advertisement" && nd.target === VIRTUAL6),
    );
    assert.deepEqual(claims, []);
    const { counts } = await visit(a, {});
    assert.ok(counts && counts.droppedByLease > 0 && counts.withheld > 0);
  });

  test("a lease goes on without a process, and the next process reads it", async () => {
    const [a] = hosts as [Host, Host, Host];
    await setUp(a, "none", [10]);
    const ping = client.startPing(VIRTUAL);
    await ping.waitForReply();
    assert.deepEqual((await visit(a, { leases: { 10: HOUR_S } })).held, [10]);
    await ping.waitForReply();
    assert.deepEqual((await ping.stop()).lost, []);
  });
});
