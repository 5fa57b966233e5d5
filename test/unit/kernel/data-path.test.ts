/** Frame in, verdict and frame out, for every rule of the data path; and what leases do to it. */

import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import { createClock } from "../../../src/kernel/clock.ts";
import { createDataPath } from "../../../src/kernel/data-path.ts";
import type { DataPath, DataPathInterface } from "../../../src/kernel/kernel.ts";
import { fold } from "../../../src/protocol/load-sharing.ts";
import { dissect } from "../../hosts/frames.ts";
import { makeDirectory, removeDirectory } from "../../hosts/resources.ts";
import { cable, enterNamespace } from "./namespace.ts";
import * as packet from "./packets.ts";
import { DROP, PASS, Programs } from "./programs.ts";

enterNamespace(import.meta.url);
const runDir = makeDirectory("run");
const clock = createClock();

const CLIENT_MAC = "02:00:00:00:00:09";
const OWN_MAC = "02:00:00:00:00:01";
const SHARED_MAC = "00:00:5e:00:01:0a";
const MULTICAST_MAC = "01:00:5e:00:01:0a";
const REAL_MAC = "02:00:00:00:00:01";
const CLIENT = "10.0.0.9";
const VIRTUAL = "10.0.0.1";
const BROADCAST = "10.0.0.255";
const CLIENT6 = "2001:db8::9";
const VIRTUAL6 = "2001:db8::1";
const OUTSIDE = "198.51.100.7";
const OUTSIDE6 = "2001:db8:ffff::7";

let dataPath: DataPath;
let programs: Programs;
let index: number;

before(() => {
  [{ index }] = cable("eth0", "peer");
  const complaints: string[] = [];
  dataPath = createDataPath({ runDir, complain: (text) => complaints.push(text) });
  assert.equal(dataPath.obstacle, undefined);
  assert.deepEqual(complaints, []);
  programs = new Programs(runDir);
});

after(() => {
  programs.close();
  dataPath.shutdown();
  removeDirectory(runDir);
});

const addresses = [
  { family: 4, address: VIRTUAL, prefixLength: 24, broadcast: BROADCAST },
  { family: 6, address: VIRTUAL6, prefixLength: 64 },
] as const;

function plain(change: Partial<DataPathInterface> = {}): DataPathInterface {
  return {
    name: "carp0",
    carpdev: index,
    carpdevMac: OWN_MAC,
    mac: SHARED_MAC,
    realMac: false,
    balancing: "none",
    vhids: [10],
    addresses,
    ...change,
  };
}

function balanced(
  balancing: "ip" | "ip-unicast" | "ip-stealth",
  change: Partial<DataPathInterface> = {},
): DataPathInterface {
  return plain({
    balancing,
    mac: balancing === "ip" ? MULTICAST_MAC : SHARED_MAC,
    vhids: [10, 11, 12],
    ...change,
  });
}

/** Leases a minute long for these nodes, none for the others. */
function lease(...held: number[]): void {
  for (const vhid of [10, 11, 12]) dataPath.lease("carp0", vhid, held.includes(vhid) ? soonUs() : 0);
}

function soonUs(): number {
  return clock.now().us + 60_000_000;
}

function configure(wanted: DataPathInterface): void {
  dataPath.remove("carp0");
  assert.equal(dataPath.configure(wanted), undefined);
}

const to = (mac: string, type: number, payload: Buffer, tags: number[] = []) =>
  packet.ethernet(mac, CLIENT_MAC, type, payload, tags);
const from = (mac: string, type: number, payload: Buffer) => packet.ethernet(CLIENT_MAC, mac, type, payload);
const udp4 = (source: string, destination: string, options: packet.Ipv4Options = {}) =>
  packet.ipv4(source, destination, 17, packet.udp(), options);
const udp6 = (source: string, destination: string, options: packet.Ipv6Options = {}) =>
  packet.ipv6(source, destination, 17, packet.udp(), options);

function withDestination(frame: Buffer, mac: string): Buffer {
  return Buffer.concat([packet.hex(mac), frame.subarray(6)]);
}

function withSource(frame: Buffer, mac: string): Buffer {
  return Buffer.concat([frame.subarray(0, 6), packet.hex(mac), frame.subarray(12)]);
}

/** The frame goes in; it is passed as the second one says, or dropped when there is none. */
function expectIngress(frame: Buffer, out: Buffer | undefined): void {
  const result = programs.ingress(frame, index);
  assert.equal(result.verdict, out === undefined ? DROP : PASS);
  if (out !== undefined) assert.equal(Buffer.from(result.frame).toString("hex"), out.toString("hex"));
}

function expectEgress(frame: Buffer, out: Buffer | undefined): void {
  const result = programs.egress(frame, index);
  assert.equal(result.verdict, out === undefined ? DROP : PASS);
  if (out !== undefined) assert.equal(Buffer.from(result.frame).toString("hex"), out.toString("hex"));
}

/** A client whose packets to the virtual address fold to this node. */
function clientOf(node: number, destination = VIRTUAL): string {
  for (let host = 2; host < 250; host++) {
    const client = `10.0.0.${host}`;
    if (fold(client, destination) % 3 === node) return client;
  }
  throw new Error("no such client");
}

function clientOf6(node: number, destination = VIRTUAL6): string {
  for (let host = 2; host < 250; host++) {
    const client = `2001:db8::${host.toString(16)}`;
    if (fold(client, destination) % 3 === node) return client;
  }
  throw new Error("no such client");
}

describe("plain failover", () => {
  beforeEach(() => configure(plain()));

  const received: [string, () => Buffer][] = [
    ["IPv4 to the virtual address", () => to(SHARED_MAC, packet.IPV4, udp4(CLIENT, VIRTUAL))],
    ["IPv4 routed through it", () => to(SHARED_MAC, packet.IPV4, udp4(CLIENT, OUTSIDE))],
    ["IPv6 to the virtual address", () => to(SHARED_MAC, packet.IPV6, udp6(CLIENT6, VIRTUAL6))],
    [
      "an ARP request",
      () => to(SHARED_MAC, packet.ARP, packet.arp(1, CLIENT_MAC, CLIENT, SHARED_MAC, VIRTUAL)),
    ],
    [
      "a neighbour solicitation",
      () =>
        to(SHARED_MAC, packet.IPV6, packet.neighbour(CLIENT6, VIRTUAL6, 135, VIRTUAL6, [[1, CLIENT_MAC]])),
    ],
    ["what is not IP", () => to(SHARED_MAC, 0x88b5, Buffer.alloc(50))],
    ["a priority-tagged frame", () => to(SHARED_MAC, packet.IPV4, udp4(CLIENT, VIRTUAL), [0xe000])],
  ];
  for (const [what, frame] of received) {
    test(`${what}: accepted with a lease, dropped without`, () => {
      lease(10);
      expectIngress(frame(), frame());
      lease();
      expectIngress(frame(), undefined);
      dataPath.lease("carp0", 10, clock.now().us - 1);
      expectIngress(frame(), undefined);
    });
  }

  const untouched: [string, () => Buffer][] = [
    ["a frame for the carpdev itself", () => to(OWN_MAC, packet.IPV4, udp4(CLIENT, VIRTUAL))],
    ["a frame for another VLAN", () => to(SHARED_MAC, packet.IPV4, udp4(CLIENT, VIRTUAL), [0xe005])],
    [
      "a broadcast ARP request",
      () => to("ff:ff:ff:ff:ff:ff", packet.ARP, packet.arp(1, CLIENT_MAC, CLIENT, "", VIRTUAL)),
    ],
    [
      "a CARP advertisement",
      () => to("01:00:5e:00:00:12", packet.IPV4, packet.ipv4(CLIENT, "224.0.0.18", 112, Buffer.alloc(36))),
    ],
    ["unicast CARP", () => to(SHARED_MAC, packet.IPV4, packet.ipv4(CLIENT, VIRTUAL, 112, Buffer.alloc(36)))],
    [
      "unicast CARP over IPv6",
      () => to(SHARED_MAC, packet.IPV6, packet.ipv6(CLIENT6, VIRTUAL6, 112, Buffer.alloc(36))),
    ],
    [
      "IPv4 multicast in a frame to the shared MAC",
      () => to(SHARED_MAC, packet.IPV4, udp4(CLIENT, "224.0.0.1")),
    ],
    [
      "the limited broadcast in a frame to the shared MAC",
      () => to(SHARED_MAC, packet.IPV4, udp4(CLIENT, "255.255.255.255")),
    ],
    [
      "IPv6 multicast in a frame to the shared MAC",
      () => to(SHARED_MAC, packet.IPV6, udp6(CLIENT6, "ff02::1")),
    ],
  ];
  for (const [what, frame] of untouched) {
    test(`${what} passes without a lease`, () => expectIngress(frame(), frame()));
  }

  test("each of the short frames is dropped without a lease", () => {
    const whole = to(
      SHARED_MAC,
      packet.IPV6,
      packet.neighbour(CLIENT6, VIRTUAL6, 135, VIRTUAL6, [[1, CLIENT_MAC]]),
      [0],
    );
    for (let length = 15; length < whole.length; length++)
      expectIngress(whole.subarray(0, length), undefined);
  });
});

describe("balanced", () => {
  for (const mode of ["ip", "ip-unicast", "ip-stealth"] as const) {
    const mac = mode === "ip" ? MULTICAST_MAC : SHARED_MAC;
    /** As carp0 gets it. */
    const delivered = (frame: Buffer) => withDestination(frame, SHARED_MAC);

    describe(mode, () => {
      beforeEach(() => configure(balanced(mode)));

      test("each packet is accepted by the node that its addresses fold to, and by no other", () => {
        for (let host = 2; host < 60; host++) {
          const frames = [
            [to(mac, packet.IPV4, udp4(`10.0.0.${host}`, VIRTUAL)), fold(`10.0.0.${host}`, VIRTUAL)],
            [to(mac, packet.IPV4, udp4(`10.0.0.${host}`, OUTSIDE)), fold(`10.0.0.${host}`, OUTSIDE)],
            [to(mac, packet.IPV6, udp6(`2001:db8::${host}`, VIRTUAL6)), fold(`2001:db8::${host}`, VIRTUAL6)],
            [to(mac, packet.IPV6, udp6(`2001:db8::${host}`, OUTSIDE6)), fold(`2001:db8::${host}`, OUTSIDE6)],
          ] as const;
          for (const [frame, folded] of frames) {
            for (const vhid of [10, 11, 12]) {
              lease(vhid);
              expectIngress(frame, folded % 3 === vhid - 10 ? delivered(frame) : undefined);
            }
          }
        }
      });

      const judged: [string, (node: number) => Buffer][] = [
        ["TCP", (node) => packet.ipv4(clientOf(node), VIRTUAL, 6, Buffer.alloc(20))],
        ["an echo request", (node) => packet.ipv4(clientOf(node), VIRTUAL, 1, packet.icmp(8))],
        ["an echo reply", (node) => packet.ipv4(clientOf(node), VIRTUAL, 1, packet.icmp(0))],
        [
          "IPv4 options",
          (node) => udp4(clientOf(node), VIRTUAL, { options: Buffer.from("94040000", "hex") }),
        ],
        ["a first fragment", (node) => udp4(clientOf(node), VIRTUAL, { fragment: 0x2000 })],
        ["a later fragment", (node) => udp4(clientOf(node), VIRTUAL, { fragment: 0x0010 })],
        [
          "a fragment of an ICMP error, by its own addresses",
          (node) =>
            packet.ipv4(clientOf(node), VIRTUAL, 1, packet.icmp(3, udp4(VIRTUAL, "10.0.0.77")), {
              fragment: 0x2000,
            }),
        ],
        ["a protocol nobody knows", (node) => packet.ipv4(clientOf(node), VIRTUAL, 253, Buffer.alloc(1))],
        [
          "an ICMP error, by the packet inside",
          (node) => packet.ipv4("203.0.113.3", VIRTUAL, 1, packet.icmp(3, udp4(VIRTUAL, clientOf(node)), 4)),
        ],
        [
          "time exceeded about a packet with options",
          (node) =>
            packet.ipv4(
              "203.0.113.3",
              VIRTUAL,
              1,
              packet.icmp(11, udp4(VIRTUAL, clientOf(node), { options: Buffer.alloc(8, 1) })),
              { options: Buffer.alloc(4, 1) },
            ),
        ],
        [
          "an error about no more than a header",
          (node) =>
            packet.ipv4(
              "203.0.113.3",
              VIRTUAL,
              1,
              packet.icmp(12, udp4(VIRTUAL, clientOf(node)).subarray(0, 20)),
            ),
        ],
      ];
      for (const [what, build] of judged) {
        test(`IPv4, ${what}: one node takes it`, () => {
          for (const node of [0, 1, 2]) {
            const frame = to(mac, packet.IPV4, build(node));
            for (const vhid of [10, 11, 12]) {
              lease(vhid);
              expectIngress(frame, vhid - 10 === node ? delivered(frame) : undefined);
            }
          }
        });
      }

      const error6 = (type: number, inside: Buffer) =>
        packet.icmp6("2001:db8:9::3", VIRTUAL6, type, Buffer.concat([Buffer.alloc(4), inside]));
      const extension = (next: number, type: "options" | "fragment" | "ah", fragment = 0) => {
        if (type === "options") return Buffer.from([next, 1, ...Buffer.alloc(14)]);
        if (type === "ah") return Buffer.from([next, 4, ...Buffer.alloc(22)]);
        return Buffer.concat([Buffer.from([next, 0]), packet.word(fragment), Buffer.alloc(4)]);
      };
      const chain = (length: number, last: number) =>
        Buffer.concat(Array.from({ length }, (_, n) => extension(n === length - 1 ? last : 60, "options")));
      const judged6: [string, (node: number) => Buffer][] = [
        ["TCP", (node) => packet.ipv6(clientOf6(node), VIRTUAL6, 6, Buffer.alloc(20))],
        [
          "an echo request",
          (node) =>
            packet.ipv6(
              clientOf6(node),
              VIRTUAL6,
              58,
              packet.icmp6(clientOf6(node), VIRTUAL6, 128, Buffer.alloc(4)),
            ),
        ],
        [
          "a fragment",
          (node) =>
            packet.ipv6(
              clientOf6(node),
              VIRTUAL6,
              44,
              Buffer.concat([extension(17, "fragment", 1), packet.udp()]),
            ),
        ],
        [
          "a later fragment",
          (node) =>
            packet.ipv6(
              clientOf6(node),
              VIRTUAL6,
              44,
              Buffer.concat([extension(58, "fragment", 8), Buffer.from([1, 0, 0, 0, 0])]),
            ),
        ],
        ["a jumbogram's length", (node) => udp6(clientOf6(node), VIRTUAL6, { payloadLength: 0 })],
        [
          "an extension header that is cut off",
          (node) => packet.ipv6(clientOf6(node), VIRTUAL6, 0, Buffer.from([58, 0])),
        ],
        [
          "an extension header that claims more than there is",
          (node) => packet.ipv6(clientOf6(node), VIRTUAL6, 0, Buffer.from([17, 255, 0, 0, 0, 0, 0, 0])),
        ],
        [
          "an error, by the packet inside",
          (node) => packet.ipv6("2001:db8:9::3", VIRTUAL6, 58, error6(2, udp6(VIRTUAL6, clientOf6(node)))),
        ],
        [
          "an error behind an authentication header and options",
          (node) =>
            packet.ipv6(
              "2001:db8:9::3",
              VIRTUAL6,
              0,
              Buffer.concat([
                extension(51, "options"),
                extension(58, "ah"),
                error6(1, udp6(VIRTUAL6, clientOf6(node))),
              ]),
            ),
        ],
        [
          "an error in a fragment that is the whole packet",
          (node) =>
            packet.ipv6(
              "2001:db8:9::3",
              VIRTUAL6,
              44,
              Buffer.concat([extension(58, "fragment"), error6(3, udp6(VIRTUAL6, clientOf6(node)))]),
            ),
        ],
        [
          "an error behind six extension headers",
          (node) =>
            packet.ipv6(
              "2001:db8:9::3",
              VIRTUAL6,
              0,
              Buffer.concat([chain(6, 58), error6(4, udp6(VIRTUAL6, clientOf6(node)))]),
            ),
        ],
        [
          "an error behind more headers than anybody sends, by its own addresses",
          (node) =>
            packet.ipv6(
              clientOf6(node),
              VIRTUAL6,
              0,
              Buffer.concat([chain(7, 58), error6(4, udp6(VIRTUAL6, "2001:db8::77"))]),
            ),
        ],
      ];
      for (const [what, build] of judged6) {
        test(`IPv6, ${what}: one node takes it`, () => {
          for (const node of [0, 1, 2]) {
            const frame = to(mac, packet.IPV6, build(node));
            for (const vhid of [10, 11, 12]) {
              lease(vhid);
              expectIngress(frame, vhid - 10 === node ? delivered(frame) : undefined);
            }
          }
        });
      }

      const everyones: [string, Buffer][] = [
        ["an ARP reply", to(mac, packet.ARP, packet.arp(2, CLIENT_MAC, CLIENT, mac, VIRTUAL))],
        ["an ARP request", to(mac, packet.ARP, packet.arp(1, CLIENT_MAC, CLIENT, mac, VIRTUAL))],
        [
          "a neighbour solicitation",
          to(mac, packet.IPV6, packet.neighbour(CLIENT6, VIRTUAL6, 135, VIRTUAL6, [[1, CLIENT_MAC]])),
        ],
        [
          "a neighbour advertisement",
          to(mac, packet.IPV6, packet.neighbour(CLIENT6, VIRTUAL6, 136, CLIENT6, [[2, CLIENT_MAC]])),
        ],
        ["what is not IP", to(mac, 0x88b5, Buffer.alloc(50))],
        ["the subnet's broadcast", to(mac, packet.IPV4, udp4(CLIENT, BROADCAST))],
      ];
      for (const [what, frame] of everyones) {
        test(`${what} is taken by every host that holds a node, and by no other`, () => {
          for (const vhid of [10, 11, 12]) {
            lease(vhid);
            expectIngress(frame, delivered(frame));
          }
          lease();
          expectIngress(frame, undefined);
        });
      }

      test("IP multicast and CARP pass as they are, lease or none", () => {
        const frames = [
          to(mac, packet.IPV4, udp4(CLIENT, "224.0.1.10")),
          to(mac, packet.IPV4, packet.ipv4(CLIENT, "224.0.0.18", 112, Buffer.alloc(36))),
          to(mac, packet.IPV6, udp6(CLIENT6, "ff02::fb")),
          to(mac, packet.IPV6, packet.ipv6(CLIENT6, "ff02::12", 112, Buffer.alloc(36))),
        ];
        for (const held of [[], [10], [11]]) {
          lease(...held);
          for (const frame of frames) expectIngress(frame, frame);
        }
      });

      const malformed: [string, Buffer][] = [
        ["an IPv4 header cut short", to(mac, packet.IPV4, udp4(CLIENT, VIRTUAL).subarray(0, 19), [0])],
        [
          "an IPv4 packet longer than its frame",
          to(mac, packet.IPV4, udp4(CLIENT, VIRTUAL, { totalLength: 200 })),
        ],
        [
          "an IPv4 packet shorter than its header",
          to(mac, packet.IPV4, udp4(CLIENT, VIRTUAL, { totalLength: 19 })),
        ],
        ["a length of 0", to(mac, packet.IPV4, udp4(CLIENT, VIRTUAL, { totalLength: 0 }))],
        ["an IPv4 header of four words", to(mac, packet.IPV4, udp4(CLIENT, VIRTUAL, { headerWords: 4 }))],
        [
          "an IPv4 header longer than its packet",
          to(mac, packet.IPV4, udp4(CLIENT, VIRTUAL, { headerWords: 15 })),
        ],
        ["version 6 in an IPv4 frame", to(mac, packet.IPV4, udp4(CLIENT, VIRTUAL, { version: 6 }))],
        ["ICMP without a type", to(mac, packet.IPV4, packet.ipv4(CLIENT, VIRTUAL, 1, Buffer.alloc(0)))],
        [
          "an ICMP error about nothing",
          to(mac, packet.IPV4, packet.ipv4(CLIENT, VIRTUAL, 1, packet.icmp(3))),
        ],
        [
          "an ICMP error about 19 bytes",
          to(
            mac,
            packet.IPV4,
            packet.ipv4(CLIENT, VIRTUAL, 1, packet.icmp(3, udp4(VIRTUAL, CLIENT).subarray(0, 19))),
          ),
        ],
        [
          "an ICMP error whose packet lies in the padding",
          to(
            mac,
            packet.IPV4,
            packet.ipv4(CLIENT, VIRTUAL, 1, packet.icmp(3, udp4(VIRTUAL, CLIENT)), { totalLength: 30 }),
          ),
        ],
        [
          "an ICMP error about something that is not IPv4",
          to(
            mac,
            packet.IPV4,
            packet.ipv4(CLIENT, VIRTUAL, 1, packet.icmp(3, udp4(VIRTUAL, CLIENT, { version: 5 }))),
          ),
        ],
        ["an IPv6 header cut short", to(mac, packet.IPV6, udp6(CLIENT6, VIRTUAL6).subarray(0, 39), [0])],
        [
          "an IPv6 packet longer than its frame",
          to(mac, packet.IPV6, udp6(CLIENT6, VIRTUAL6, { payloadLength: 200 })),
        ],
        ["version 4 in an IPv6 frame", to(mac, packet.IPV6, udp6(CLIENT6, VIRTUAL6, { version: 4 }))],
        [
          "ICMPv6 without a type",
          to(mac, packet.IPV6, packet.ipv6(CLIENT6, VIRTUAL6, 0, extension(58, "options"))),
        ],
        [
          "an ICMPv6 error about 39 bytes",
          to(
            mac,
            packet.IPV6,
            packet.ipv6(CLIENT6, VIRTUAL6, 58, error6(1, udp6(VIRTUAL6, CLIENT6).subarray(0, 39))),
          ),
        ],
        [
          "an ICMPv6 error about something that is not IPv6",
          to(
            mac,
            packet.IPV6,
            packet.ipv6(CLIENT6, VIRTUAL6, 58, error6(1, udp6(VIRTUAL6, CLIENT6, { version: 4 }))),
          ),
        ],
        ["two priority tags", to(mac, packet.IPV4, udp4(CLIENT, VIRTUAL), [0, 0])],
        ["a tag and nothing behind it", to(mac, packet.IPV4, Buffer.alloc(0), [0])],
      ];
      for (const [what, frame] of malformed) {
        test(`${what}: dropped and counted`, () => {
          lease(10, 11, 12);
          const before = dataPath.counts("carp0")?.malformed ?? 0;
          expectIngress(frame, undefined);
          assert.equal(dataPath.counts("carp0")?.malformed, before + 1);
        });
      }

      test("no frame cut anywhere is accepted by a host that holds nothing", () => {
        lease();
        const whole = to(
          mac,
          packet.IPV6,
          packet.ipv6(
            CLIENT6,
            VIRTUAL6,
            0,
            Buffer.concat([chain(6, 58), error6(4, udp6(VIRTUAL6, CLIENT6))]),
          ),
          [0],
        );
        for (let length = 15; length < whole.length; length++)
          expectIngress(whole.subarray(0, length), undefined);
      });

      test("frames of another VLAN, for another MAC and from another carpdev pass", () => {
        lease();
        const frame = to(mac, packet.IPV4, udp4(CLIENT, VIRTUAL));
        expectIngress(
          to(mac, packet.IPV4, udp4(CLIENT, VIRTUAL), [7]),
          to(mac, packet.IPV4, udp4(CLIENT, VIRTUAL), [7]),
        );
        expectIngress(
          withDestination(frame, "00:00:5e:00:01:0b"),
          withDestination(frame, "00:00:5e:00:01:0b"),
        );
        assert.equal(programs.ingress(frame, 1).verdict, PASS);
      });

      test("a priority-tagged frame is judged like any other", () => {
        const frame = to(mac, packet.IPV4, udp4(clientOf(1), VIRTUAL), [0xe000]);
        lease(11);
        expectIngress(frame, delivered(frame));
        lease(10, 12);
        expectIngress(frame, undefined);
      });

      const source = mode === "ip-unicast" ? SHARED_MAC : OWN_MAC;

      test("what is sent from a virtual address has the mode's Ethernet source, whichever device it left by", () => {
        lease(11);
        for (const by of [SHARED_MAC, OWN_MAC]) {
          for (const frame of [
            from(by, packet.IPV4, udp4(VIRTUAL, CLIENT)),
            from(by, packet.IPV6, udp6(VIRTUAL6, CLIENT6)),
          ])
            expectEgress(frame, withSource(frame, source));
        }
        const routed = from(SHARED_MAC, packet.IPV4, udp4(OUTSIDE, CLIENT));
        expectEgress(routed, withSource(routed, source));
        lease();
        for (const by of [SHARED_MAC, OWN_MAC]) {
          expectEgress(from(by, packet.IPV4, udp4(VIRTUAL, CLIENT)), undefined);
          expectEgress(from(by, packet.IPV6, udp6(VIRTUAL6, CLIENT6)), undefined);
        }
        expectEgress(routed, undefined);
      });

      test("ARP replies leave the leader's master alone, with the MAC that is given out", () => {
        const reply = (by: string, sender: string) =>
          from(by, packet.ARP, packet.arp(2, sender, VIRTUAL, CLIENT_MAC, CLIENT));
        for (const by of [SHARED_MAC, OWN_MAC]) {
          lease(10);
          expectEgress(reply(by, by), withSource(reply(by, mac), source));
          lease(11, 12);
          expectEgress(reply(by, by), undefined);
        }
      });

      test("ARP requests in a virtual address's name give out the right MAC, from any master", () => {
        const request = (sender: string) =>
          from(SHARED_MAC, packet.ARP, packet.arp(1, sender, VIRTUAL, "000000000000", CLIENT));
        lease(12);
        expectEgress(request(SHARED_MAC), withSource(request(mac), source));
        lease();
        expectEgress(request(SHARED_MAC), undefined);
      });

      test("a gratuitous request claims the address: the leader's master only", () => {
        const claim = from(SHARED_MAC, packet.ARP, packet.arp(1, mac, VIRTUAL, "000000000000", VIRTUAL));
        lease(10);
        expectEgress(claim, withSource(claim, source));
        lease(11);
        expectEgress(claim, undefined);
      });

      test("neighbour advertisements likewise, with a good checksum", () => {
        const advertisement = (by: string, option: string) =>
          from(by, packet.IPV6, packet.neighbour(VIRTUAL6, CLIENT6, 136, VIRTUAL6, [[2, option]]));
        for (const by of [SHARED_MAC, OWN_MAC]) {
          lease(10);
          expectEgress(advertisement(by, by), withSource(advertisement(by, mac), source));
          const out = dissect(Buffer.from(programs.egress(advertisement(by, by), index).frame), 0);
          assert.deepEqual([out.nd?.checksumIsGood, out.nd?.linkLayerAddress], [true, mac]);
          lease(11, 12);
          expectEgress(advertisement(by, by), undefined);
        }
      });

      test("neighbour solicitations give out the right MAC, behind other options too", () => {
        const solicitation = (option: string) =>
          from(
            SHARED_MAC,
            packet.IPV6,
            packet.neighbour(VIRTUAL6, CLIENT6, 135, CLIENT6, [
              [14, "010203040506"],
              [1, option],
            ]),
          );
        lease(12);
        expectEgress(solicitation(SHARED_MAC), withSource(solicitation(mac), source));
        lease();
        expectEgress(solicitation(SHARED_MAC), undefined);
      });

      test("more options than a kernel sends are not let out", () => {
        lease(10);
        const options = Array.from({ length: 8 }, () => [14, "010203040506"] as const);
        expectEgress(
          from(OWN_MAC, packet.IPV6, packet.neighbour(VIRTUAL6, CLIENT6, 135, CLIENT6, options)),
          undefined,
        );
      });
    });
  }

  test("who accepts and drops how much is counted, node by node", () => {
    configure(balanced("ip"));
    lease(10, 12);
    for (let host = 2; host < 232; host++)
      programs.ingress(to(MULTICAST_MAC, packet.IPV4, udp4(`10.0.0.${host}`, VIRTUAL)), index);
    lease();
    programs.ingress(to(MULTICAST_MAC, packet.IPV4, udp4(CLIENT, VIRTUAL)), index);
    programs.egress(from(OWN_MAC, packet.IPV4, udp4(VIRTUAL, CLIENT)), index);
    const nodes = Array.from({ length: 230 }, (_, n) => fold(`10.0.0.${n + 2}`, VIRTUAL) % 3);
    const share = [0, 1, 2].map((node) => nodes.filter((each) => each === node).length);
    assert.deepEqual(dataPath.counts("carp0"), {
      nodes: [
        { vhid: 10, accepted: share[0], droppedByHash: 0 },
        { vhid: 11, accepted: 0, droppedByHash: share[1] },
        { vhid: 12, accepted: share[2], droppedByHash: 0 },
      ],
      droppedByLease: 1,
      malformed: 0,
      withheld: 1,
    });
  });

  test("thirty-two nodes", () => {
    const vhids = Array.from({ length: 32 }, (_, n) => n + 1);
    configure(balanced("ip", { vhids }));
    for (const vhid of [1, 16, 32]) {
      for (const each of vhids) dataPath.lease("carp0", each, each === vhid ? soonUs() : 0);
      for (let host = 2; host < 100; host++) {
        const frame = to(MULTICAST_MAC, packet.IPV4, udp4(`10.0.0.${host}`, VIRTUAL));
        expectIngress(
          frame,
          fold(`10.0.0.${host}`, VIRTUAL) % 32 === vhid - 1 ? withDestination(frame, SHARED_MAC) : undefined,
        );
      }
    }
  });
});

describe("sent in plain failover", () => {
  beforeEach(() => configure(plain()));

  const claims: [string, () => Buffer][] = [
    ["IPv4 from the virtual address", () => from(OWN_MAC, packet.IPV4, udp4(VIRTUAL, CLIENT))],
    ["IPv6 from the virtual address", () => from(OWN_MAC, packet.IPV6, udp6(VIRTUAL6, CLIENT6))],
    ["anything from the shared MAC", () => from(SHARED_MAC, packet.IPV4, udp4(OUTSIDE, CLIENT))],
    ["what is not IP from the shared MAC", () => from(SHARED_MAC, 0x88b5, Buffer.alloc(50))],
    [
      "a gratuitous ARP",
      () => from(SHARED_MAC, packet.ARP, packet.arp(1, SHARED_MAC, VIRTUAL, "000000000000", VIRTUAL)),
    ],
    [
      "an ARP reply",
      () => from(SHARED_MAC, packet.ARP, packet.arp(2, SHARED_MAC, VIRTUAL, CLIENT_MAC, CLIENT)),
    ],
    [
      "an ARP probe from carp0",
      () => from(SHARED_MAC, packet.ARP, packet.arp(1, SHARED_MAC, "0.0.0.0", "000000000000", VIRTUAL)),
    ],
    [
      "a neighbour advertisement",
      () =>
        from(
          SHARED_MAC,
          packet.IPV6,
          packet.neighbour(VIRTUAL6, "ff02::1", 136, VIRTUAL6, [[2, SHARED_MAC]]),
        ),
    ],
    [
      "a probe for the virtual address",
      () => from(OWN_MAC, packet.IPV6, packet.neighbour("::", "ff02::1:ff00:1", 135, VIRTUAL6, [])),
    ],
  ];
  for (const [what, frame] of claims) {
    test(`${what} leaves with a lease, and not without`, () => {
      lease(10);
      expectEgress(frame(), frame());
      lease();
      const before = dataPath.counts("carp0")?.withheld ?? 0;
      expectEgress(frame(), undefined);
      assert.equal(dataPath.counts("carp0")?.withheld, before + 1);
    });
  }

  test("no MAC but the one that is given out stands beside a virtual address", () => {
    lease(10);
    for (const operation of [1, 2] as const) {
      const frame = (sender: string) =>
        from(OWN_MAC, packet.ARP, packet.arp(operation, sender, VIRTUAL, CLIENT_MAC, CLIENT));
      expectEgress(frame(OWN_MAC), frame(SHARED_MAC));
    }
    const solicitation = (option: string) =>
      from(OWN_MAC, packet.IPV6, packet.neighbour(VIRTUAL6, CLIENT6, 135, CLIENT6, [[1, option]]));
    expectEgress(solicitation(OWN_MAC), solicitation(SHARED_MAC));
  });

  const ours: [string, Buffer][] = [
    ["the host's own traffic", from(OWN_MAC, packet.IPV4, udp4("10.0.0.2", CLIENT))],
    ["the host's own IPv6", from(OWN_MAC, packet.IPV6, udp6("2001:db8::2", CLIENT6))],
    [
      "the host's own ARP",
      from(OWN_MAC, packet.ARP, packet.arp(1, OWN_MAC, "10.0.0.2", "000000000000", VIRTUAL)),
    ],
    [
      "an advertisement, which is how a lease is won",
      from(SHARED_MAC, packet.IPV4, packet.ipv4(VIRTUAL, "224.0.0.18", 112, Buffer.alloc(36))),
    ],
    [
      "an IPv6 advertisement",
      from(SHARED_MAC, packet.IPV6, packet.ipv6(VIRTUAL6, "ff02::12", 112, Buffer.alloc(36))),
    ],
    [
      "a VLAN device's frame",
      packet.ethernet(CLIENT_MAC, SHARED_MAC, packet.IPV4, udp4(VIRTUAL, CLIENT), [5]),
    ],
    ["ARP cut short", from(OWN_MAC, packet.ARP, Buffer.alloc(10))],
  ];
  for (const [what, frame] of ours) test(`${what} leaves without a lease`, () => expectEgress(frame, frame));
});

describe("real MAC", () => {
  beforeEach(() => configure(plain({ mac: REAL_MAC, realMac: true })));

  test("what goes to a virtual address is held against the lease, the host's own traffic is not", () => {
    const shared = [
      to(REAL_MAC, packet.IPV4, udp4(CLIENT, VIRTUAL)),
      to(REAL_MAC, packet.IPV6, udp6(CLIENT6, VIRTUAL6)),
    ];
    const own = [
      to(REAL_MAC, packet.IPV4, udp4(CLIENT, "10.0.0.2")),
      to(REAL_MAC, packet.IPV6, udp6(CLIENT6, "2001:db8::2")),
      to(REAL_MAC, packet.IPV4, packet.ipv4(CLIENT, VIRTUAL, 112, Buffer.alloc(36))),
      to(REAL_MAC, packet.ARP, packet.arp(1, CLIENT_MAC, CLIENT, REAL_MAC, VIRTUAL)),
      to(REAL_MAC, packet.IPV4, Buffer.alloc(10), [0]),
    ];
    lease(10);
    for (const frame of [...shared, ...own]) expectIngress(frame, frame);
    lease();
    for (const frame of shared) expectIngress(frame, undefined);
    for (const frame of own) expectIngress(frame, frame);
  });

  test("nothing claims or uses the address without a lease", () => {
    const claims = [
      from(REAL_MAC, packet.IPV4, udp4(VIRTUAL, CLIENT)),
      from(REAL_MAC, packet.ARP, packet.arp(2, REAL_MAC, VIRTUAL, CLIENT_MAC, CLIENT)),
      from(REAL_MAC, packet.IPV6, packet.neighbour(VIRTUAL6, CLIENT6, 136, VIRTUAL6, [[2, REAL_MAC]])),
    ];
    lease(10);
    for (const frame of claims) expectEgress(frame, frame);
    lease();
    for (const frame of claims) expectEgress(frame, undefined);
    const own = from(REAL_MAC, packet.ARP, packet.arp(2, REAL_MAC, "10.0.0.2", CLIENT_MAC, CLIENT));
    expectEgress(own, own);
  });
});
