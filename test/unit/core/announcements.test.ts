/**
 * Announcements: a MASTER learns that there was another one and announces its addresses, repeats them at its
 * pace, and follows the MAC of its carpdev.
 */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Effect } from "../../../src/core/effect.ts";
import { LINGER_US } from "../../../src/core/election/timing.ts";
import type { InterfaceChange } from "../../../src/core/interface/configuration.ts";
import {
  backup,
  ipv4,
  ipv6,
  link,
  master,
  only,
  PLAIN,
  SECOND,
  Segment,
  Station,
  transitions,
  World,
} from "./driver.ts";
import { advertisement, bowOut, said } from "./peer.ts";

const macOf = (n: number) => `02:00:00:00:01:0${n}`;
const linkOf = (n: number, mac = macOf(n)) =>
  link("eth0", {
    mac,
    addresses: [
      { family: 4, address: `10.0.0.${n + 2}`, prefixLength: 24 },
      { family: 6, address: `2001:db8::${n + 2}`, prefixLength: 64 },
    ],
  });

const MODES: Readonly<Record<string, (n: number) => InterfaceChange>> = {
  multicast: () => ({}),
  unicast: (n) => ({ carppeer: [`10.0.0.${3 - n}`], carppeer6: [`2001:db8::${3 - n}`] }),
  "own MAC": (n) => ({ lladdr: macOf(n) }),
};
const SHARED: Readonly<Record<string, InterfaceChange["addAddresses"]>> = {
  IPv4: [ipv4("10.0.0.1")],
  IPv6: [ipv6("2001:db8::1")],
};

/** Hosts that are MASTER all, each in a segment of its own until `heal`. */
function split(changes: readonly InterfaceChange[]) {
  const world = new World();
  const segment = new Segment(world);
  segment.passes = () => false;
  const stations = changes.map((change, n) => {
    const station = new Station(world, { links: [linkOf(n)] });
    segment.plug(station, "eth0");
    station.set("carp0", { ...PLAIN, ...change });
    return station;
  });
  world.run(5 * SECOND);
  assert.deepEqual(
    stations.map((each) => each.state()),
    changes.map(() => "MASTER"),
  );
  for (const station of stations) station.take();
  return { world, segment, stations };
}

describe("of two masters that hear each other again", () => {
  for (const [mode, settings] of Object.entries(MODES))
    for (const [family, addAddresses] of Object.entries(SHARED))
      for (const [how, advskew] of [
        ["slower", 100],
        ["equal", 0],
      ] as const)
        for (const first of ["winner", "loser"])
          it(`the one that stays announces its addresses: ${mode}, ${family}, ${how}, the ${first} heard first`, () => {
            const { world, segment, stations } = split([
              { ...settings(0), addAddresses },
              { ...settings(1), addAddresses, advskew },
            ]);
            const [winner, loser] = stations as [Station, Station];
            const speaker = first === "winner" ? winner : loser;
            let healed = false;
            // The other one's advertisements arrive only after the first of this one.
            segment.passes = (from) => (healed ||= from === speaker);
            const healedUs = world.us;
            let announcedUs: number | undefined;
            world.run(1.5 * SECOND, () => {
              if (only(winner.effects, "announce").length > 0) announcedUs ??= world.us;
            });
            assert.deepEqual([winner.state(), loser.state()], ["MASTER", "BACKUP"]);
            assert.deepEqual(transitions(winner.take()), []);
            assert.ok((announcedUs ?? Number.POSITIVE_INFINITY) - healedUs <= 1.5 * SECOND);
            assert.equal(loser.leaseLeft(), 0);
          });

  it("the one that stays tells of it once, however often the other is heard", () => {
    const station = master();
    station.world.run(2 * SECOND);
    station.take();
    const other = () => station.hear(advertisement({ advskew: 100 }));
    const [told] = only(other(), "contested");
    assert.equal(told?.source, "10.0.0.9");
    for (let n = 0; n < 5; n++) {
      station.world.run(SECOND);
      assert.deepEqual(only(other(), "contested"), []);
    }
    station.world.run(4 * SECOND);
    assert.equal(only(other(), "contested").length, 1);
  });

  it("a third host leaves the winner alone, with preempt and equal settings too", () => {
    const world = new World();
    const segment = new Segment(world);
    const stations = [0, 1, 2].map((n) => {
      const station = new Station(world, { links: [linkOf(n)] });
      segment.plug(station, "eth0");
      station.sysctl("preempt", 1);
      station.set("carp0", PLAIN);
      return station;
    }) as [Station, Station, Station];
    const [winner, third, loser] = stations;
    segment.passes = (from, to) => (from === loser) === (to === loser);
    world.run(6 * SECOND);
    assert.deepEqual(
      stations.map((each) => each.state()),
      ["MASTER", "BACKUP", "MASTER"],
    );
    for (const station of stations) station.take();
    segment.passes = (from) => from !== loser || loser.state() === "BACKUP";
    world.run(3 * SECOND);
    assert.deepEqual(
      stations.map((each) => transitions(each.effects)),
      [[], [], ["MASTER -> BACKUP"]],
    );
    assert.equal(only(winner.effects, "announce").length, 1);
    assert.deepEqual(only(third.effects, "announce"), []);
  });
});

describe("a takeover", () => {
  /** The times in milliseconds after this advertisement at which the address was announced within so long. */
  function announcedAfter(frame: Uint8Array, forUs: number): number[] {
    const station = backup({ advskew: 10 });
    station.sysctl("preempt", 1);
    station.hear(frame);
    const { world } = station;
    const fromUs = world.us;
    const times = only(station.take(), "announce").map(() => 0);
    world.run(forUs, () => {
      times.push(...only(station.take(), "announce").map(() => (world.us - fromUs) / 1000));
    });
    assert.equal(station.state(), "MASTER");
    return times;
  }

  it("from a master that answers is announced once more soon and when that one has heard of it, since its last packets may have misled switches", () => {
    assert.deepEqual(announcedAfter(bowOut(), SECOND), [0, 3, 20]);
    assert.deepEqual(announcedAfter(advertisement({ advskew: 100 }), SECOND), [0, 3, 20]);
  });

  it("is announced no more when the new master leaves before that", () => {
    for (const leave of [
      (station: Station) => void station.set("carp0", { state: "backup" }),
      (station: Station) => void station.set("carp0", { up: false }),
    ]) {
      const station = backup({ advskew: 10 });
      station.sysctl("preempt", 1);
      station.hear(advertisement({ advskew: 100 }));
      assert.equal(station.state(), "MASTER");
      station.take();
      leave(station);
      station.world.run(SECOND / 10);
      assert.deepEqual(only(station.take(), "announce"), []);
    }
  });

  it("from a silent master is announced once", () => {
    assert.equal(announcedAfter(advertisement({ advskew: 5 }), 4 * SECOND).length, 1);
  });
});

describe("a master that gives way", () => {
  /** The concessions among the effects: advertisements to one host. */
  const concessions = (effects: readonly Effect[]) =>
    only(effects, "advertise").flatMap(({ transmissions }) =>
      transmissions.filter((each) => "payload" in each),
    );

  it("concedes to the winner alone, slower than it by the least, after the winner had time to answer", () => {
    const station = master({ advskew: 5 });
    station.world.run(1.5 * SECOND);
    station.hear(advertisement({ advskew: 2, source: "10.0.0.9" }));
    assert.deepEqual(concessions(station.take()), []);
    station.world.run(SECOND / 10);
    const effects = station.take();
    const [conceded, ...others] = concessions(effects);
    assert.ok(conceded !== undefined && "payload" in conceded && others.length === 0);
    assert.deepEqual([conceded.source, conceded.destination], ["10.0.0.2", "10.0.0.9"]);
    const [fields] = said(effects);
    assert.deepEqual([fields?.advbase, fields?.advskew, fields?.demote], [1, 3, 0]);
    station.world.run(5 * SECOND);
    assert.deepEqual(concessions(station.take()), []);
  });

  it("does not concede to a winner that has answered it", () => {
    const station = master({ advskew: 5 });
    station.world.run(1.5 * SECOND);
    station.hear(advertisement({ advskew: 2 }));
    station.hear(advertisement({ advskew: 2 }));
    station.world.run(SECOND);
    assert.deepEqual(concessions(station.take()), []);
  });

  it("does not concede from or to a shared address", () => {
    for (const [own, source] of [
      [[], "10.0.0.9"],
      [linkOf(0).addresses, "10.0.0.1"],
    ] as const) {
      const station = master({ advskew: 5 }, { links: [link("eth0", { addresses: own })] });
      station.world.run(1.5 * SECOND);
      station.hear(advertisement({ source }));
      assert.equal(station.state(), "BACKUP");
      station.world.run(SECOND);
      assert.deepEqual(concessions(station.take()), []);
    }
  });
});

describe("a unicast advertisement for a multicast interface", () => {
  const cases = [
    { title: "that has to give way is answered", hears: { advskew: 100 }, answers: true },
    { title: "that is quicker is discarded", hears: { advbase: 0, advskew: 1 }, answers: false },
    { title: "that is a bow-out is discarded", hears: { advbase: 255, advskew: 255 }, answers: false },
    { title: "with a wrong pass is discarded", hears: { advskew: 100, pass: "wrong" }, answers: false },
    { title: "from beyond a router is discarded", hears: { advskew: 100, hopLimit: 254 }, answers: false },
    {
      title: "to another host is discarded",
      hears: { advskew: 100, destination: "10.0.0.7" },
      answers: false,
    },
  ];
  for (const { title, hears, answers } of cases)
    it(title, () => {
      const station = master();
      station.world.run(2 * SECOND);
      station.take();
      const effects = station.hear(advertisement({ destination: "10.0.0.2", ...hears }));
      assert.equal(only(effects, "announce").length, answers ? 1 : 0);
      assert.equal(only(effects, "discarded").length, answers ? 0 : 1);
      assert.equal(station.state(), "MASTER");
    });

  it("changes nothing once the lease is over: whatever the host does next as MASTER finds that out", () => {
    const station = master();
    station.isStalled = true;
    station.world.run(5 * SECOND);
    station.take();
    assert.deepEqual(station.hear(advertisement({ destination: "10.0.0.2", advskew: 100 })), []);
    station.resume();
    station.world.run(1);
    assert.equal(station.state(), "BACKUP");
  });

  it("makes no BACKUP a MASTER", () => {
    const station = master();
    station.set("carp0", { state: "backup" });
    station.world.run(LINGER_US);
    station.sysctl("preempt", 1);
    station.take();
    const effects = station.hear(advertisement({ destination: "10.0.0.2", advskew: 100, demote: 1 }));
    assert.deepEqual(transitions(effects), []);
  });
});

describe("announce", () => {
  /** The times after which addresses were announced within so long, with their numbers. */
  function announced(station: Station, forUs: number): [number, number][] {
    const { world } = station;
    const fromUs = world.us;
    const parts: [number, number][] = [];
    station.take();
    world.run(forUs, () => {
      for (const { frames } of only(station.take(), "announce"))
        parts.push([world.us - fromUs, frames.length]);
    });
    return parts;
  }

  it("repeats the announcements of a MASTER every so often, until it is BACKUP", () => {
    const station = master({ announce: 10 });
    station.world.run(5 * SECOND);
    assert.deepEqual(announced(station, 30 * SECOND), [
      [5 * SECOND, 1],
      [15 * SECOND, 1],
      [25 * SECOND, 1],
    ]);
    station.hear(advertisement({ advbase: 0, advskew: 1 }));
    assert.equal(station.dueIn("carp0/1/announce"), undefined);
  });

  for (const [title, change, expected] of [
    ["is off by default", {}, undefined],
    ["is on by default with the carpdev's own MAC", { lladdr: link("eth0").mac }, 60 * SECOND],
    ["is on by default with a unicast peer", { carppeer: ["10.0.0.9"] }, 60 * SECOND],
    ["is on by default with an IPv6 peer", { carppeer6: ["2001:db8::9"] }, 60 * SECOND],
    ["0 is off with a unicast peer", { carppeer: ["10.0.0.9"], announce: 0 }, undefined],
    [
      "is off in balancing",
      {
        vhid: undefined,
        carpnodes: [
          { vhid: 1, advskew: 0 },
          { vhid: 2, advskew: 0 },
        ],
        announce: 5,
      },
      undefined,
    ],
  ] satisfies [string, InterfaceChange, number | undefined][])
    it(title, () => assert.equal(master(change).dueIn("carp0/1/announce"), expected));

  it("changes its pace at once, and goes back to the default", () => {
    const station = master({ announce: 10 });
    station.set("carp0", { announce: 20 });
    assert.equal(station.dueIn("carp0/1/announce"), 20 * SECOND);
    station.set("carp0", { announce: null });
    assert.equal(station.dueIn("carp0/1/announce"), undefined);
    station.set("carp0", { carppeer: ["10.0.0.9"] });
    assert.equal(station.dueIn("carp0/1/announce"), 60 * SECOND);
  });

  for (const [count, period, most] of [
    [1, 60, 1],
    [8, 60, 8],
    [250, 60, 8],
    [5000, 60, 9],
    [5000, 1, 500],
  ] as const)
    it(`announces ${count} addresses once in ${period} s, at most ${most} together`, () => {
      const addAddresses = Array.from({ length: count }, (_, n) => ipv4(`10.1.${n >> 8}.${n & 255}`, 32));
      const station = master({ addAddresses, announce: period });
      station.world.run(5 * SECOND);
      const parts = announced(station, 2 * period * SECOND);
      const numbers = parts.map(([, frames]) => frames);
      assert.equal(
        numbers.reduce((sum, each) => sum + each, 0),
        2 * count,
      );
      assert.ok(Math.max(...numbers) <= most, `${Math.max(...numbers)}`);
    });
});

describe("the MAC of the carpdev, given out for the addresses", () => {
  const NEW = "02:00:00:00:02:22";
  const own = link("eth0").mac;

  it("is followed: lease, filter, device and announcements have the new one, and the digest stays", () => {
    for (const lladdr of [own, "carpdev"]) {
      const station = master({ lladdr });
      station.world.run(5 * SECOND);
      const accepted = advertisement({ advskew: 100 });
      const effects = station.link(link("eth0", { mac: NEW }));
      assert.deepEqual(transitions(effects), []);
      assert.ok(station.leaseLeft() > SECOND);
      const kinds = effects.map(({ kind }) => kind);
      assert.ok(kinds.lastIndexOf("lease") > kinds.indexOf("filter"));
      assert.deepEqual(
        [station.filters.get("carp0")?.mac, station.filters.get("carp0")?.realMac],
        [NEW, true],
      );
      assert.deepEqual(
        [station.devices.get("carp0")?.mac, station.devices.get("carp0")?.realMac],
        [NEW, true],
      );
      const [announced] = only(effects, "announce");
      assert.deepEqual([...(announced?.frames[0] ?? [])].slice(6, 12), [2, 0, 0, 0, 2, 0x22]);
      assert.equal(only(station.hear(accepted), "discarded").length, 0);
    }
  });

  it("is followed by one that was given as the carpdev's when the carpdev was missing", () => {
    const station = new Station(new World(), { links: [link("eth0")] });
    station.set("carp0", { ...PLAIN, lladdr: NEW });
    station.linkGone("eth0");
    station.link(link("eth0", { mac: NEW }));
    station.link(link("eth0", { mac: "02:00:00:00:03:33" }));
    assert.equal(station.filters.get("carp0")?.mac, "02:00:00:00:03:33");
  });

  it("is followed across the carpdev's absence and by the next engine, which a file may give the old one", () => {
    const station = master({ lladdr: own });
    station.linkGone("eth0");
    station.link(link("eth0", { mac: NEW }));
    assert.equal(station.filters.get("carp0")?.mac, NEW);
    const next = new Station(new World(), { links: [link("eth0", { mac: "02:00:00:00:03:33" })] });
    next.host.restore(station.host.configuration, () => 0, next.now);
    for (const lladdr of [own, NEW, "02:00:00:00:03:33", "carpdev"]) {
      const outcome = next.command({ kind: "replace", name: "carp0", change: { ...PLAIN, lladdr } });
      assert.deepEqual(outcome, { name: "carp0", changed: false, warnings: [], effects: [] }, lladdr);
    }
    next.set("carp0", { lladdr: "02:00:00:00:00:77" });
    assert.equal(next.host.interfaces()[0]?.lladdr, "02:00:00:00:00:77");
    next.set("carp0", { lladdr: own });
    assert.equal(next.host.interfaces()[0]?.lladdr, own);
  });
});
