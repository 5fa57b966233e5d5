/** Several unicast peers: which hosts an advertisement goes to, in which form, and from whom one is believed. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { InterfaceChange } from "../../../src/core/interface/configuration.ts";
import type { Transmission } from "../../../src/core/model.ts";
import { parseCarpFrame } from "../../../src/protocol/frame.ts";
import {
  backup,
  ipv4,
  ipv6,
  link,
  logged,
  master,
  PLAIN,
  SECOND,
  Segment,
  Station,
  World,
} from "./driver.ts";
import { advertisement } from "./peer.ts";

/** The unicast packets of a host that is MASTER, at one of its advertisements. */
function sent(station: Station, change: InterfaceChange = { state: "master" }) {
  const effects = station.set("carp0", change);
  const [first] = effects.flatMap((each) => (each.kind === "advertise" ? each : []));
  assert.ok(first, "nothing was advertised");
  return first.transmissions.map(unicast);
}

function unicast(transmission: Transmission) {
  assert.ok("destination" in transmission, "a frame to the group");
  return transmission;
}

const macs = (frame: Uint8Array) => Buffer.from(frame.subarray(0, 12)).toString("hex");

describe("an advertisement to several peers", () => {
  it("goes to each, from the address that the peer knows this host by", () => {
    const addresses = [
      { family: 4 as const, address: "10.0.0.2", prefixLength: 24 },
      { family: 4 as const, address: "192.168.7.2", prefixLength: 24 },
    ];
    const carppeer = ["192.168.7.3", "10.0.0.9", "192.0.2.7"];
    const station = backup({ carppeer }, { links: [link("eth0", { addresses })] });
    assert.deepEqual(
      sent(station).map(({ source, destination }) => `${source} > ${destination}`),
      ["192.168.7.2 > 192.168.7.3", "10.0.0.2 > 10.0.0.9", "10.0.0.2 > 192.0.2.7"],
    );
  });

  it("is a frame from the shared MAC where the peer is on the link, and not where a router is between", () => {
    const addresses = [
      { family: 4 as const, address: "10.0.0.2", prefixLength: 24 },
      { family: 6 as const, address: "2001:db8::2", prefixLength: 64 },
    ];
    const change = {
      carppeer: ["10.0.0.9", "192.0.2.7"],
      carppeer6: ["fe80::9", "2001:db8::9"],
      addAddresses: [...(PLAIN.addAddresses ?? []), ipv6("2001:db8::1")],
    };
    const packets = sent(backup(change, { links: [link("eth0", { addresses })] }));
    assert.deepEqual(
      packets.map(({ destination, onLink }) => [destination, onLink && macs(onLink)]),
      [
        ["10.0.0.9", `${"0".repeat(12)}00005e000101`],
        ["192.0.2.7", undefined],
        ["fe80::9", undefined],
        ["2001:db8::9", `${"0".repeat(12)}00005e000101`],
      ],
    );
    for (const { onLink, payload, source, destination } of packets) {
      if (onLink === undefined) continue;
      const parsed = parseCarpFrame(onLink);
      assert.ok("packet" in parsed);
      assert.deepEqual(parsed.packet.message, payload);
      assert.deepEqual([parsed.packet.source, parsed.packet.hopLimit], [source, 255]);
      assert.equal(parsed.packet.multicast, false, destination);
    }
  });

  for (const [title, change] of [
    ["in own-MAC mode", { lladdr: link("eth0").mac }],
    [
      "in mode ip, whose MAC no switch may learn",
      { vhid: undefined, carpnodes: [1, 2].map((vhid) => ({ vhid, advskew: 0 })) },
    ],
  ] as const)
    it(`is no frame ${title}`, () => {
      for (const { onLink } of sent(backup({ carppeer: ["10.0.0.9"], ...change })))
        assert.equal(onLink, undefined);
    });

  it("is no frame when it bows out: the shared MAC is the successor's", () => {
    const station = master({ carppeer: ["10.0.0.9", "10.0.0.8"] });
    assert.deepEqual(
      sent(station, { up: false }).map(({ onLink }) => onLink),
      [undefined, undefined],
    );
  });

  it("is a new frame each time: none that was handed over changes", () => {
    const station = master({ carppeer: ["10.0.0.9", "10.0.0.8"] });
    station.world.run(3.5 * SECOND);
    const frames = station
      .take()
      .flatMap((each) =>
        each.kind === "advertise" ? each.transmissions.map((packet) => unicast(packet)) : [],
      );
    assert.ok(frames.length >= 6);
    for (const { onLink, payload, destination } of frames) {
      assert.deepEqual(onLink && Uint8Array.from(onLink.subarray(-36)), payload);
      assert.equal(onLink?.[33], Number(destination.split(".")[3]));
    }
  });
});

describe("an advertisement from", () => {
  const carppeer = ["10.0.0.9", "10.0.0.8", "192.0.2.7"];
  const heard = (source: string, hopLimit = 255) => {
    const station = backup({ carppeer });
    station.sysctl("log", 7);
    const frame = advertisement({ demote: 9, source, destination: "10.0.0.2", hopLimit });
    const log = logged(station.hear(frame));
    return [station.state(), ...log.filter((line) => /carppeer|TTL/.test(line))];
  };

  it("any of the peers is believed", () => {
    assert.deepEqual(heard("10.0.0.9"), ["MASTER"]);
    assert.deepEqual(heard("10.0.0.8"), ["MASTER"]);
    assert.deepEqual(heard("192.0.2.7", 63), ["MASTER"]);
  });

  it("another host is not, nor a routed one from a peer on the link", () => {
    assert.deepEqual(heard("10.0.0.7"), [
      "BACKUP",
      "7 carp0: vhid 1: carppeer is 10.0.0.9,10.0.0.8,192.0.2.7: advertisement from 10.0.0.7 on eth0",
    ]);
    assert.deepEqual(heard("10.0.0.8", 63), ["BACKUP", "5 TTL 63 instead of 255 from 10.0.0.8 on eth0"]);
  });

  it("this host itself is not, though it is in the list", () => {
    const station = backup({ carppeer: ["10.0.0.2", "10.0.0.9"] });
    station.hear(advertisement({ demote: 9, source: "10.0.0.2", destination: "10.0.0.2" }));
    assert.equal(station.state(), "BACKUP");
  });
});

describe("this host in the list of peers", () => {
  const carppeer = ["10.0.0.2", "10.0.0.9", "10.0.0.8"];
  const warnings = (station: Station, change: InterfaceChange) => {
    const outcome = station.command({ kind: "change", name: "carp0", change });
    assert.ok(!("error" in outcome));
    return outcome.warnings ?? [];
  };

  it("is skipped, with a warning where the list is new", () => {
    const station = backup({});
    assert.deepEqual(warnings(station, { carppeer }), ["carppeer 10.0.0.2: skipped, it is this host (eth0)"]);
    assert.deepEqual(warnings(station, { carppeer }), []);
    assert.deepEqual(warnings(station, { advskew: 3 }), []);
    assert.deepEqual(
      sent(station).map(({ destination }) => destination),
      ["10.0.0.9", "10.0.0.8"],
    );
    assert.deepEqual(station.host.interfaces()[0]?.carppeer, carppeer);
  });

  it("is who has the carpdev's address now", () => {
    const station = master({ carppeer });
    station.link(link("eth0", { addresses: [{ family: 4, address: "10.0.0.8", prefixLength: 24 }] }));
    station.take();
    station.world.run(1.5 * SECOND);
    const [effect] = station.take().flatMap((each) => (each.kind === "advertise" ? each : []));
    assert.deepEqual(
      effect?.transmissions.map((each) => unicast(each).destination),
      ["10.0.0.2", "10.0.0.9"],
    );
    station.hear(
      advertisement({ demote: 0, advbase: 0, advskew: 1, source: "10.0.0.2", destination: "10.0.0.8" }),
    );
    assert.equal(station.state(), "BACKUP");
  });

  it("alone is MASTER and tells nobody: there is no other host yet", () => {
    const station = backup({});
    assert.deepEqual(warnings(station, { carppeer: ["10.0.0.2"] }), [
      "carppeer 10.0.0.2: skipped, it is this host (eth0), and there is no other peer",
    ]);
    station.world.run(10 * SECOND);
    assert.equal(station.state(), "MASTER");
    assert.ok(station.leaseLeft() > 0);
    assert.equal(station.host.demotion.counter, 0);
    assert.equal(station.host.statistics.sentIpv4, 0);
    station.hear(advertisement({ advbase: 0, advskew: 1, source: "10.0.0.9", destination: "10.0.0.2" }));
    assert.equal(station.state(), "MASTER");
  });
});

it("hosts with the same list of all of them elect, fail over and preempt", () => {
  const world = new World();
  const segment = new Segment(world);
  const carppeer = [0, 1, 2, 3].map((i) => `10.0.0.${i + 2}`);
  const stations = carppeer.map((address, i) => {
    const own = link("eth0", { addresses: [{ family: 4, address, prefixLength: 24 }] });
    const station = new Station(world, { links: [own] });
    segment.plug(station, "eth0");
    station.sysctl("preempt", 1);
    station.set("carp0", { ...PLAIN, addAddresses: [ipv4("10.0.0.1")], advskew: i * 20, carppeer });
    return station;
  });
  const states = () => stations.map((each) => each.state()[0]).join("");
  world.run(10 * SECOND);
  assert.equal(states(), "MBBB");
  stations[0]?.set("carp0", { up: false });
  world.run(2 * SECOND);
  assert.equal(states(), "IMBB");
  stations[0]?.set("carp0", { up: true });
  world.run(10 * SECOND);
  assert.equal(states(), "MBBB");
});
