/** Bowing out: `down`, `destroy` and the engine's end, from the bow-out until nothing is left. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { InterfaceChange } from "../../../src/core/configuration.ts";
import { formatMac } from "../../../src/protocol/address.ts";
import { backup, ipv4, link, master, only, PLAIN, SECOND, Station, transitions, World } from "./driver.ts";
import { advertisement, said } from "./peer.ts";

const LINGER = 250_000;
const DOWN: InterfaceChange = { up: false };

const ways = [
  { title: "down", leave: (station: Station) => station.set("carp0", DOWN) },
  { title: "destroy", leave: (station: Station) => station.does({ kind: "destroy", name: "carp0" }) },
  { title: "a stop of the engine", leave: (station: Station) => station.shutdown() },
] as const;

for (const { title, leave } of ways)
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
      assert.ok(station.leaseLeft() > LINGER);
      assert.equal(station.host.isLeaving("carp0"), true);
    });

    it("says so from the carpdev's own MAC, so that no switch looks for the shared one here again", () => {
      const station = master();
      const sources = only(leave(station), "advertise").flatMap(({ transmissions }) =>
        transmissions.map((each) => ("frame" in each ? Buffer.from(each.frame.subarray(6, 12)) : undefined)),
      );
      assert.deepEqual(
        sources.map((mac) => mac?.toString("hex")),
        [link("eth0").mac.replaceAll(":", "")],
      );
    });

    it("bows out from the carpdev's own MAC, which moves no switch's idea of the shared one", () => {
      const station = master();
      const transmission = only(leave(station), "advertise")[0]?.transmissions[0];
      assert.ok(transmission !== undefined && "frame" in transmission);
      assert.equal(formatMac(transmission.frame.subarray(6, 12)), link("eth0").mac);
    });

    it("is over when a successor is heard", () => {
      const station = master();
      leave(station);
      station.take();
      const effects = station.hear(advertisement({ advskew: 200 }));
      assert.deepEqual(transitions(effects), ["MASTER -> INIT"]);
      assert.equal(only(effects, "left").length, 1);
      assert.equal(station.leaseLeft(), 0);
      assert.notEqual(station.devices.get("carp0")?.active, true);
      assert.deepEqual([...station.timers], []);
    });

    it("is over a moment later when nobody comes, and advertises no more until then", () => {
      const station = master();
      leave(station);
      station.take();
      station.world.run(LINGER - 1);
      assert.deepEqual(station.take(), []);
      station.world.run(1);
      const effects = station.take();
      assert.deepEqual(transitions(effects), ["MASTER -> INIT"]);
      assert.equal(only(effects, "left").length, 1);
      assert.deepEqual([...station.timers], []);
    });

    it("stops listening on the carpdev, so that its settings are put back", () => {
      const station = master();
      leave(station);
      assert.deepEqual([...station.listening.keys()], ["eth0"]);
      station.world.run(SECOND);
      assert.deepEqual([...station.listening.keys()], []);
    });

    it("leaves with every node when several share it, and none takes over meanwhile", () => {
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
    it("says nothing and is over at once", () => {
      const station = backup();
      const effects = leave(station);
      assert.deepEqual(said(effects), []);
      assert.deepEqual(transitions(effects), ["BACKUP -> INIT"]);
      assert.equal(only(effects, "left").length, 1);
      assert.deepEqual([...station.timers], []);
      assert.deepEqual([...station.listening.keys()], []);
    });
  });

describe("while it is leaving", () => {
  it("`up` after `down` starts over, through INIT", () => {
    const station = master();
    station.set("carp0", DOWN);
    const effects = station.set("carp0", { up: true });
    assert.deepEqual(transitions(effects), ["MASTER -> INIT", "INIT -> BACKUP"]);
    assert.deepEqual([...station.timers.keys()], ["carp0/1/master-down"]);
    assert.deepEqual([...station.listening.keys()], ["eth0"]);
  });

  it("a link that goes away changes nothing about the end", () => {
    for (const { leave } of ways) {
      const station = master();
      leave(station);
      station.linkGone("eth0");
      station.world.run(SECOND);
      assert.deepEqual([...station.timers], []);
      assert.equal(station.host.isLeaving("carp0"), false);
    }
  });

  it("a successor's advertisement that is not authentic is none", () => {
    const station = master();
    station.set("carp0", DOWN);
    station.hear(advertisement({ pass: "guessed" }));
    assert.equal(station.host.isLeaving("carp0"), true);
  });

  it("what the configuration will be is what is kept", () => {
    const station = master();
    station.set("carp0", { ...DOWN, description: "www" });
    const [kept] = station.host.configuration.interfaces;
    assert.deepEqual([kept?.up, kept?.description], [false, "www"]);
  });

  it("an interface that is being destroyed is not kept", () => {
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

  it("a refused change of an interface that is being destroyed does not hurry it", () => {
    const station = master();
    station.does({ kind: "destroy", name: "carp0" });
    station.take();
    station.refuses({ kind: "change", name: "carp0", change: { carpdev: "eth9" } });
    assert.equal(station.host.isLeaving("carp0"), true);
    assert.equal(station.state(), "MASTER");
  });

  it("the vhid that a `down` is about to give it is taken already", () => {
    const station = master();
    station.set("carp0", { ...DOWN, vhid: 5 });
    const change = { ...PLAIN, vhid: 5, addAddresses: [ipv4("10.0.0.5")] };
    const error = station.refuses({ kind: "change", name: "carp1", change });
    assert.equal(error, "vhid 5 is already used by carp0 on eth0");
  });
});

describe("after it has left", () => {
  it("a device whose carpdev is away is forgotten too, and not built when that is back", () => {
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

  it("counters go on from where they were, even when the clock was set back", () => {
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
