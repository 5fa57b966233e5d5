/**
 * Hostile received packets: odd header chains, wrong lengths, truncated frames. Each is accepted by one host, by every
 * host that holds a node, or by none; and none uses a shared address without a lease.
 */

import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";
import fc from "fast-check";
import {
  BROADCAST,
  balanced,
  CLIENT,
  CLIENT_MAC,
  CLIENT6,
  clientOf,
  clientOf6,
  configure,
  dataPath,
  enterWithDataPath,
  expectIngress,
  index,
  lease,
  MULTICAST_MAC,
  PASS,
  programs,
  SHARED_MAC,
  to,
  udp4,
  udp6,
  VIRTUAL,
  VIRTUAL6,
  withDestination,
} from "./data-path-trial.ts";
import { damaged, FORTY_OPTIONS, fragment } from "./hostile.ts";
import * as packet from "./packets.ts";

enterWithDataPath(import.meta.url);

const ROUTER = "203.0.113.3";
const ROUTER6 = "2001:db8:9::3";
const NODES = [0, 1, 2];
const VHIDS = [10, 11, 12];

const delivered = (frame: Buffer) => withDestination(frame, SHARED_MAC);
const error4 = (inside: Buffer, options: packet.Ipv4Options = {}, type = 3) =>
  packet.ipv4(ROUTER, VIRTUAL, 1, packet.icmp(type, inside, 4), options);
const error6 = (inside: Buffer, type = 2) =>
  packet.icmp6(ROUTER6, VIRTUAL6, type, Buffer.concat([Buffer.alloc(4), inside]));
/** Eight bytes, or as many more eights as said. */
const extension = (next: number, more = 0) => Buffer.from([next, more, ...Buffer.alloc(6 + more * 8)]);

describe("received, balanced over three nodes", () => {
  beforeEach(() => configure(balanced("ip")));

  const byNode: [string, number, (node: number) => Buffer][] = [
    ...[2, 47, 50, 51, 132, 255].map((protocol): [string, number, (node: number) => Buffer] => [
      `IPv4 protocol ${protocol}`,
      packet.IPV4,
      (node) => packet.ipv4(clientOf(node), VIRTUAL, protocol, Buffer.alloc(3)),
    ]),
    ...[4, 41, 50, 59, 132, 135, 139, 140, 255].map((next): [string, number, (node: number) => Buffer] => [
      `IPv6 next header ${next}`,
      packet.IPV6,
      (node) => packet.ipv6(clientOf6(node), VIRTUAL6, next, Buffer.alloc(24)),
    ]),
    [
      "as many IPv4 options as there may be",
      packet.IPV4,
      (node) => udp4(clientOf(node), VIRTUAL, { options: FORTY_OPTIONS }),
    ],
    [
      "IPv4 options that lie about their length",
      packet.IPV4,
      (node) => udp4(clientOf(node), VIRTUAL, { options: Buffer.from("83ff0400", "hex") }),
    ],
    [
      "UDP that lies about its length",
      packet.IPV4,
      (node) => packet.ipv4(clientOf(node), VIRTUAL, 17, Buffer.from("13881388ffff0000", "hex")),
    ],
    [
      "IPv4 without a payload",
      packet.IPV4,
      (node) => packet.ipv4(clientOf(node), VIRTUAL, 6, Buffer.alloc(0)),
    ],
    [
      "a last fragment that would end beyond 64 kB",
      packet.IPV4,
      (node) => udp4(clientOf(node), VIRTUAL, { fragment: 0x1fff }),
    ],
    [
      "a later fragment of ICMP that looks like an error",
      packet.IPV4,
      (node) =>
        packet.ipv4(clientOf(node), VIRTUAL, 1, packet.icmp(3, udp4(VIRTUAL, "10.0.0.77")), { fragment: 1 }),
    ],
    [
      "an ICMP error that may not be fragmented, by the packet inside",
      packet.IPV4,
      (node) => error4(udp4(VIRTUAL, clientOf(node)), { fragment: 0x4000 }),
    ],
    [
      "an ICMP error with the reserved flag, by the packet inside",
      packet.IPV4,
      (node) => error4(udp4(VIRTUAL, clientOf(node)), { fragment: 0x8000 }),
    ],
    [
      "an ICMP error with all options there are, about a packet with all there are",
      packet.IPV4,
      (node) => error4(udp4(VIRTUAL, clientOf(node), { options: FORTY_OPTIONS }), { options: FORTY_OPTIONS }),
    ],
    [
      "an ICMP error about a packet whose header is longer than what is left of it",
      packet.IPV4,
      (node) => error4(udp4(VIRTUAL, clientOf(node), { headerWords: 15 }).subarray(0, 20)),
    ],
    [
      "an ICMP error about a fragment",
      packet.IPV4,
      (node) => error4(udp4(VIRTUAL, clientOf(node), { fragment: 0x2010 })),
    ],
    [
      "an ICMP error about an ICMP error, by the first packet inside",
      packet.IPV4,
      (node) => error4(packet.ipv4(VIRTUAL, clientOf(node), 1, packet.icmp(3, udp4(VIRTUAL, "10.0.0.77")))),
    ],
    ...[4, 5, 11, 12].map((type): [string, number, (node: number) => Buffer] => [
      `ICMP type ${type}, by the packet inside`,
      packet.IPV4,
      (node) => error4(udp4(VIRTUAL, clientOf(node)), {}, type),
    ]),
    ...[1, 9, 13, 17, 30, 255].map((type): [string, number, (node: number) => Buffer] => [
      `ICMP type ${type}, by its own addresses`,
      packet.IPV4,
      (node) => packet.ipv4(clientOf(node), VIRTUAL, 1, packet.icmp(type, udp4(VIRTUAL, "10.0.0.77"))),
    ]),
    ...[1, 2, 3, 4, 100, 127].map((type): [string, number, (node: number) => Buffer] => [
      `ICMPv6 type ${type}, by the packet inside`,
      packet.IPV6,
      (node) => packet.ipv6(ROUTER6, VIRTUAL6, 58, error6(udp6(VIRTUAL6, clientOf6(node)), type)),
    ]),
    ...[128, 129, 130, 132, 138, 143, 255].map((type): [string, number, (node: number) => Buffer] => [
      `ICMPv6 type ${type}, by its own addresses`,
      packet.IPV6,
      (node) => packet.ipv6(clientOf6(node), VIRTUAL6, 58, error6(udp6(VIRTUAL6, "2001:db8::77"), type)),
    ]),
    [
      "an ICMPv6 error about no more than a header",
      packet.IPV6,
      (node) => packet.ipv6(ROUTER6, VIRTUAL6, 58, error6(udp6(VIRTUAL6, clientOf6(node)).subarray(0, 40))),
    ],
    ...[0, 43, 60].map((next): [string, number, (node: number) => Buffer] => [
      `an ICMPv6 error behind header ${next}`,
      packet.IPV6,
      (node) => {
        const inside = error6(udp6(VIRTUAL6, clientOf6(node)));
        return packet.ipv6(ROUTER6, VIRTUAL6, next, Buffer.concat([extension(58, 2), inside]));
      },
    ]),
    [
      "an ICMPv6 error behind one header too many, by its own addresses",
      packet.IPV6,
      (node) => {
        const chain = [0, 60, 60, 60, 60, 60].map(() => extension(60));
        const inside = error6(udp6(VIRTUAL6, "2001:db8::77"));
        return packet.ipv6(clientOf6(node), VIRTUAL6, 0, Buffer.concat([...chain, extension(58), inside]));
      },
    ],
    [
      "a fragment header cut short",
      packet.IPV6,
      (node) => packet.ipv6(clientOf6(node), VIRTUAL6, 44, Buffer.from([58, 0, 0])),
    ],
    [
      "a first fragment of an ICMPv6 error, by its own addresses",
      packet.IPV6,
      (node) => {
        const inside = error6(udp6(VIRTUAL6, "2001:db8::77"));
        return packet.ipv6(clientOf6(node), VIRTUAL6, 44, Buffer.concat([fragment(58, 1), inside]));
      },
    ],
    [
      "a later fragment behind options",
      packet.IPV6,
      (node) =>
        packet.ipv6(
          clientOf6(node),
          VIRTUAL6,
          60,
          Buffer.concat([extension(44), fragment(58, 0x100), Buffer.from([2, 0, 0, 0])]),
        ),
    ],
    [
      "a fragment of neighbour discovery",
      packet.IPV6,
      (node) => {
        const solicitation = packet.neighbour(clientOf6(node), VIRTUAL6, 135, VIRTUAL6, []).subarray(40);
        return packet.ipv6(clientOf6(node), VIRTUAL6, 44, Buffer.concat([fragment(58, 1), solicitation]));
      },
    ],
    [
      "a jumbo payload option without a jumbogram",
      packet.IPV6,
      (node) =>
        packet.ipv6(clientOf6(node), VIRTUAL6, 0, Buffer.from("1100c204000100001388138800080000", "hex"), {
          payloadLength: 0,
        }),
    ],
  ];
  for (const [what, type, build] of byNode) {
    test(`${what}: one node takes it`, () => {
      for (const node of NODES) {
        const frame = to(MULTICAST_MAC, type, build(node));
        for (const vhid of VHIDS) {
          lease(vhid);
          expectIngress(frame, vhid - 10 === node ? delivered(frame) : undefined);
        }
        lease();
        expectIngress(frame, undefined);
      }
    });
  }

  const arp = (change: (arp: Buffer) => void) => {
    const request = packet.arp(1, CLIENT_MAC, CLIENT, MULTICAST_MAC, VIRTUAL);
    change(request);
    return to(MULTICAST_MAC, packet.ARP, request);
  };
  const neighbour = (options: string, next = 58) => {
    const target = Buffer.concat([Buffer.alloc(4), packet.address(VIRTUAL6), packet.hex(options)]);
    const message = packet.icmp6(CLIENT6, VIRTUAL6, 135, target);
    const payload = next === 58 ? message : Buffer.concat([extension(58), message]);
    return to(MULTICAST_MAC, packet.IPV6, packet.ipv6(CLIENT6, VIRTUAL6, next, payload, { hopLimit: 255 }));
  };
  const everyones: [string, Buffer][] = [
    ["ARP with a hardware address of 8 bytes", arp((bytes) => bytes.writeUInt8(8, 4))],
    ["ARP with protocol addresses of 16 bytes", arp((bytes) => bytes.writeUInt8(16, 5))],
    ["ARP with lengths of 0", arp((bytes) => bytes.fill(0, 4, 6))],
    ["ARP about something else than IPv4", arp((bytes) => bytes.writeUInt16BE(0x86dd, 2))],
    ["ARP with an unknown operation", arp((bytes) => bytes.writeUInt16BE(0xffff, 6))],
    ["ARP cut short", to(MULTICAST_MAC, packet.ARP, Buffer.alloc(10))],
    ["neighbour discovery with an option of length 0", neighbour("0100020000000009")],
    ["neighbour discovery with an option that claims more than there is", neighbour("01ff020000000009")],
    ["neighbour discovery with half an option", neighbour("010102")],
    ["neighbour discovery cut before its target", neighbour("").subarray(0, 14 + 40 + 8)],
    ["neighbour discovery behind an extension header", neighbour("0101020000000009", 0)],
    ["an 802.3 frame with a length", to(MULTICAST_MAC, 46, Buffer.alloc(46))],
    ["an empty frame", to(MULTICAST_MAC, 0x88b5, Buffer.alloc(1))],
  ];
  // Cut means cut: the header says as much.
  everyones[9]?.[1].writeUInt16BE(8, 18);
  for (const [what, frame] of everyones) {
    test(`${what}: for every host that holds a node, and for no other`, () => {
      for (const vhid of VHIDS) {
        lease(vhid);
        expectIngress(frame, delivered(frame));
      }
      lease();
      expectIngress(frame, undefined);
    });
  }

  const malformed: [string, Buffer][] = [
    [
      "options that reach beyond the packet",
      to(MULTICAST_MAC, packet.IPV4, udp4(CLIENT, VIRTUAL, { headerWords: 10 })),
    ],
    ["version 0", to(MULTICAST_MAC, packet.IPV4, udp4(CLIENT, VIRTUAL, { version: 0 }))],
    [
      "an ICMP error with a type and nothing else",
      to(MULTICAST_MAC, packet.IPV4, packet.ipv4(ROUTER, VIRTUAL, 1, Buffer.from([3]))),
    ],
    ["an ICMP error about IPv6", to(MULTICAST_MAC, packet.IPV4, error4(udp6(VIRTUAL6, CLIENT6)))],
    [
      "an ICMPv6 error about IPv4",
      to(
        MULTICAST_MAC,
        packet.IPV6,
        packet.ipv6(ROUTER6, VIRTUAL6, 58, error6(Buffer.concat([udp4(VIRTUAL, CLIENT), FORTY_OPTIONS]))),
      ),
    ],
    [
      "an ICMPv6 error whose packet lies in the padding",
      to(
        MULTICAST_MAC,
        packet.IPV6,
        packet.ipv6(ROUTER6, VIRTUAL6, 58, error6(udp6(VIRTUAL6, CLIENT6)), { payloadLength: 30 }),
      ),
    ],
    ...[51, 43, 0].map((next): [string, Buffer] => [
      `ICMPv6 behind header ${next}, which claims more than there is`,
      to(
        MULTICAST_MAC,
        packet.IPV6,
        packet.ipv6(CLIENT6, VIRTUAL6, next, Buffer.from([58, 255, ...Buffer.alloc(22)])),
      ),
    ]),
    ["IPv6 to an IPv4 address", to(MULTICAST_MAC, packet.IPV6, udp6(CLIENT6, mapped(VIRTUAL)))],
    ["IPv6 to an IPv4 broadcast", to(MULTICAST_MAC, packet.IPV6, udp6(CLIENT6, mapped(BROADCAST)))],
    [
      "ICMPv6 that begins in the padding",
      to(
        MULTICAST_MAC,
        packet.IPV6,
        packet.ipv6(ROUTER6, VIRTUAL6, 60, Buffer.concat([extension(58), error6(udp6(VIRTUAL6, CLIENT6))]), {
          payloadLength: 8,
        }),
      ),
    ],
  ];
  for (const [what, frame] of malformed) {
    test(`${what}: dropped and counted`, () => {
      lease(...VHIDS);
      const before = dataPath.counts("carp0")?.malformed ?? 0;
      expectIngress(frame, undefined);
      assert.equal(dataPath.counts("carp0")?.malformed, before + 1);
    });
  }

  test("frames of a provider's VLAN pass untouched", () => {
    lease();
    const frame = to(MULTICAST_MAC, packet.IPV4, udp4(CLIENT, VIRTUAL), [7]);
    frame.writeUInt16BE(0x88a8, 12);
    expectIngress(frame, frame);
  });

  test("whatever is done to a frame, one node takes it, or all, or none", () => {
    const whole = [
      to(MULTICAST_MAC, packet.IPV4, udp4(CLIENT, VIRTUAL, { options: FORTY_OPTIONS })),
      to(MULTICAST_MAC, packet.IPV4, error4(udp4(VIRTUAL, CLIENT), { options: FORTY_OPTIONS })),
      to(
        MULTICAST_MAC,
        packet.IPV6,
        packet.ipv6(
          ROUTER6,
          VIRTUAL6,
          0,
          Buffer.concat([extension(44), fragment(58, 0), error6(udp6(VIRTUAL6, CLIENT6))]),
        ),
        [0],
      ),
      arp(() => {}),
      neighbour("0101020000000009"),
    ];
    fc.assert(
      fc.property(damaged(whole), (frame) => {
        const takers = VHIDS.filter((vhid) => {
          lease(vhid);
          return programs.ingress(frame, index).verdict === PASS;
        });
        assert.ok([0, 1, 3].includes(takers.length), `taken by ${takers}`);
        lease();
        if (programs.ingress(frame, index).verdict === PASS) assert.equal(takers.length, 3);
      }),
      { numRuns: 3000 },
    );
  });
});

/** An IPv4 address as IPv6 writes it. */
function mapped(address: string): string {
  const bytes = packet.address(address).toString("hex");
  return `0:0:0:0:0:ffff:${bytes.slice(0, 4)}:${bytes.slice(4)}`;
}
