/** Advertisements that a quiet MASTER makes ahead: when, what calls them back, and that nothing else is different for it. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Micros } from "../../../src/core/model.ts";
import { backup, ipv4, ipv6, link, only, PLAIN, SECOND, Segment, Station } from "./driver.ts";
import { advertisement, read, type Said } from "./peer.ts";

const AHEAD = { sendsAhead: true };
const BOTH = { addAddresses: [ipv4("10.0.0.1"), ipv6("2001:db8::1")] };

interface Left {
  readonly atUs: Micros;
  readonly family: number;
  readonly counter: bigint;
  readonly advskew: number;
  readonly demote: number;
  readonly trafficClass: number;
}

/** Notes every advertisement that leaves. */
function listenTo(station: Station): Left[] {
  const left: Left[] = [];
  const send = station.sending;
  station.sending = (transmission) => {
    const failure = send(transmission);
    if (failure !== undefined || !("frame" in transmission) || transmission.frame.length < 70) return failure;
    const { counter, advskew, demote } = read(transmission);
    const trafficClass = transmission.family === 4 ? (transmission.frame[15] ?? 0) : 0;
    const { family } = transmission;
    left.push({ atUs: station.world.us, family, counter, advskew, demote, trafficClass });
    return undefined;
  };
  return left;
}

/** A MASTER that has made its next advertisements ahead. */
function quiet(change: Parameters<typeof backup>[0] = {}, options = {}): Station {
  const station = backup(change, { ...AHEAD, ...options });
  station.set("carp0", { state: "master" });
  station.world.run(5 * SECOND);
  assert.ok(madeAhead(station) > 0, "none is made ahead");
  return station;
}

const madeAhead = (station: Station) => only(station.take(), "advertise-ahead").length;

describe("a MASTER that nothing happens to", () => {
  it("advertises every second, wakes up once in ten, and never lacks its lease", () => {
    const station = quiet();
    const left = listenTo(station);
    let timers = 0;
    const handle = station.host.handle.bind(station.host);
    station.host.handle = (event, now) => {
      timers += event.kind === "timer" ? 1 : 0;
      return handle(event, now);
    };
    const fromUs = station.world.us;
    station.world.run(100 * SECOND, () => assert.ok(station.leaseLeft() > SECOND));
    assert.equal(left.length, 100);
    for (const [n, { atUs }] of left.entries())
      assert.ok(Math.abs(atUs - fromUs - (n + 1) * SECOND) < SECOND, `the ${n}th`);
    for (const [n, { atUs }] of left.entries())
      if (n > 0) assert.equal(atUs - (left[n - 1]?.atUs ?? 0), SECOND);
    assert.ok(timers <= 11, `${timers} timers`);
    assert.equal(station.state(), "MASTER");
  });

  it("has the counters and the statistics that it would have without", () => {
    const [one, other] = [AHEAD, {}].map((options) => {
      const station = backup(BOTH, options);
      station.set("carp0", { state: "master" });
      const left = listenTo(station);
      station.world.run(60 * SECOND);
      station.host.settle(station.now);
      return { left, statistics: station.host.statistics, of: station.host.statisticsOf("carp0") };
    });
    assert.ok((one?.left.length ?? 0) > 100);
    assert.deepEqual(one, other);
  });

  it("advertises with each quick interval for more than 60 ms ahead", () => {
    for (const advskew of [0, 1, 20]) {
      const station = quiet({ advbase: 0, advskew });
      const left = listenTo(station);
      const intervalUs = (SECOND / 256) * Math.max(advskew, 1);
      station.world.run(2 * SECOND, () => assert.ok(station.leaseLeft() > 0));
      assert.ok(Math.abs(left.length - (2 * SECOND) / intervalUs) <= 1, `${left.length} with ${advskew}`);
    }
  });
});

describe("what was made ahead", () => {
  const changes: {
    what: string;
    change: (station: Station) => void;
    expected: Partial<Left>;
    pass?: string;
  }[] = [
    { what: "advskew", change: (on) => on.set("carp0", { advskew: 5 }), expected: { advskew: 5 } },
    {
      what: "a demotion",
      change: (on) => on.does({ kind: "demote-group", group: "carp", by: 3 }),
      expected: { demote: 3 },
    },
    { what: "dscp", change: (on) => on.sysctl("dscp", 8), expected: { trafficClass: 32 } },
    { what: "signed_header", change: (on) => on.sysctl("signed_header", 1), expected: {} },
  ];
  for (const { what, change, expected } of changes)
    it(`is made anew after a change of ${what}`, () => {
      const station = quiet();
      change(station);
      assert.equal(only(station.take(), "recall").length, 1);
      const left = listenTo(station);
      station.world.run(20 * SECOND);
      assert.ok(left.length >= 19);
      for (const each of left)
        for (const [name, value] of Object.entries(expected)) assert.equal(each[name as keyof Left], value);
      assert.ok(madeAhead(station) > 0);
      for (const [n, { counter }] of left.entries())
        if (n > 0) assert.ok(counter > (left[n - 1]?.counter ?? 0n));
    });

  const disturbances: Readonly<Record<string, Said>> = {
    "a master that has to give way": { advskew: 50 },
    "a recording": { advskew: 50, counter: 1n },
  };
  for (const [what, heard] of Object.entries(disturbances))
    it(`is called back by ${what}, and made again when that is over`, () => {
      const station = quiet();
      station.hear(advertisement(heard));
      assert.equal(only(station.take(), "recall").length, 1);
      const left = listenTo(station);
      station.world.run(20 * SECOND);
      assert.ok(left.length >= 19 && madeAhead(station) > 0);
      assert.equal(station.state(), "MASTER");
    });

  it("stays where a forged packet, an announcement or a save happens", () => {
    const station = quiet({ announce: 5 });
    station.hear(advertisement({ pass: "wrong" }));
    station.handle({ kind: "performed", part: { kind: "saved-state" }, errors: [] });
    station.handle({ kind: "forwarding", ipv6: true });
    station.world.run(4 * SECOND);
    assert.equal(only(station.take(), "recall").length, 0);
  });

  it("does not leave a host that gives way, bows out or loses its carpdev", () => {
    const ends: readonly ((station: Station) => void)[] = [
      (station) =>
        station.hear(advertisement({ advbase: 1, demote: 0, counter: 10n ** 17n, source: "10.0.0.1" })),
      (station) => station.set("carp0", { up: false }),
      (station) => station.set("carp0", { state: "backup" }),
      (station) => station.does({ kind: "destroy", name: "carp0" }),
      (station) => station.link(link("eth0", { carrier: false })),
      (station) => station.linkGone("eth0"),
    ];
    for (const end of ends) {
      const station = quiet({ advskew: 100 });
      end(station);
      const left = listenTo(station);
      station.world.run(2 * SECOND);
      assert.deepEqual(left, [], String(end));
      assert.equal(station.leaseLeft(), 0, String(end));
    }
  });

  it("ends with the first one that fails, which is tried again at once and then as ever", () => {
    const station = quiet();
    let failing = true;
    station.sending = () => (failing ? "ENOBUFS" : undefined);
    station.world.run(1.5 * SECOND);
    assert.ok(only(station.take(), "send-failed").length >= 1);
    assert.equal(station.state(), "MASTER");
    failing = false;
    const left = listenTo(station);
    station.world.run(10 * SECOND);
    assert.ok(left.length >= 9 && madeAhead(station) > 0);
  });

  it("is lost with the lease of a host that stood still", () => {
    const station = quiet();
    station.isStalled = true;
    station.world.run(5 * SECOND);
    station.resume();
    const left = listenTo(station);
    station.fire();
    station.world.run(SECOND);
    assert.deepEqual([station.state(), left], ["BACKUP", []]);
  });

  it("leaves no counter behind that a later one is less than, whatever the clock does", () => {
    for (const byUs of [-3600 * SECOND, 3600 * SECOND])
      for (const afterUs of [0.3 * SECOND, 4.7 * SECOND]) {
        const station = quiet(BOTH);
        const left = listenTo(station);
        station.world.run(afterUs);
        station.epochOffsetUs += byUs;
        station.set("carp0", { advskew: 1 });
        // Of one only the first family leaves.
        const send = station.sending;
        let sends = 0;
        station.sending = (each) => (++sends === 26 ? "ENOBUFS" : send(each));
        station.world.run(30 * SECOND);
        for (const family of [4, 6]) {
          const counters = left.filter((each) => each.family === family).map(({ counter }) => counter);
          for (const [n, counter] of counters.entries())
            if (n > 0) assert.ok(counter > (counters[n - 1] ?? 0n), `${counter} after ${counters[n - 1]}`);
        }
      }
  });

  it("has no counter that an engine after a killed one could make again", () => {
    const station = quiet();
    const left = listenTo(station);
    for (let n = 0; n < 50; n++) {
      station.world.run(0.7 * SECOND);
      const greatest = station.host.greatestCounter(station.now);
      for (const { counter } of left) assert.ok(counter <= greatest + 256n, `${counter} > ${greatest}`);
    }
  });

  it("is not made where advertisements are more than frames to the group, nor beside other masters", () => {
    const unicast = backup({ carppeer: ["10.0.0.9"] }, AHEAD);
    unicast.set("carp0", { state: "master" });
    unicast.world.run(20 * SECOND);
    assert.equal(madeAhead(unicast), 0);
    const contested = quiet();
    for (let n = 0; n < 20; n++) {
      contested.hear(advertisement({ advskew: 50 }));
      contested.world.run(SECOND);
    }
    assert.equal(madeAhead(contested), 0);
  });

  it("is heard by a BACKUP that lets advertisements wait, and told of its end", () => {
    const station = quiet();
    const { world } = station;
    const segment = new Segment(world);
    const other = new Station(world, { ...AHEAD, folds: true });
    for (const each of [station, other]) segment.plug(each, "eth0");
    other.set("carp0", { ...PLAIN, advskew: 100 });
    world.run(60 * SECOND);
    assert.deepEqual([station.state(), other.state()], ["MASTER", "BACKUP"]);
    station.set("carp0", { up: false });
    world.run(SECOND);
    assert.equal(other.state(), "MASTER");
  });
});
