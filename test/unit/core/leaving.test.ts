/** Leaving: `down`, `destroy`, `state backup` and a stop of the engine, from the bow-out until the host has gone. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { LINGER_US } from "../../../src/core/election/timing.ts";
import type { InterfaceChange } from "../../../src/core/interface/configuration.ts";
import {
  backup,
  ipv4,
  link,
  master,
  only,
  PLAIN,
  SECOND,
  Station,
  timerName,
  transitions,
  World,
} from "./driver.ts";
import { advertisement, bowOut, said } from "./peer.ts";

const DOWN: InterfaceChange = { up: false };

const ways = [
  { title: "down", leave: (station: Station) => station.set("carp0", DOWN) },
  { title: "destroy", leave: (station: Station) => station.does({ kind: "destroy", name: "carp0" }) },
  { title: "a stop of the engine", leave: (station: Station) => station.shutdown() },
] as const;

const givesWay = (station: Station) => station.set("carp0", { state: "backup" });

it("a MASTER that leaves when nothing of it has left the host yet gives its lease up as soon as that is known", () => {
  const { host, now } = backup();
  host.handle({ kind: "frame", carpdev: "eth0", receivedUs: now.us, bytes: bowOut() }, now);
  // The advertisement of the takeover waits for the device.
  assert.equal(only(host.shutdown(now), "advertise").length, 1);
  const failed = {
    kind: "advertised",
    interface: "carp0",
    vhid: 1,
    leftUs: now.us,
    left: [],
    error: "ENOBUFS",
  } as const;
  const leases = only(host.handle(failed, now), "lease");
  assert.deepEqual(
    leases.map(({ vhid, untilUs }) => ({ vhid, untilUs })),
    [{ vhid: 1, untilUs: 0 }],
  );
});

for (const { title, leave, to, timers } of [
  ...ways.map((way) => ({ ...way, to: "INIT", timers: [] })),
  { title: "state backup", leave: givesWay, to: "BACKUP", timers: ["carp0/1/master-down"] },
])
  describe(`${title} of a MASTER`, () => {
    it("bows out with its demotion and keeps addresses and lease", () => {
      const station = master();
      station.does({ kind: "demote-group", group: "carp", by: 7 });
      const effects = leave(station);
      assert.deepEqual(
        said(effects).map(({ advbase, advskew, demote }) => ({ advbase, advskew, demote })),
        [{ advbase: 255, advskew: 255, demote: 7 }],
      );
      assert.deepEqual(transitions(effects), []);
      assert.equal(station.devices.get("carp0")?.active, true);
      assert.ok(station.leaseLeft() > LINGER_US);
      assert.equal(station.host.isLeaving("carp0") || station.host.givesWay("carp0"), true);
    });

    it("bows out from the carpdev's own MAC, so that no switch moves the shared one back here", () => {
      const station = master();
      const sources = only(leave(station), "advertise").flatMap(({ transmissions }) =>
        transmissions.map((each) => ("frame" in each ? Buffer.from(each.frame.subarray(6, 12)) : undefined)),
      );
      assert.deepEqual(
        sources.map((mac) => mac?.toString("hex")),
        [link("eth0").mac.replaceAll(":", "")],
      );
    });

    it("ends when a successor is heard", () => {
      const station = master();
      leave(station);
      station.take();
      const effects = station.hear(advertisement({ advskew: 200 }));
      assert.deepEqual(transitions(effects), [`MASTER -> ${to}`]);
      assert.equal(only(effects, "left").length, 1);
      assert.equal(station.leaseLeft(), 0);
      assert.notEqual(station.devices.get("carp0")?.active, true);
      assert.deepEqual([...station.timers.keys()].map(timerName), timers);
    });

    it("ends after the linger time without a successor, and advertises no more until then", () => {
      const station = master();
      leave(station);
      station.take();
      station.world.run(LINGER_US - 1);
      assert.deepEqual(station.take(), []);
      station.world.run(1);
      const effects = station.take();
      assert.deepEqual(transitions(effects), [`MASTER -> ${to}`]);
      assert.equal(only(effects, "left").length, 1);
      assert.deepEqual([...station.timers.keys()].map(timerName), timers);
    });

    it("announces no more, also when a repair or another address is a reason to", () => {
      const station = master();
      leave(station);
      station.take();
      station.handle({ kind: "repaired", interface: "carp0", what: "link up" });
      assert.deepEqual(only(station.take(), "announce"), []);
    });
  });

for (const { title, leave } of ways)
  describe(`${title} of a MASTER with its interface`, () => {
    it("stops listening on the carpdev, so that its settings are restored", () => {
      const station = master();
      leave(station);
      assert.deepEqual([...station.listening.keys()], ["eth0"]);
      station.world.run(SECOND);
      assert.deepEqual([...station.listening.keys()], []);
    });

    it("leaves with every node, and none takes over meanwhile", () => {
      const station = new Station(new World());
      const carpnodes = [1, 2].map((vhid) => ({ vhid, advskew: 0 }));
      station.set("carp0", { carpdev: "eth0", carpnodes, addAddresses: [ipv4("10.0.0.1")] });
      station.world.run(2.9 * SECOND);
      station.hear(advertisement({ vhid: 2, advskew: 0 }));
      station.world.run(2.9 * SECOND);
      assert.deepEqual([station.state(1), station.state(2)], ["MASTER", "BACKUP"]);
      station.take();
      leave(station);
      station.world.run(SECOND);
      assert.deepEqual(transitions(station.effects).toSorted(), ["BACKUP -> INIT", "MASTER -> INIT"]);
      assert.deepEqual([...station.timers], []);
    });
  });

for (const { title, leave } of ways)
  describe(`${title} of a BACKUP`, () => {
    it("sends nothing and ends at once", () => {
      const station = backup();
      const effects = leave(station);
      assert.deepEqual(said(effects), []);
      assert.deepEqual(transitions(effects), ["BACKUP -> INIT"]);
      assert.equal(only(effects, "left").length, 1);
      assert.deepEqual([...station.timers], []);
      assert.deepEqual([...station.listening.keys()], []);
    });
  });

describe("a MASTER that gives way", () => {
  it("waits a full master-down time from the successor's advertisement, or from the end of the linger time", () => {
    for (const hears of [true, false]) {
      const station = master();
      givesWay(station);
      if (hears) station.hear(advertisement({ advskew: 200 }));
      else station.world.run(LINGER_US);
      assert.equal(station.dueIn("carp0/1/master-down"), 3 * SECOND);
    }
  });

  it("knows the successor it has heard", () => {
    const station = master();
    givesWay(station);
    station.hear(advertisement({ advskew: 200, source: "10.0.0.7" }));
    assert.equal(station.node().heard?.source, "10.0.0.7");
  });

  it("is not succeeded by one that bows out too", () => {
    const station = master();
    givesWay(station);
    station.take();
    assert.deepEqual(transitions(station.hear(advertisement({ advbase: 255, advskew: 255 }))), []);
    assert.equal(station.host.givesWay("carp0"), true);
  });

  it("goes when it is told once more no later than otherwise", () => {
    const station = master();
    givesWay(station);
    station.world.run(LINGER_US - 1);
    assert.deepEqual(said(givesWay(station)), []);
    station.world.run(1);
    assert.equal(station.state(), "BACKUP");
  });

  it("takes over again by `state master`", () => {
    const station = master();
    givesWay(station);
    const effects = station.set("carp0", { state: "master" });
    assert.deepEqual(transitions(effects), ["MASTER -> BACKUP", "BACKUP -> MASTER"]);
    assert.equal(only(effects, "left").length, 1);
    assert.ok(station.leaseLeft() > 0);
  });

  it("is told of as `left` once, whatever ends it", () => {
    const ends: ((station: Station) => unknown)[] = [
      (station) => station.set("carp0", DOWN),
      (station) => station.does({ kind: "destroy", name: "carp0" }),
      (station) => station.linkGone("eth0"),
      (station) => station.set("carp0", { vhid: 9 }),
      (station) => station.set("carp0", { advskew: 9 }),
    ];
    for (const end of ends) {
      const station = master();
      givesWay(station);
      station.take();
      end(station);
      station.world.run(SECOND);
      assert.equal(only(station.take(), "left").length, 1);
      assert.equal(station.host.givesWay("carp0"), false);
    }
  });

  it("gives way with the one node that is named", () => {
    const station = new Station(new World());
    const carpnodes = [1, 2].map((vhid) => ({ vhid, advskew: 0 }));
    station.set("carp0", { carpdev: "eth0", carpnodes, addAddresses: [ipv4("10.0.0.1")] });
    station.set("carp0", { state: "master" });
    station.does({ kind: "change-on", carpdev: "eth0", change: { vhid: 2, state: "backup" } });
    station.world.run(LINGER_US);
    assert.deepEqual([station.state(1), station.state(2)], ["MASTER", "BACKUP"]);
  });
});

describe("while it is leaving", () => {
  it("`up` after `down` starts over, through INIT", () => {
    const station = master();
    station.set("carp0", DOWN);
    const effects = station.set("carp0", { up: true });
    assert.deepEqual(transitions(effects), ["MASTER -> INIT", "INIT -> BACKUP"]);
    assert.deepEqual([...station.timers.keys()].map(timerName), ["carp0/1/master-down"]);
    assert.deepEqual([...station.listening.keys()], ["eth0"]);
  });

  it("a lost link does not change how it ends", () => {
    for (const { leave } of ways) {
      const station = master();
      leave(station);
      station.linkGone("eth0");
      station.world.run(SECOND);
      assert.deepEqual([...station.timers], []);
      assert.equal(station.host.isLeaving("carp0"), false);
    }
  });

  it("an advertisement without a valid digest is no successor's", () => {
    const station = master();
    station.set("carp0", DOWN);
    station.hear(advertisement({ pass: "guessed" }));
    assert.equal(station.host.isLeaving("carp0"), true);
  });

  it("the configuration to come is the one that is saved", () => {
    const station = master();
    station.set("carp0", { ...DOWN, description: "www" });
    const [kept] = station.host.configuration.interfaces;
    assert.deepEqual([kept?.up, kept?.description], [false, "www"]);
  });

  it("an interface that is being destroyed is not saved", () => {
    const station = master();
    station.does({ kind: "destroy", name: "carp0" });
    assert.deepEqual(station.host.configuration.interfaces, []);
  });

  it("`create` and a change of an interface that is being destroyed make a new one", () => {
    for (const kind of ["create", "change"] as const) {
      const station = master();
      station.does({ kind: "destroy", name: "carp0" });
      station.does(
        kind === "create" ? { kind, name: "carp0" } : { kind, name: "carp0", change: { mtu: 1400 } },
      );
      const [view, ...more] = station.host.interfaces();
      assert.deepEqual(more, []);
      assert.deepEqual([view?.name, view?.nodes, view?.addresses], ["carp0", [], []]);
      assert.deepEqual([...station.timers], []);
      assert.equal(station.devices.size, 0);
    }
  });

  it("a refused change of an interface that is being destroyed does not end that", () => {
    const station = master();
    station.does({ kind: "destroy", name: "carp0" });
    station.take();
    station.refuses({ kind: "change", name: "carp0", change: { carpdev: "eth9" } });
    assert.equal(station.host.isLeaving("carp0"), true);
    assert.equal(station.state(), "MASTER");
  });

  it("the vhid that it will have after a `down` is already in use", () => {
    const station = master();
    station.set("carp0", { ...DOWN, vhid: 5 });
    const change = { ...PLAIN, vhid: 5, addAddresses: [ipv4("10.0.0.5")] };
    const error = station.refuses({ kind: "change", name: "carp1", change });
    assert.equal(error, "vhid 5 is already used by carp0 on eth0");
  });
});

describe("after it has left", () => {
  it("a device whose carpdev is away is removed too, and not made when that is back", () => {
    const station = backup();
    station.linkGone("eth0");
    const effects = station.does({ kind: "destroy", name: "carp0" });
    assert.deepEqual(
      only(effects, "device").map(({ device }) => device),
      [null],
    );
    assert.deepEqual(only(station.link(link("eth0")), "device"), []);
  });

  it("destroy takes its demotions back", () => {
    const station = backup();
    station.linkGone("eth0");
    assert.equal(station.host.groups()[0]?.carpDemoteCount, 1);
    station.does({ kind: "destroy", name: "carp0" });
    assert.equal(station.host.groups()[0]?.carpDemoteCount, 0);
    assert.equal(station.host.sysctl("net.inet.carp.demotion")[0]?.value, 0);
  });

  it("counters go on from the last one, even when the clock was set back", () => {
    const station = master();
    const before = station.host.counterFloor;
    station.does({ kind: "destroy", name: "carp0" });
    station.world.run(SECOND);
    const floor = station.host.counterFloor;
    assert.ok(floor > before);
    station.epochOffsetUs -= 3600 * SECOND;
    station.set("carp0", { ...PLAIN });
    const [first] = said(station.set("carp0", { state: "master" }));
    assert.ok(first !== undefined && first.counter > floor);
  });
});
