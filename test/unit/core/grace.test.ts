/**
 * Changes of pass and addresses within the grace: what a host signs with and believes, and that a cluster that is
 * changed host by host has one master throughout.
 */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { InterfaceChange } from "../../../src/core/interface/configuration.ts";
import { ADVERTISEMENT_BYTES, parseAdvertisement } from "../../../src/protocol/advertisement.ts";
import { Authentication } from "../../../src/protocol/authentication.ts";
import { parseCarpFrame } from "../../../src/protocol/frame.ts";
import {
  backup,
  ipv4,
  link,
  logged,
  master,
  only,
  PLAIN,
  SECOND,
  Segment,
  Station,
  World,
} from "./driver.ts";
import { advertisement } from "./peer.ts";

const GRACE = 300 * SECOND;

/** Which of these secrets signs what the station sends next. */
function signsWith(
  station: Station,
  secrets: readonly { pass?: string; addresses?: readonly string[] }[],
): number {
  station.take();
  station.world.run(2 * SECOND);
  const sent = only(station.take(), "advertise").at(-1)?.transmissions[0];
  assert.ok(sent !== undefined && "frame" in sent);
  const parsed = parseCarpFrame(sent.frame);
  assert.ok("packet" in parsed);
  const { message, addresses: ends } = parsed.packet;
  const said = parseAdvertisement(message.subarray(0, ADVERTISEMENT_BYTES), ends);
  assert.ok("advertisement" in said);
  const { counter, digest } = said.advertisement;
  return secrets.findIndex(({ pass = "old", addresses = ["10.0.0.1"] }) =>
    new Authentication({ vhid: 1, pass, addresses }).verify(counter, digest),
  );
}

const OLD = { pass: "old" };
const NEW = { pass: "new" };
const NEWER = { pass: "newer" };

describe("a changed pass", () => {
  it("is signed with when the grace has passed, and the old one is believed as long again", () => {
    const station = master(OLD);
    station.set("carp0", NEW);
    assert.equal(signsWith(station, [OLD, NEW]), 0);
    const grace = station.host.interfaces()[0]?.grace;
    assert.deepEqual([grace?.signsOld, grace?.pass, grace?.addresses], [true, true, false]);
    station.world.run(GRACE);
    assert.equal(signsWith(station, [OLD, NEW]), 1);
    assert.equal(station.host.interfaces()[0]?.grace?.signsOld, false);
    station.hear(advertisement({ ...OLD, advskew: 100 }));
    assert.equal(station.host.statistics.badAuthentication, 0);
    station.world.run(GRACE);
    station.hear(advertisement({ ...OLD, advskew: 100 }));
    assert.equal(station.host.statistics.badAuthentication, 1);
    assert.equal(station.host.interfaces()[0]?.grace, undefined);
  });

  it("is signed with as soon as a peer is heard that does", () => {
    const station = master(OLD);
    station.set("carp0", NEW);
    station.hear(advertisement({ ...OLD, advskew: 100 }));
    assert.deepEqual(
      station.host.interfaces()[0]?.grace?.usedBy.map(({ source }) => source),
      ["10.0.0.9"],
    );
    assert.equal(signsWith(station, [OLD, NEW]), 0);
    station.take();
    const effects = station.hear(advertisement({ ...NEW, advskew: 100 }));
    assert.deepEqual(logged(effects), ["2 carp0: signs with the new pass, as 10.0.0.9 does"]);
    assert.equal(only(effects, "save").length, 1);
    assert.equal(signsWith(station, [OLD, NEW]), 1);
    station.hear(advertisement({ ...OLD, advskew: 100 }));
    assert.equal(signsWith(station, [OLD, NEW]), 1);
    assert.equal(station.host.statistics.badAuthentication, 0);
  });

  it("is believed from the start, and tells the sockets so", () => {
    const station = backup(OLD);
    const [expected] = only(station.set("carp0", NEW), "expect-digests");
    assert.equal(expected?.forms.length, 2);
    station.hear(advertisement(NEW));
    station.hear(advertisement(OLD));
    assert.equal(station.host.statistics.badAuthentication, 0);
  });

  it("takes effect at once with grace off, and the old one is not believed", () => {
    for (const end of ["then", "together", "sysctl"]) {
      const station = master(OLD);
      if (end === "sysctl") station.sysctl("grace", 0);
      station.set("carp0", end === "together" ? { ...NEW, grace: "off" } : NEW);
      if (end === "then") station.set("carp0", { grace: "off" });
      assert.equal(signsWith(station, [OLD, NEW]), 1, end);
      station.hear(advertisement(OLD));
      assert.equal(station.host.statistics.badAuthentication, 1, end);
      assert.deepEqual(
        [...station.timers.keys()].filter(({ kind }) => kind === "grace"),
        [],
      );
    }
  });

  it("takes effect at once where there was none", () => {
    const station = master();
    station.set("carp0", NEW);
    assert.equal(signsWith(station, [{ pass: "" }, NEW]), 1);
    station.hear(advertisement());
    assert.equal(station.host.statistics.badAuthentication, 1);
  });

  it("takes effect at once where no peer can have the old one, which is believed nevertheless", () => {
    const station = new Station(new World());
    station.set("carp0", { ...PLAIN, ...OLD });
    station.set("carp0", { ...NEW, state: "master" });
    assert.equal(signsWith(station, [OLD, NEW]), 1);
    const other = backup({ ...PLAIN, ...OLD });
    other.set("carp0", NEW);
    other.hear(advertisement(OLD));
    other.set("carp0", { state: "master" });
    assert.equal(signsWith(other, [OLD, NEW]), 0);
  });

  it("may be changed back, and changed again, within the grace", () => {
    const station = master(OLD);
    station.set("carp0", NEW);
    station.set("carp0", OLD);
    assert.equal(signsWith(station, [OLD, NEW]), 0);
    assert.equal(station.host.interfaces()[0]?.grace?.signsOld, false);
    station.set("carp0", NEWER);
    assert.equal(signsWith(station, [OLD, NEW, NEWER]), 0);
    for (const each of [OLD, NEW, NEWER]) station.hear(advertisement({ ...each, advskew: 100 }));
    assert.equal(station.host.statistics.badAuthentication, 0);
    assert.equal(signsWith(station, [OLD, NEW, NEWER]), 2);
  });

  it("changes over step by step when a peer is behind, and believes a few at most", () => {
    const station = master(OLD);
    for (const pass of ["a", "b", "c", "d", "e", "f"]) station.set("carp0", { pass });
    assert.equal(signsWith(station, [OLD]), 0);
    station.hear(advertisement({ pass: "e", advskew: 100 }));
    assert.equal(signsWith(station, [OLD, { pass: "e" }]), 1);
    station.hear(advertisement({ pass: "a", advskew: 100 }));
    assert.equal(station.host.statistics.badAuthentication, 1);
    station.world.run(GRACE);
    assert.equal(signsWith(station, [{ pass: "f" }]), 0);
  });

  it("outlasts a restart, and no client ever sees a pass", () => {
    const station = master(OLD);
    station.set("carp0", NEW);
    const next = new Station(station.world);
    next.host.restore(station.host.configuration, () => 0, next.now);
    next.set("carp0", { state: "master" });
    assert.equal(signsWith(next, [OLD, NEW]), 0);
    assert.ok(!JSON.stringify(next.host.interfaces()).includes('"old"'));
    const late = new Station(station.world);
    station.world.run(3 * GRACE);
    late.host.restore(next.host.configuration, () => 0, late.now);
    assert.equal(late.host.interfaces()[0]?.grace, undefined);
  });

  it("does not follow an interface to another segment or vhid", () => {
    for (const elsewhere of [{ carpdev: "eth1" }, { vhid: 2 }]) {
      const station = master(OLD, { links: [link("eth0"), link("eth1")] });
      station.set("carp0", NEW);
      station.set("carp0", elsewhere);
      assert.equal(station.host.interfaces()[0]?.grace, undefined);
    }
  });
});

describe("changed addresses", () => {
  const more: InterfaceChange = { addAddresses: [ipv4("10.0.0.7")] };

  it("are in place at once, and signed later", () => {
    const station = master(OLD);
    station.set("carp0", more);
    const both = { addresses: ["10.0.0.1", "10.0.0.7"] };
    assert.deepEqual(station.devices.get("carp0")?.addresses.length, 2);
    assert.equal(signsWith(station, [OLD, both]), 0);
    assert.equal(station.host.interfaces()[0]?.grace?.addresses, true);
    station.hear(advertisement({ ...OLD, ...both, advskew: 100 }));
    assert.equal(signsWith(station, [OLD, both]), 1);
  });

  it("that leave none end with a bow-out", () => {
    const station = master(OLD);
    const effects = station.set("carp0", { removeAddresses: ["10.0.0.1"] });
    assert.equal(only(effects, "advertise")[0]?.bowsOut, true);
    assert.equal(station.state(), "INIT");
  });
});

describe("a cluster that is changed host by host", () => {
  const changes: Record<string, InterfaceChange> = {
    "another pass": NEW,
    "an address more": { addAddresses: [ipv4("10.0.0.7")] },
    "another address": { addAddresses: [ipv4("10.0.0.7")], removeAddresses: ["10.0.0.1"] },
  };
  for (const [what, change] of Object.entries(changes))
    for (const order of [
      [0, 1, 2],
      [2, 1, 0],
    ])
      it(`has one master throughout: ${what}, ${order}`, () => {
        const world = new World();
        const segment = new Segment(world);
        const hosts = [0, 1, 2].map((i) => {
          const own = link("eth0", { addresses: [ipv4(`10.0.0.${20 + i}`)], mac: `02:00:00:00:00:2${i}` });
          const station = new Station(world, { links: [own] });
          segment.plug(station, "eth0");
          station.set("carp0", { ...PLAIN, ...OLD, advskew: 100 * i });
          return station;
        });
        world.run(10 * SECOND);
        const states = () => hosts.map((each) => each.state());
        const onlyFirst = () => assert.deepEqual(states(), ["MASTER", "BACKUP", "BACKUP"]);
        for (const at of order) {
          hosts[at]?.set("carp0", change);
          world.run(20 * SECOND, onlyFirst);
        }
        world.run(3 * GRACE, onlyFirst);
        for (const { host } of hosts) {
          assert.equal(host.statistics.badAuthentication, 0);
          assert.equal(host.interfaces()[0]?.grace, undefined);
        }
      });
});
