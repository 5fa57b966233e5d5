/**
 * Recorded advertisements at the default level: what hosts that run this program said more than ten seconds
 * ago is refused, and every other implementation is believed.
 */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { backup, ipv4, ipv6, logged, master, only, SECOND, Segment, Station, World } from "./driver.ts";
import { advertisement, bowOut, type Said, said } from "./peer.ts";

const PEER = "10.0.0.9";

/** The counter that a host of ours with this tag makes at a time, relative to the station's clock. */
function counterOf(station: Station, tag: number, agoUs: number): bigint {
  const us = BigInt(Math.trunc(station.now.epochUs - agoUs));
  return us - (us % 256n) + BigInt(tag);
}

/** Lets a host of ours with tag 9 advertise once a second, from a lower address than the station's. */
function hearOurs(station: Station, seconds: number, said: Said = {}): bigint[] {
  return Array.from({ length: seconds }, () => {
    const counter = counterOf(station, 9, 0);
    station.hear(advertisement({ counter, source: PEER, ...said }));
    station.world.run(SECOND);
    return counter;
  });
}

const refusals = (station: Station) => station.host.statistics.badAuthentication;

/** What changed fields make of a recording: each moves a host that believes it. */
const CHANGES: readonly [string, Said][] = [
  ["unchanged", {}],
  ["with advbase 0, advskew 1", { advbase: 0, advskew: 1 }],
  ["with a demote count", { demote: 9 }],
  ["as a bow-out", { advbase: 255, advskew: 255 }],
  ["from this host's own address", { advbase: 0, advskew: 1, source: "10.0.0.2" }],
  ["from elsewhere", { advbase: 0, advskew: 1, source: "10.0.0.77" }],
];

describe("a recording", () => {
  for (const [title, change] of CHANGES) {
    it(`of this host's own advertisement, older than 10 seconds, moves no MASTER: ${title}`, () => {
      const station = master();
      const old = station.host.counterFloor;
      // More than a host remembers.
      station.world.run(5000 * SECOND);
      station.take();
      const effects = station.hear(advertisement({ counter: old, source: PEER, ...change }));
      assert.deepEqual(logged(effects), []);
      assert.equal(refusals(station), 1);
      assert.equal(station.state(), "MASTER");
      assert.equal(station.leaseLeft(), 3 * SECOND);
    });

    it(`of another host of ours, older than 10 seconds, moves no BACKUP: ${title}`, () => {
      const station = backup();
      const [old] = hearOurs(station, 12);
      const dueIn = station.dueIn("carp0/1/master-down");
      station.hear(advertisement({ counter: old, source: PEER, ...change }));
      assert.equal(refusals(station), 1);
      assert.equal(station.state(), "BACKUP");
      assert.equal(station.dueIn("carp0/1/master-down"), dueIn);
    });

    it(`from before the engine was started again moves nothing: ${title}`, () => {
      const station = master();
      station.world.run(2 * SECOND);
      const old = station.host.counterFloor;
      station.world.run(60 * SECOND);
      const next = new Station(station.world, { epochOffsetUs: station.epochOffsetUs - EPOCH });
      next.host.restore(station.host.configuration, () => 0, next.now);
      assert.equal(next.state(), "BACKUP");
      next.hear(advertisement({ counter: old, source: PEER, ...change }));
      assert.equal(refusals(next), 1);
      assert.equal(next.state(), "BACKUP");
    });
  }

  it("over the other family is refused too, and is logged as a warning", () => {
    const addresses = ["10.0.0.1", "2001:db8::1"];
    const station = backup({ addAddresses: [ipv4("10.0.0.1"), ipv6("2001:db8::1")] });
    station.sysctl("log", 4);
    const [old] = hearOurs(station, 12, { addresses });
    const effects = station.hear(advertisement({ counter: old, source: "fe80::9", addresses }));
    assert.deepEqual(logged(effects), [
      "4 carp0: vhid 1: replay detected: it was sent more than ten seconds ago from fe80::9 on eth0",
    ]);
  });

  it("of the last advertisement of a MASTER that is gone does not keep a BACKUP waiting", () => {
    const station = backup();
    const last = hearOurs(station, 3).at(-1);
    for (let n = 0; n < 10; n++) {
      station.hear(advertisement({ counter: last, source: PEER }));
      station.world.run(2 * SECOND);
    }
    assert.equal(station.state(), "MASTER");
  });

  it("is refused after the interface was destroyed and made again", () => {
    const station = master();
    const old = station.host.counterFloor;
    station.world.run(20 * SECOND);
    const [configured] = station.host.configuration.interfaces;
    assert.ok(configured);
    station.does({ kind: "destroy", name: "carp0" });
    station.world.run(SECOND);
    station.set("carp0", {
      carpdev: "eth0",
      vhid: 1,
      addAddresses: [{ family: 4, address: "10.0.0.1", prefixLength: 24, alias: true }],
    });
    station.hear(advertisement({ counter: old, demote: 9 }));
    assert.equal(station.state(), "BACKUP");
    assert.equal(refusals(station), 1);
  });

  it("of the counter that another implementation has counted on from is refused", () => {
    const station = backup();
    const heard = hearOurs(station, 3).at(-1) ?? 0n;
    for (let n = 1n; n <= 20n; n++) {
      station.hear(advertisement({ counter: heard + n, source: "10.0.0.5" }));
      station.world.run(SECOND);
    }
    const before = refusals(station);
    station.hear(advertisement({ counter: heard, source: PEER, demote: 9 }));
    assert.equal(refusals(station), before + 1);
    assert.equal(station.state(), "BACKUP");
  });

  it("of this host's own advertisement is refused, whatever a host that is not known has said just before it", () => {
    const station = master();
    // Counters an hour ahead: another host with such a clock is not known by its first one.
    const aheadUs = 3_600 * SECOND;
    for (let n = 0; n < 3; n++) {
      station.hear(advertisement({ counter: counterOf(station, 9, -aheadUs), source: PEER, advskew: 200 }));
      station.world.run(SECOND);
    }
    const own = said(station.take()).at(-1)?.counter ?? 0n;
    station.hear(advertisement({ counter: own - 100n, source: "10.0.0.7", advskew: 200 }));
    station.world.run(100 * SECOND);
    assert.equal(refusals(station), 0);
    station.hear(advertisement({ counter: own, source: "10.0.0.2", advbase: 0, advskew: 1 }));
    assert.equal(refusals(station), 1);
    assert.equal(station.state(), "MASTER");
  });

  it("younger than 10 seconds is believed", () => {
    const station = backup();
    const heard = hearOurs(station, 12);
    station.hear(advertisement({ counter: heard.at(-9), source: PEER, demote: 9 }));
    assert.equal(station.state(), "MASTER");
  });
});

/** The station's epoch, which the options of another one count from. */
const EPOCH = 1_700_000_000 * SECOND;

describe("a host of another implementation", () => {
  it("that counts on by one from what it heard 60 seconds ago is believed, each time", () => {
    const station = master();
    hearOurs(station, 3, { advskew: 200 });
    const heard = station.host.counterFloor;
    station.world.run(60 * SECOND);
    // Its low bits become this host's tag and the known host's one on the way.
    for (let n = 1n; n <= 700n; n++) {
      const before = refusals(station);
      station.hear(advertisement({ counter: heard + n, source: PEER, advskew: 200 }));
      assert.equal(refusals(station), before, `${n} steps from a counter that ends in ${heard % 256n}`);
      if (n % 100n === 0n) station.world.run(20 * SECOND);
    }
  });

  it("is believed when advertisements of it are lost, or overtake each other", () => {
    const station = master();
    const heard = station.host.counterFloor;
    station.world.run(60 * SECOND);
    for (const n of [1n, 30n, 29n, 100n, 260n, 256n, 258n, 400n, 512n, 511n])
      station.hear(advertisement({ counter: heard + n, source: PEER, advskew: 200 }));
    assert.equal(refusals(station), 0);
  });

  it("that counts on from before this engine began is not taken for one of ours by a recording of it", () => {
    const station = backup();
    const first = counterOf(station, 7, 2 * SECOND);
    for (const step of [5n, 6n, 7n]) {
      station.hear(advertisement({ counter: first + step, source: PEER }));
      station.world.run(SECOND);
    }
    // An attacker repeats it, and has it count on from a counter that is as old as can be.
    station.hear(advertisement({ counter: first, source: PEER }));
    const old = counterOf(station, 6, 60 * SECOND);
    station.hear(advertisement({ counter: old + 1n, source: PEER }));
    assert.equal(refusals(station), 0);
  });

  it("that was taken for one of ours by its first counter is not saved as such when its next one tells", () => {
    const station = backup();
    const first = counterOf(station, 7, 2 * SECOND);
    const known = () => station.host.configuration.windows?.flatMap(({ hosts }) => hosts);
    const saves = (counter: bigint) =>
      only(station.hear(advertisement({ counter, source: PEER })), "save").length;
    assert.deepEqual([saves(first), known()], [1, [7]]);
    station.world.run(SECOND);
    assert.deepEqual([saves(first + 1n), known()], [1, []]);
  });

  it("that keeps one counter for ever is believed, whatever it is", () => {
    const station = backup();
    hearOurs(station, 12);
    for (const counter of [1n, 2n ** 63n + 9n, 2n ** 64n - 1n, counterOf(station, 77, 86_400 * SECOND)])
      for (let n = 0; n < 30; n++) {
        station.hear(advertisement({ counter, source: PEER }));
        station.world.run(SECOND);
      }
    assert.equal(refusals(station), 0);
    assert.equal(station.state(), "BACKUP");
  });

  it("is not taken for one of ours because it counts on from each counter of ours", () => {
    const station = master();
    for (let n = 0; n < 20; n++) {
      station.hear(advertisement({ counter: station.host.counterFloor + 1n, source: PEER, advskew: 200 }));
      station.world.run(SECOND);
    }
    assert.deepEqual(station.host.configuration.windows?.[0]?.hosts, [2]);
  });
});

describe("hosts of ours with clocks that disagree", () => {
  it("believe each other at first, and follow the clock that is ahead", () => {
    for (const behindUs of [60 * SECOND, 3_600 * SECOND]) {
      const world = new World();
      const wire = new Segment(world);
      const [a, b] = [0, -behindUs].map((epochOffsetUs, n) => {
        const address = `10.0.0.${n + 2}`;
        const addresses = [{ family: 4 as const, address, prefixLength: 24 }];
        const station = new Station(world, { epochOffsetUs });
        station.link({ ...(station.links.get("eth0") as never as object), addresses } as never);
        wire.plug(station, "eth0");
        return station;
      }) as [Station, Station];
      const change = {
        carpdev: "eth0",
        vhid: 1,
        addAddresses: [{ family: 4 as const, address: "10.0.0.1", prefixLength: 24, alias: true }],
      };
      for (const station of [a, b]) station.sysctl("preempt", 1);
      // The preferred one is behind, in one order and the other.
      a.set("carp0", { ...change, advskew: 100 });
      world.run(10 * SECOND);
      b.set("carp0", change);
      world.run(20 * SECOND);
      assert.deepEqual([a.state(), b.state()], ["BACKUP", "MASTER"]);
      const entered = a.node().transitions;
      world.run(600 * SECOND);
      assert.equal(a.node().transitions, entered);
      assert.deepEqual([refusals(a), refusals(b)], [0, 0]);
      b.set("carp0", { up: false });
      world.run(10 * SECOND);
      assert.equal(a.state(), "MASTER");
      b.set("carp0", { up: true });
      world.run(10 * SECOND);
      assert.deepEqual([a.state(), b.state()], ["BACKUP", "MASTER"]);
    }
  });
});

it("a bow-out of a host of ours is believed when it is new", () => {
  const station = backup();
  hearOurs(station, 5);
  station.hear(bowOut({ counter: counterOf(station, 9, 0), source: PEER }));
  assert.equal(station.state(), "MASTER");
  assert.ok(said(station.take()).length > 0);
});
