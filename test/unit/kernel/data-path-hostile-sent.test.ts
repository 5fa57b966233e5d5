/** Egress of odd, damaged and truncated frames: none uses a shared address or its MAC without a lease. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import {
  balanced,
  CLIENT,
  CLIENT_MAC,
  CLIENT6,
  configure,
  enterWithDataPath,
  expectEgress,
  from,
  index,
  lease,
  OUTSIDE6,
  OWN_MAC,
  PASS,
  plain,
  programs,
  SHARED_MAC,
  udp4,
  udp6,
  VIRTUAL,
  VIRTUAL6,
} from "./data-path-trial.ts";
import { damaged, FORTY_OPTIONS, fragment } from "./hostile.ts";
import * as packet from "./packets.ts";

enterWithDataPath(import.meta.url);

describe("sent", () => {
  const arpFrom = (mac: string, change: (arp: Buffer) => void) => {
    const reply = packet.arp(2, SHARED_MAC, VIRTUAL, CLIENT_MAC, CLIENT);
    change(reply);
    return from(mac, packet.ARP, reply);
  };
  const unusual: [string, Buffer][] = [
    ["ARP cut short", from(SHARED_MAC, packet.ARP, Buffer.alloc(10))],
    ["ARP with a hardware address of 8 bytes", arpFrom(SHARED_MAC, (bytes) => bytes.writeUInt8(8, 4))],
    ["ARP with protocol addresses of 16 bytes", arpFrom(SHARED_MAC, (bytes) => bytes.writeUInt8(16, 5))],
    ["ARP about something else than IPv4", arpFrom(SHARED_MAC, (bytes) => bytes.writeUInt16BE(0x86dd, 2))],
    ["a fragment", from(OWN_MAC, packet.IPV4, udp4(VIRTUAL, CLIENT, { fragment: 0x0010 }))],
    [
      "an IPv6 fragment",
      from(
        OWN_MAC,
        packet.IPV6,
        packet.ipv6(VIRTUAL6, CLIENT6, 44, Buffer.concat([fragment(17, 8), Buffer.alloc(8)])),
      ),
    ],
    ["IPv4 with options", from(OWN_MAC, packet.IPV4, udp4(VIRTUAL, CLIENT, { options: FORTY_OPTIONS }))],
    [
      "ICMPv6 without a type",
      from(OWN_MAC, packet.IPV6, packet.ipv6(VIRTUAL6, CLIENT6, 58, Buffer.alloc(0))),
    ],
    [
      "a neighbour advertisement without a target",
      from(OWN_MAC, packet.IPV6, packet.ipv6(VIRTUAL6, CLIENT6, 58, packet.hex("8800000060000000"))),
    ],
  ];
  for (const [what, frame] of unusual) {
    test(`${what}: leaves with a lease, and not without`, () => {
      configure(plain());
      lease(10);
      expectEgress(frame, frame);
      lease();
      expectEgress(frame, undefined);
    });

    test(`${what}: under balancing never from a MAC that switches must not learn`, () => {
      configure(balanced("ip-stealth"));
      lease(11);
      const { verdict, frame: out } = programs.egress(frame, index);
      assert.equal(verdict, PASS);
      assert.equal(Buffer.from(out).toString("hex", 6, 12), packet.hex(OWN_MAC).toString("hex"));
    });
  }

  test("unicast CARP that the kernel routes through carp0 hides its MAC where the mode says so", () => {
    configure(balanced("ip-stealth"));
    lease();
    for (const frame of [
      from(SHARED_MAC, packet.IPV4, packet.ipv4(VIRTUAL, CLIENT, 112, Buffer.alloc(36))),
      from(SHARED_MAC, packet.IPV6, packet.ipv6(VIRTUAL6, CLIENT6, 112, Buffer.alloc(36))),
    ])
      expectEgress(frame, Buffer.concat([frame.subarray(0, 6), packet.hex(OWN_MAC), frame.subarray(12)]));
  });

  const advertisement = (options: string) => {
    const target = Buffer.concat([packet.hex("60000000"), packet.address(VIRTUAL6), packet.hex(options)]);
    const message = packet.icmp6(VIRTUAL6, CLIENT6, 136, target);
    return from(OWN_MAC, packet.IPV6, packet.ipv6(VIRTUAL6, CLIENT6, 58, message, { hopLimit: 255 }));
  };
  for (const [what, options] of [
    ["of length 0, behind which no kernel looks", "0e00000000000000 0201020000000001"],
    ["that claims more than there is", "02ff020000000001"],
    ["that is cut off", "020102"],
    ["of twice the length, which is no Ethernet address", "0202020000000001 0000000000000000"],
  ] as const) {
    test(`a neighbour advertisement with an option ${what} leaves as it is, with the leader's lease`, () => {
      configure(plain());
      lease(10);
      expectEgress(advertisement(options), advertisement(options));
      lease();
      expectEgress(advertisement(options), undefined);
    });
  }

  test("whatever is done to a frame from the shared MAC, it needs a lease", () => {
    configure(plain());
    lease();
    const whole = [
      from(SHARED_MAC, packet.IPV4, udp4(VIRTUAL, CLIENT, { options: FORTY_OPTIONS })),
      from(SHARED_MAC, packet.IPV6, udp6(VIRTUAL6, OUTSIDE6)),
      arpFrom(SHARED_MAC, () => {}),
      from(SHARED_MAC, packet.IPV6, packet.neighbour(VIRTUAL6, CLIENT6, 136, VIRTUAL6, [[2, SHARED_MAC]])),
    ];
    fc.assert(
      fc.property(damaged(whole), (frame) => {
        const type = frame.readUInt16BE(12);
        const tagged =
          [0x8100, 0x88a8].includes(type) && frame.length >= 16 && frame.readUInt16BE(14) & 0xfff;
        const isCarp =
          (type === packet.IPV4 && frame[14 + 9] === 112) || (type === packet.IPV6 && frame[14 + 6] === 112);
        if (!tagged && !isCarp) assert.notEqual(programs.egress(frame, index).verdict, PASS);
      }),
      { numRuns: 3000 },
    );
  });
});
