/** The advertisement interval, the master-down time, the lease, and the advertisement counter. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { intervalUs, leaseUs, masterDownUs, nextAdvertisementUs } from "../../../src/core/election/timing.ts";
import { backup, link, master, only, SECOND, type Station, transitions } from "./driver.ts";
import { advertisement, said } from "./peer.ts";

/** Lets time pass, and returns the times between our advertisements. */
function gaps(station: Station, forUs: number): number[] {
  const times: number[] = [];
  station.take();
  station.world.run(forUs, () => {
    if (only(station.take(), "advertise").length > 0) times.push(station.world.us);
  });
  return times.slice(1).map((at, i) => at - (times[i] ?? 0));
}

describe("the advertisement interval", () => {
  const intervals = [
    { advbase: 1, advskew: 0, us: SECOND },
    { advbase: 1, advskew: 128, us: 1.5 * SECOND },
    { advbase: 2, advskew: 254, us: 2 * SECOND + (254 * SECOND) / 256 },
    { advbase: 0, advskew: 64, us: SECOND / 4 },
    { advbase: 0, advskew: 0, us: SECOND / 256 },
    { advbase: 254, advskew: 0, us: 254 * SECOND },
  ];
  for (const { advbase, advskew, us } of intervals)
    it(`is ${us / SECOND} s with advbase ${advbase} and advskew ${advskew}`, () => {
      const station = master({ advbase, advskew });
      station.world.run(16 * us);
      assert.deepEqual(new Set(gaps(station, 5.5 * us)), new Set([us]));
      assert.equal((station.world.us + (station.dueIn("carp0/1/advertise") ?? 0)) % us, 0);
    });

  it("is a sixteenth shorter until the advertisements leave on the beat, wherever they began", () => {
    const station = backup();
    station.world.run(SECOND / 2);
    station.set("carp0", { state: "master" });
    const between = gaps(station, 12 * SECOND);
    for (const us of between.slice(0, 6)) assert.equal(us, (SECOND * 15) / 16);
    for (const us of between.slice(8)) assert.equal(us, SECOND);
  });

  it("has one beat for all virtual hosts", () => {
    const all = fc.record({ us: fc.nat(1e12), advbase: fc.nat(254), advskew: fc.nat(254) });
    fc.assert(
      fc.property(all, ({ us, advbase, advskew }) => {
        const interval = intervalUs(advbase, advskew);
        let at = us;
        for (let i = 0; i < 16; i++) {
          const next = nextAdvertisementUs(at, interval);
          assert.ok(next - at <= interval && next - at >= (interval * 15) / 16);
          at = next;
        }
        assert.equal(at % interval, 0);
        assert.equal(nextAdvertisementUs(at, interval), at + interval);
      }),
    );
  });

  it("does not drift when the timer is always a little late", () => {
    const station = master();
    const firstDue = station.world.us + (station.dueIn("carp0/1/advertise") ?? 0);
    for (let i = 0; i < 10; i++) {
      const dueIn = station.dueIn("carp0/1/advertise") ?? 0;
      station.isStalled = true;
      station.world.run(dueIn + 5000);
      station.resume();
      station.world.run(0);
    }
    assert.equal(station.world.us + (station.dueIn("carp0/1/advertise") ?? 0), firstDue + 10 * SECOND);
  });

  it("is hardly shortened after a long delay", () => {
    const station = master();
    station.isStalled = true;
    station.world.run(2.5 * SECOND);
    station.isStalled = false;
    station.take();
    station.world.run(0);
    assert.equal(said(station.take()).length, 1);
    const dueIn = station.dueIn("carp0/1/advertise") ?? 0;
    assert.ok(dueIn <= SECOND && dueIn >= (SECOND * 15) / 16, `due in ${dueIn}`);
  });

  it("follows a change of advbase and advskew without leaving MASTER", () => {
    const station = master({ advbase: 10 });
    station.world.run(SECOND);
    const effects = station.set("carp0", { advbase: 1, advskew: 64 });
    assert.deepEqual(transitions(effects), []);
    assert.equal(station.dueIn("carp0/1/advertise"), 1.25 * SECOND);
    station.world.run(20 * 1.25 * SECOND);
    assert.deepEqual(new Set(gaps(station, 5 * SECOND)), new Set([1.25 * SECOND]));
  });

  it("does not grow for the next advertisement when advbase does: peers hear of it when it was due", () => {
    const station = master();
    station.world.run(SECOND / 2);
    station.set("carp0", { advbase: 10 });
    assert.equal(station.dueIn("carp0/1/advertise"), SECOND / 2);
  });
});

describe("the master-down time", () => {
  for (const [advbase, advskew, us] of [
    [1, 0, 3 * SECOND],
    [1, 100, 3 * (SECOND + (100 * SECOND) / 256)],
    [0, 0, (3 * SECOND) / 256],
    [20, 0, 60 * SECOND],
  ] as const)
    it(`is ${us / SECOND} s with advbase ${advbase} and advskew ${advskew}`, () => {
      const station = backup({ advbase, advskew });
      assert.equal(station.dueIn("carp0/1/master-down"), us);
    });

  it("follows a change of advskew, counted from the last advertisement", () => {
    const station = backup();
    station.hear(advertisement());
    station.world.run(SECOND);
    station.set("carp0", { advskew: 128 });
    assert.equal(station.dueIn("carp0/1/master-down"), 3.5 * SECOND);
  });

  it("restarts on a host that slept through it", () => {
    const station = backup();
    station.isStalled = true;
    station.world.run(3600 * SECOND);
    station.resume();
    station.world.run(0);
    assert.equal(station.state(), "BACKUP");
    assert.equal(station.dueIn("carp0/1/master-down"), 3 * SECOND);
  });

  it("is not over for a late engine whose socket holds the master's advertisements", () => {
    const station = backup();
    station.isStalled = true;
    for (let i = 0; i < 4; i++) {
      station.world.run(SECOND);
      station.receive("eth0", advertisement());
    }
    station.isStalled = false;
    station.world.run(0);
    assert.equal(station.state(), "BACKUP");
    assert.equal(station.dueIn("carp0/1/master-down"), 3 * SECOND);
  });

  it("does not end when its timer is delivered too early", () => {
    const station = backup();
    station.world.run(SECOND);
    station.handle({ kind: "timer", timer: { kind: "master-down", interface: "carp0", vhid: 1 } });
    assert.equal(station.state(), "BACKUP");
    assert.equal(station.dueIn("carp0/1/master-down"), 2 * SECOND);
  });
});

describe("the lease", () => {
  const leases = [
    { advbase: 1, advskew: 0, us: 3 * SECOND },
    { advbase: 1, advskew: 254, us: 3 * SECOND },
    { advbase: 10, advskew: 100, us: 30 * SECOND },
    { advbase: 0, advskew: 0, us: (3 * SECOND) / 256 },
    { advbase: 0, advskew: 1, us: (3 * SECOND) / 256 },
    { advbase: 0, advskew: 128, us: 0.75 * SECOND },
  ];
  for (const { advbase, advskew, us } of leases)
    it(`lasts ${us / SECOND} s with advbase ${advbase} and advskew ${advskew}`, () => {
      assert.equal(master({ advbase, advskew }).leaseLeft(), us);
    });

  it("is no longer than a quicker peer waits, and no shorter than one and a half intervals", () => {
    const station = backup({ advbase: 2 });
    station.hear(advertisement({ advbase: 1 }));
    station.set("carp0", { state: "master" });
    assert.equal(station.leaseLeft(), 3 * SECOND);
    const slow = backup({ advbase: 2, advskew: 128 });
    slow.hear(advertisement({ advbase: 1 }));
    slow.set("carp0", { state: "master" });
    assert.equal(slow.leaseLeft(), 3.75 * SECOND);
  });

  it("is not shortened by a peer that is leaving or slow", () => {
    const station = backup();
    station.hear(advertisement({ advbase: 255, advskew: 255 }));
    assert.equal(station.leaseLeft(), 3 * SECOND);
  });

  it("is longer than the interval, and ends before the quickest peer takes over where it can", () => {
    const settings = fc.record({
      base: fc.nat(254),
      skew: fc.nat(254),
      peerUs: fc.option(fc.nat(10_000_000)),
    });
    fc.assert(
      fc.property(settings, ({ base, skew, peerUs }) => {
        const own = intervalUs(base, skew);
        const lease = leaseUs(base, own, peerUs ?? undefined);
        assert.ok(lease >= 1.5 * own);
        const quickest = masterDownUs(intervalUs(base, 0));
        assert.ok(lease <= Math.max(quickest, 1.5 * own));
        if (peerUs !== null) assert.ok(lease <= Math.max(3 * peerUs, 1.5 * own));
      }),
    );
  });

  it("runs from the time when the advertisement left", () => {
    const station = master();
    const leftUs = station.world.us + 1000;
    station.world.run(5000);
    station.handle({ kind: "advertised", interface: "carp0", vhid: 1, leftUs, left: [4] });
    assert.equal(station.leases.get("carp0/1"), leftUs + 3 * SECOND);
  });

  it("is no longer than the settings in the advertisement that left allow", () => {
    const station = master({ advbase: 1 });
    station.set("carp0", { advbase: 10 });
    const leftUs = station.world.us;
    station.handle({ kind: "advertised", interface: "carp0", vhid: 1, leftUs, left: [4] });
    assert.equal(station.leaseLeft(), 3 * SECOND);
    station.world.run(SECOND);
    assert.equal(station.leaseLeft(), 30 * SECOND);
  });

  it("limits the time until which advertisements and announcements may leave", () => {
    const station = master();
    const endUs = station.world.us + station.leaseLeft();
    station.world.run(SECOND - 1);
    station.take();
    const advertised = () => {
      station.world.run(1);
      return station.take();
    };
    const claims = [
      ...advertised(),
      ...station.hear(advertisement({ advskew: 100 })),
      ...station.set("carp0", { up: false }),
    ].filter((effect) => effect.kind === "advertise" || effect.kind === "announce");
    assert.deepEqual(
      claims.map(({ kind }) => kind),
      ["advertise", "advertise", "announce", "advertise"],
    );
    assert.deepEqual(
      claims.map(({ untilUs }) => untilUs),
      [endUs, ...claims.slice(1).map(() => endUs + SECOND)],
    );
  });

  it("is renewed by every advertisement that left", () => {
    const station = master();
    station.world.run(10 * SECOND);
    assert.equal(station.leaseLeft(), 3 * SECOND);
  });

  it("is not renewed by a failed send; when it expires, a full master-down time begins", () => {
    const station = master();
    station.world.run(SECOND / 2);
    station.sending = () => "ENOBUFS";
    station.take();
    station.world.run(2.4 * SECOND);
    assert.equal(station.state(), "MASTER");
    assert.equal(station.leaseLeft(), 0.1 * SECOND);
    station.world.run(0.2 * SECOND);
    assert.deepEqual(transitions(station.take()), ["MASTER -> BACKUP"]);
    assert.equal(station.devices.get("carp0")?.active, false);
    const { advskew, effectiveAdvskew } = station.node();
    assert.deepEqual([advskew, effectiveAdvskew], [0, 240]);
    assert.equal(station.dueIn("carp0/1/master-down"), 3 * intervalUs(1, 240) - 0.1 * SECOND + 1000);
  });

  it("is renewed when the advertisement left over one of two families", () => {
    const station = master({
      addAddresses: [
        { family: 4, address: "10.0.0.1", prefixLength: 24, alias: true },
        { family: 6, address: "2001:db8::1", prefixLength: 64, alias: true },
      ],
    });
    station.sending = ({ family }) => (family === 6 ? "EADDRNOTAVAIL" : undefined);
    station.world.run(10 * SECOND);
    assert.equal(station.state(), "MASTER");
    assert.equal(station.leaseLeft(), 3 * SECOND);
    assert.equal(station.host.statistics.sendFailed, 0);
  });

  const noticing: { title: string; notice: (station: Station) => void }[] = [
    {
      title: "its timer fires",
      notice: (station) =>
        station.handle({ kind: "timer", timer: { kind: "advertise", interface: "carp0", vhid: 1 } }),
    },
    { title: "a peer is heard", notice: (station) => station.hear(advertisement({ advskew: 200 })) },
    { title: "it is demoted", notice: (station) => station.sysctl("demotion", 10) },
    { title: "it is taken down", notice: (station) => station.set("carp0", { up: false }) },
    { title: "its vhid changes", notice: (station) => station.set("carp0", { vhid: 2 }) },
  ];
  for (const { title, notice } of noticing)
    it(`that expired while the engine was stopped ends MASTER before anything is sent: ${title}`, () => {
      const station = master();
      station.isStalled = true;
      station.world.run(3 * SECOND + 1);
      station.take();
      notice(station);
      const effects = station.take();
      assert.equal(transitions(effects)[0], "MASTER -> BACKUP");
      assert.deepEqual(said(effects), []);
      assert.equal(only(effects, "announce").length, 0);
    });

  it("is not renewed by an advertisement that left after it had expired", () => {
    const station = master();
    const leaves = () => {
      const leftUs = station.world.us;
      return station.handle({ kind: "advertised", interface: "carp0", vhid: 1, leftUs, left: [4] });
    };
    station.isStalled = true;
    station.world.run(3 * SECOND);
    assert.deepEqual(
      only(leaves(), "lease").map(({ untilUs }) => untilUs - station.world.us),
      [3 * SECOND],
    );
    station.world.run(3 * SECOND + 1);
    const tooLate = leaves();
    assert.deepEqual(transitions(tooLate), ["MASTER -> BACKUP"]);
    assert.deepEqual(
      only(tooLate, "lease").map(({ untilUs }) => untilUs),
      [0],
    );
  });

  it("holds for a MASTER whose timer fires late, but in time", () => {
    const station = master();
    station.isStalled = true;
    station.world.run(2.9 * SECOND);
    station.resume();
    station.world.run(0);
    assert.equal(station.state(), "MASTER");
    assert.equal(station.leaseLeft(), 3 * SECOND);
  });

  it("is taken away at once when the carpdev loses its carrier", () => {
    const station = master();
    station.link(link("eth0", { carrier: false }));
    assert.deepEqual([...station.leases], []);
  });
});

describe("the counter", () => {
  /** Asserts that the counter is the next one after `least` that ends in the host's tag. */
  const follows = (counter: bigint | undefined, least: bigint) =>
    assert.ok(
      counter !== undefined && counter > least && counter <= least + 256n,
      `${counter} after ${least}`,
    );

  it("is the system time, and still grows when the clock is set back", () => {
    const station = master();
    const heard: bigint[] = [];
    const listen = () => heard.push(...said(station.take()).map(({ counter }) => counter));
    station.world.run(3 * SECOND, listen);
    follows(heard.at(-1), BigInt(station.now.epochUs) - 1n);
    station.epochOffsetUs -= 86_400 * SECOND;
    station.world.run(3 * SECOND, listen);
    station.epochOffsetUs += 2 * 86_400 * SECOND;
    station.world.run(3 * SECOND, listen);
    assert.equal(heard.length, 9);
    assert.deepEqual(
      heard,
      heard.toSorted((a, b) => (a < b ? -1 : 1)),
    );
    assert.equal(new Set(heard).size, heard.length);
    assert.equal(station.host.counterFloor, heard.at(-1));
  });

  it("is greater than every counter that an earlier engine may have sent", () => {
    const counterFloor = 2n ** 62n;
    const station = backup({}, { counterFloor });
    const [first] = said(station.set("carp0", { state: "master" }));
    follows(first?.counter, counterFloor);
  });

  it("grows almost as fast as the clock while it is ahead, until the clock has caught up", () => {
    const station = backup({}, { counterFloor: 2n ** 62n });
    station.set("carp0", { state: "master" });
    station.world.run(10 * SECOND);
    const counters = said(station.take()).map(({ counter }) => counter);
    assert.equal(counters.length, 11);
    follows(counters[0], 2n ** 62n);
    const step = SECOND - Math.ceil(SECOND / 256);
    for (const [i, counter] of counters.entries()) follows(counter, 2n ** 62n + BigInt(i * step) - 1n);
  });

  it("is saved when it is far ahead of the clock and its virtual host was BACKUP for long", () => {
    const station = backup({ advbase: 254 }, { counterFloor: 2n ** 62n });
    station.world.run(500 * SECOND);
    const effects = station.set("carp0", { state: "master" });
    const [first] = said(effects);
    assert.ok(first !== undefined && first.counter > 2n ** 62n + BigInt(498 * SECOND));
    assert.equal(only(effects, "save").length, 1);
    assert.ok(station.host.greatestCounter(station.now) >= first.counter);
  });

  it("goes on over a change of address, vhid or carpdev", () => {
    const station = master();
    const floor = station.host.counterFloor;
    station.epochOffsetUs -= 86_400 * SECOND;
    const [bowOut, first] = said(station.set("carp0", { vhid: 9, state: "master" }));
    follows(bowOut?.counter, floor);
    follows(first?.counter, bowOut?.counter ?? 0n);
  });

  it("is saved when the clock has jumped, and at first", () => {
    const station = backup();
    const saves = () => only(station.take(), "save").length;
    station.set("carp0", { state: "master" });
    assert.equal(saves(), 1);
    station.world.run(100 * SECOND);
    assert.equal(saves(), 0);
    station.epochOffsetUs += 3_600 * SECOND;
    station.world.run(100 * SECOND);
    assert.equal(saves(), 1);
    const saved = station.host.greatestCounter(station.now);
    station.epochOffsetUs -= 2 * 3_600 * SECOND;
    station.world.run(100 * SECOND);
    assert.equal(saves(), 0);
    assert.ok(station.host.counterFloor <= saved + BigInt(100 * SECOND));
  });

  it("differs from another host's with the same clock", () => {
    const counters = ["10.0.0.2", "10.0.0.3", "10.0.0.4"].map((address) => {
      const links = [link("eth0", { addresses: [{ family: 4, address, prefixLength: 24 }] })];
      const station = backup({}, { links });
      const [first] = said(station.set("carp0", { state: "master" }));
      follows(first?.counter, BigInt(station.now.epochUs) - 1n);
      return first?.counter;
    });
    assert.equal(new Set(counters).size, 3);
  });
});
