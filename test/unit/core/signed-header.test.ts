/**
 * net.inet.carp.signed_header: counters carry the fields that no digest covers; changed and repeated
 * advertisements are refused, and every other implementation is believed as without it.
 */

import assert from "node:assert/strict";
import { describe, it, test } from "node:test";
import {
  readCounter,
  SIGNED_UNIT_US,
  signedCounter,
  unitAt,
} from "../../../src/core/counters/counter-format.ts";
import { backup, logged, master, SECOND, Segment, Station, transitions, World } from "./driver.ts";
import { advertisement, type Said, said } from "./peer.ts";

const PEER = "10.0.0.9";
const refusals = (station: Station) => station.host.statistics.badAuthentication;

function signing(station: Station): Station {
  station.sysctl("signed_header", 1);
  station.sysctl("log", 4);
  station.take();
  return station;
}

/** The counter that a signing host makes at a time, relative to the station's clock. */
function counterOf(station: Station, agoUs: number, fields: Partial<Record<Field, number>> = {}): bigint {
  const unit = unitAt(BigInt(Math.trunc(station.now.epochUs - agoUs)));
  const counter = signedCounter(unit, { advbase: 1, advskew: 0, demote: 0, ...fields });
  assert.ok(counter !== undefined);
  return counter;
}

type Field = "advbase" | "advskew" | "demote";

describe("a counter", () => {
  it("carries the fields of each advertisement, and grows with each change and each interval", () => {
    const station = signing(master());
    const heard = () =>
      said(station.take()).map(({ counter, advbase, advskew, demote }) => {
        assert.deepEqual(readCounter(counter), {
          format: "signed",
          us: (readCounter(counter) as { us: bigint }).us,
          fields: { advbase, advskew, demote },
        });
        return counter;
      });
    station.set("carp0", { advskew: 7 });
    station.world.run(3 * SECOND);
    station.sysctl("demotion", 3);
    station.sysctl("demotion", 1);
    station.set("carp0", { up: false });
    const counters = heard();
    assert.ok(counters.length >= 4, `${counters}`);
    assert.deepEqual(
      counters,
      counters.toSorted((a, b) => (a < b ? -1 : 1)),
    );
    assert.equal(new Set(counters).size, counters.length);
  });

  it("is repeated within a quarter second when nothing has changed, and never goes ahead of the clock", () => {
    const station = signing(master({ advbase: 0, advskew: 1 }));
    station.world.run(2 * SECOND);
    const counters = said(station.take()).map(({ counter }) => counter);
    assert.ok(counters.length > 500);
    assert.ok(new Set(counters).size <= 10);
    const last = readCounter(counters.at(-1) ?? 0n);
    assert.ok(last !== undefined && Number(last.us) <= station.now.epochUs);
  });

  it("goes on when the variable is set and taken back", () => {
    const station = master();
    const times: bigint[] = [];
    for (const value of [1, 0, 1, 0]) {
      station.sysctl("signed_header", value);
      station.take();
      station.world.run(2 * SECOND);
      times.push(...said(station.take()).map(({ counter }) => readCounter(counter)?.us ?? 0n));
    }
    assert.equal(times.length, 8);
    assert.deepEqual(
      times,
      times.toSorted((a, b) => (a < b ? -1 : 1)),
    );
  });
});

test("a host among many that make its counter answers each, or when no answers are left, in an eighth of its interval", () => {
  const station = signing(master());
  station.world.run(2 * SECOND);
  let counter = said(station.take()).at(-1)?.counter;
  for (let answers = 0; ; answers++) {
    const answer = said(station.hear(advertisement({ counter, source: PEER }))).at(-1)?.counter;
    assert.notEqual(answer, counter);
    if (answer === undefined) break;
    assert.ok(answers < 8);
    counter = answer;
  }
  // More of them make it no later, and no other one.
  station.take();
  station.world.run(SECOND / 16);
  station.hear(advertisement({ counter, source: "10.0.0.8" }));
  station.world.run(SECOND / 16);
  const [next] = said(station.take());
  assert.ok(next !== undefined && next.counter !== counter);
});

describe("with signed_header, an advertisement", () => {
  const CHANGES: readonly [string, Said][] = [
    ["advbase and advskew", { advbase: 0, advskew: 1 }],
    ["the demote count", { demote: 9 }],
    ["all, as a bow-out", { advbase: 255, advskew: 255 }],
  ];
  for (const [title, change] of CHANGES)
    it(`of any age is refused when ${title} changed, whether the original was heard or not`, () => {
      for (const ago of [0, 5 * SECOND, 60 * SECOND]) {
        const station = signing(master());
        const effects = station.hear(
          advertisement({ counter: counterOf(station, ago), source: PEER, ...change }),
        );
        assert.deepEqual(logged(effects), [
          `4 carp0: vhid 1: replay detected: its fields are not the signed ones from ${PEER} on eth0`,
        ]);
        assert.equal(station.state(), "MASTER");
      }
    });

  it("is believed once, and over the other family at once", () => {
    const station = signing(backup());
    const counter = counterOf(station, 0, { advskew: 3 });
    for (const source of [PEER, "fe80::9"]) station.hear(advertisement({ counter, source, advskew: 3 }));
    assert.equal(refusals(station), 0);
    station.world.run(SECOND);
    const dueIn = station.dueIn("carp0/1/master-down");
    for (const source of [PEER, "fe80::9", "10.0.0.77"])
      station.hear(advertisement({ counter, source, advskew: 3 }));
    assert.equal(refusals(station), 3);
    assert.equal(station.dueIn("carp0/1/master-down"), dueIn);
  });

  it("is believed again within its quarter second, and only while it is the latest", () => {
    const station = signing(backup());
    const first = { counter: counterOf(station, 0), source: PEER };
    station.hear(advertisement(first));
    station.hear(advertisement(first));
    station.world.run(100_000);
    station.hear(advertisement(first));
    assert.equal(refusals(station), 0);
    const second = { counter: counterOf(station, -SECOND, { demote: 0, advskew: 2 }), advskew: 2 };
    station.hear(advertisement({ ...second, source: PEER }));
    station.hear(advertisement(first));
    assert.equal(refusals(station), 1);
  });

  it("is believed once by an engine that was stalled and has advertised since, before it has read them all", () => {
    const station = signing(backup());
    station.isStalled = true;
    station.world.run(14 * SECOND);
    // The peer's clock is a second behind.
    const hear = (agoUs: number, advskew: number, sentAgoUs = agoUs) => {
      const advbase = advskew === 255 ? 255 : 1;
      const counter = counterOf(station, sentAgoUs + SECOND, { advbase, advskew });
      station.hear(advertisement({ counter, source: PEER, advbase, advskew }), station.now.us - agoUs);
    };
    hear(12 * SECOND, 255);
    assert.equal(station.state(), "MASTER");
    hear(11.5 * SECOND, 0);
    hear(11 * SECOND, 2);
    assert.equal(refusals(station), 0);
    hear(10.9 * SECOND, 0, 11.5 * SECOND);
    assert.equal(refusals(station), 1);
  });

  it("older than ten seconds is refused, also after the engine was started again", () => {
    const station = signing(backup());
    for (let n = 0; n < 12; n++) {
      station.hear(advertisement({ counter: counterOf(station, 0), source: PEER }));
      station.world.run(SECOND);
    }
    station.hear(advertisement({ counter: counterOf(station, 20 * SECOND), source: PEER }));
    assert.equal(refusals(station), 1);
    const epochOffsetUs = station.epochOffsetUs - 1_700_000_000 * SECOND;
    const next = new Station(station.world, { epochOffsetUs });
    next.host.restore(station.host.configuration, () => 0, next.now);
    next.hear(advertisement({ counter: counterOf(next, 20 * SECOND), source: PEER }));
    assert.equal(refusals(next), 1);
  });

  it("is not believed a second time when the variable was set after the first", () => {
    const station = backup();
    const counter = counterOf(station, 0);
    station.hear(advertisement({ counter, source: PEER }));
    signing(station);
    station.hear(advertisement({ counter, source: PEER }));
    assert.equal(refusals(station), 1);
    station.world.run(SECOND);
    station.hear(advertisement({ counter: counterOf(station, 0), source: PEER }));
    assert.equal(refusals(station), 1);
  });
});

describe("without signed_header, a signed advertisement", () => {
  it("is refused when it is older than ten seconds, and believed again before", () => {
    const station = backup();
    for (let n = 0; n < 12; n++) {
      station.hear(advertisement({ counter: counterOf(station, 0), source: PEER }));
      station.world.run(SECOND);
    }
    station.hear(advertisement({ counter: counterOf(station, 5 * SECOND), source: PEER }));
    assert.equal(refusals(station), 0);
    station.hear(advertisement({ counter: counterOf(station, 20 * SECOND), source: PEER }));
    assert.equal(refusals(station), 1);
  });

  it("of this host itself is no other master's, once the variable was taken back", () => {
    const station = signing(master());
    const own = said(station.hear(advertisement({ counter: 1n, source: PEER, advskew: 9 })))[0];
    assert.ok(own !== undefined);
    station.sysctl("signed_header", 0);
    // As many as are remembered by themselves, and more.
    station.world.run(200 * SECOND);
    station.hear(advertisement({ ...own, source: "10.0.0.77" }));
    assert.equal(refusals(station), 1);
    assert.equal(station.state(), "MASTER");
  });
});

describe("with signed_header, another implementation", () => {
  it("that counts by one from a signed counter is believed, each time", () => {
    const station = signing(master());
    station.world.run(2 * SECOND);
    const heard = said(station.take()).at(-1)?.counter ?? 0n;
    station.world.run(60 * SECOND);
    for (let n = 1n; n <= 600n; n++)
      station.hear(advertisement({ counter: heard + n, source: PEER, advskew: 200 }));
    assert.equal(refusals(station), 0);
  });

  it("that keeps one counter, or draws each at random, is believed", () => {
    const station = signing(backup());
    for (const counter of [1n, 2n ** 63n + 9n, 2n ** 64n - 1n, 0x9e3779b97f4a7c15n])
      for (let n = 0; n < 15; n++) {
        station.hear(
          advertisement({ counter: BigInt.asUintN(64, counter + BigInt(n % 2) * 77_777_777n), source: PEER }),
        );
        station.world.run(SECOND);
      }
    assert.equal(refusals(station), 0);
    assert.equal(station.state(), "BACKUP");
  });
});

describe("hosts with and without signed_header", () => {
  for (const strict of [0, 1])
    it(`elect while it is set on one after the other, and taken back, with strict_replay=${strict}`, () => {
      const world = new World();
      const wire = new Segment(world);
      const [a, b] = [0, 3 * SECOND].map((epochOffsetUs, n) => {
        const addresses = [{ family: 4 as const, address: `10.0.0.${n + 2}`, prefixLength: 24 }];
        const station = new Station(world, { epochOffsetUs });
        const eth0 = station.links.get("eth0");
        assert.ok(eth0);
        station.link({ ...eth0, addresses });
        wire.plug(station, "eth0");
        station.sysctl("preempt", 1);
        station.sysctl("strict_replay", strict);
        return station;
      }) as [Station, Station];
      const shared = [{ family: 4 as const, address: "10.0.0.1", prefixLength: 24, alias: true }];
      for (const [station, advskew] of [
        [a, 0],
        [b, 100],
      ] as const)
        station.set("carp0", { carpdev: "eth0", vhid: 1, advskew, addAddresses: shared });
      world.run(10 * SECOND);
      assert.deepEqual([a.state(), b.state()], ["MASTER", "BACKUP"]);
      for (const value of [1, 0])
        for (const station of [a, b]) {
          station.sysctl("signed_header", value);
          for (const each of [a, b]) each.take();
          world.run(15 * SECOND);
          assert.deepEqual([...transitions(a.take()), ...transitions(b.take())], []);
          a.set("carp0", { up: false });
          world.run(10 * SECOND);
          assert.equal(b.state(), "MASTER");
          a.set("carp0", { up: true });
          world.run(10 * SECOND);
          assert.deepEqual([a.state(), b.state()], ["MASTER", "BACKUP"]);
        }
      assert.deepEqual([refusals(a), refusals(b)], [0, 0]);
    });

  it("differ after a collision also when it is heard several times and no more answers are left", () => {
    const station = signing(master());
    // So many that all answers of this interval are given.
    for (let n = 1n; n <= 9n; n++)
      station.hear(advertisement({ counter: n, source: `10.0.0.${50n + n}`, advskew: 200 }));
    const usOf = (counter = 0n) => readCounter(counter)?.us ?? 0n;
    let latest = said(station.take()).at(-1)?.counter ?? 0n;
    for (const tagBits of [2n, 0n, 0n, 2n]) {
      // Over each family, and from a host that has not heard the others yet.
      for (let copies = 0; copies < 3; copies++)
        station.hear(advertisement({ counter: latest, source: PEER }));
      station.world.run(SECOND / 8);
      const next = said(station.take()).at(-1)?.counter;
      assert.equal(usOf(next) - usOf(latest), (1n + tagBits) * SIGNED_UNIT_US);
      latest = next ?? 0n;
    }
  });

  it("end a tie at once when both became MASTER in the same moment, with one source address or two", () => {
    const world = new World();
    const wire = new Segment(world);
    const stations = [2, 4].map((last) => {
      const station = new Station(world, { epochOffsetUs: 0 });
      const eth0 = station.links.get("eth0");
      assert.ok(eth0);
      const addresses = [{ family: 4 as const, address: `10.0.0.${last}`, prefixLength: 24 }];
      station.link({ ...eth0, addresses });
      wire.plug(station, "eth0");
      return signing(station);
    });
    const shared = [{ family: 4 as const, address: "10.0.0.1", prefixLength: 24, alias: true }];
    for (const station of stations) station.set("carp0", { carpdev: "eth0", vhid: 1, addAddresses: shared });
    world.run(10 * SECOND);
    assert.deepEqual(stations.map((station) => station.state()).sort(), ["BACKUP", "MASTER"]);
  });
});
