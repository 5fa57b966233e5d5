/** Egress, frame in, verdict and frame out: which frames with a virtual address may be sent, and under which MAC. */

import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";
import { dissect } from "../../hosts/frames.ts";
import {
  balanced,
  CLIENT,
  CLIENT_MAC,
  CLIENT6,
  configure,
  dataPath,
  enterWithDataPath,
  expectEgress,
  from,
  index,
  lease,
  MULTICAST_MAC,
  OUTSIDE,
  OWN_MAC,
  plain,
  programs,
  SHARED_MAC,
  udp4,
  udp6,
  VIRTUAL,
  VIRTUAL6,
  withSource,
} from "./data-path-trial.ts";
import * as packet from "./packets.ts";

enterWithDataPath(import.meta.url);

describe("balanced", () => {
  for (const mode of ["ip", "ip-unicast", "ip-stealth"] as const) {
    const mac = mode === "ip" ? MULTICAST_MAC : SHARED_MAC;

    describe(mode, () => {
      beforeEach(() => configure(balanced(mode)));

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
        const options = Array.from({ length: 17 }, () => [14, "010203040506"] as const);
        expectEgress(
          from(OWN_MAC, packet.IPV6, packet.neighbour(VIRTUAL6, CLIENT6, 135, CLIENT6, options)),
          undefined,
        );
      });
    });
  }
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

  test("a virtual address leaves only with the given-out MAC", () => {
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
