/** Frame in, verdict and frame out: plain failover, what is counted, and addresses under the carpdev's own MAC. */

import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";
import { createClock } from "../../../src/kernel/process/clock.ts";
import { fold } from "../../oracle/load-sharing.ts";
import {
  BROADCAST,
  balanced,
  CLIENT,
  CLIENT_MAC,
  CLIENT6,
  clientOf,
  configure,
  dataPath,
  enterWithDataPath,
  expectEgress,
  expectIngress,
  from,
  index,
  lease,
  MULTICAST_MAC,
  OUTSIDE,
  OUTSIDE6,
  OWN_MAC,
  PASS,
  plain,
  programs,
  REAL_MAC,
  SHARED_MAC,
  soonUs,
  to,
  udp4,
  udp6,
  VIRTUAL,
  VIRTUAL6,
  withDestination,
} from "./data-path-trial.ts";
import * as packet from "./packets.ts";

enterWithDataPath(import.meta.url);

const clock = createClock();

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

describe("frames to a group", () => {
  const modes = [plain, ...(["ip", "ip-unicast", "ip-stealth"] as const).map((mode) => () => balanced(mode))];
  const groups = ["ff:ff:ff:ff:ff:ff", "33:33:00:00:00:01", "01:00:5e:00:00:12", "01:00:5e:00:01:44"];
  /** One whose last byte is that of a MAC that is given out, and which is not given out itself. */
  const similar = (mac: string) => (mac === MULTICAST_MAC ? "03:00:5e:00:01:0a" : MULTICAST_MAC);
  const each = (judged: (mac: string) => void) => {
    for (const mode of modes) {
      const wanted = mode();
      configure(wanted);
      lease(10, 11, 12);
      for (const mac of [...groups, similar(wanted.mac)]) judged(mac);
    }
  };

  test("are dropped and counted when the packet is for a virtual address, also by a host that holds it", () => {
    each((mac) => {
      const frames = [
        to(mac, packet.IPV4, udp4(CLIENT, VIRTUAL)),
        to(mac, packet.IPV4, packet.ipv4(CLIENT, VIRTUAL, 1, packet.icmp(8))),
        to(mac, packet.IPV4, udp4(CLIENT, VIRTUAL, { fragment: 0x0010 })),
        to(mac, packet.IPV4, udp4(CLIENT, VIRTUAL), [0xe000]),
        to(mac, packet.IPV6, udp6(CLIENT6, VIRTUAL6)),
        to(mac, packet.IPV6, packet.ipv6(CLIENT6, VIRTUAL6, 6, Buffer.alloc(20))),
      ];
      const before = dataPath.counts("carp0")?.malformed ?? 0;
      for (const frame of frames) expectIngress(frame, undefined);
      assert.equal(dataPath.counts("carp0")?.malformed, before + frames.length);
    });
  });

  test("pass for unknown and broadcast addresses, as ARP requests, and as CARP", () => {
    each((mac) => {
      const frames = [
        to(mac, packet.IPV4, udp4(CLIENT, OUTSIDE)),
        to(mac, packet.IPV4, udp4(CLIENT, "224.0.0.251")),
        to(mac, packet.IPV4, udp4(CLIENT, BROADCAST)),
        to(mac, packet.IPV4, udp4(CLIENT, "255.255.255.255")),
        to(mac, packet.IPV4, packet.ipv4(CLIENT, "224.0.0.18", 112, Buffer.alloc(36))),
        to(mac, packet.IPV4, udp4(CLIENT, VIRTUAL), [7]),
        to(mac, packet.IPV4, Buffer.alloc(3), [0]),
        to(mac, packet.IPV6, udp6(CLIENT6, OUTSIDE6)),
        to(mac, packet.IPV6, udp6(CLIENT6, "ff02::fb")),
        to(mac, packet.IPV6, packet.neighbour(CLIENT6, VIRTUAL6, 135, VIRTUAL6, [[1, CLIENT_MAC]])),
        to(mac, packet.ARP, packet.arp(1, CLIENT_MAC, CLIENT, "", VIRTUAL)),
        to(mac, 0x88b5, Buffer.alloc(50)),
      ];
      for (const frame of frames) expectIngress(frame, frame);
    });
  });

  test("pass for an address that is shared on another carpdev", () => {
    configure(plain());
    const frame = to("ff:ff:ff:ff:ff:ff", packet.IPV4, udp4(CLIENT, VIRTUAL));
    assert.equal(programs.ingress(frame, 1).verdict, PASS);
  });

  test("are dropped for an address under the carpdev's own MAC", () => {
    configure(plain({ mac: REAL_MAC, realMac: true }));
    lease(10);
    for (const mac of groups) expectIngress(to(mac, packet.IPV4, udp4(CLIENT, VIRTUAL)), undefined);
  });
});

describe("the end of a lease", () => {
  const frame = () => to(SHARED_MAC, packet.IPV4, udp4(clientOf(0), VIRTUAL));
  for (const [mode, wanted] of [
    ["failover", plain()] as const,
    ["balancing", balanced("ip-unicast")] as const,
  ]) {
    test(`${mode}: none is accepted after it, and all before, whatever was accepted just now`, () => {
      configure(wanted);
      lease(10);
      for (let ran = 0; ran < 100; ran++) expectIngress(frame(), frame());
      for (const lengthUs of [100, 3_000, 20_000]) {
        const endUs = clock.now().us + lengthUs;
        dataPath.lease("carp0", 10, endUs);
        let verdict = PASS;
        while (verdict === PASS) {
          const beforeUs = clock.now().us;
          verdict = programs.ingress(frame(), index).verdict;
          if (verdict === PASS) assert.ok(beforeUs < endUs, "accepted after its end");
          else assert.ok(clock.now().us >= endUs, "dropped before its end");
        }
        lease(10);
        expectIngress(frame(), frame());
      }
      lease();
      expectIngress(frame(), undefined);
    });
  }
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
