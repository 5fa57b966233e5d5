/** Frame in, verdict and frame out: which node each kind of packet belongs to, hostile ones among them. */

import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";
import { fold } from "../../oracle/load-sharing.ts";
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
  lease,
  MULTICAST_MAC,
  OUTSIDE,
  OUTSIDE6,
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
import * as packet from "./packets.ts";

enterWithDataPath(import.meta.url);

describe("balanced", () => {
  for (const mode of ["ip", "ip-unicast", "ip-stealth"] as const) {
    const mac = mode === "ip" ? MULTICAST_MAC : SHARED_MAC;
    /** The frame that carp0 gets. */
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
        ["an unknown protocol", (node) => packet.ipv4(clientOf(node), VIRTUAL, 253, Buffer.alloc(1))],
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
          "an error behind too many extension headers, by its own addresses",
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
    });
  }
});
