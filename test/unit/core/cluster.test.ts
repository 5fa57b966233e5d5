/** Two and three hosts on one segment: which one becomes MASTER, and that two are never MASTER for long. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { InterfaceChange } from "../../../src/core/interface/configuration.ts";
import { ipv4, ipv6, link, only, PLAIN, SECOND, Segment, Station, World } from "./driver.ts";

interface Cluster {
  readonly world: World;
  readonly segment: Segment;
  readonly stations: readonly Station[];
}

/** Hosts 10.0.0.2, 10.0.0.3, ... on one segment, each with a carp0 of these settings. */
function cluster(...changes: readonly InterfaceChange[]): Cluster {
  const world = new World();
  const segment = new Segment(world);
  const stations = changes.map((change, i) => {
    const addresses = [
      { family: 4 as const, address: `10.0.0.${i + 2}`, prefixLength: 24 },
      { family: 6 as const, address: `fe80::${i + 2}`, prefixLength: 64 },
    ];
    const station = new Station(world, { links: [link("eth0", { mac: `02:00:00:00:01:0${i}`, addresses })] });
    segment.plug(station, "eth0");
    station.set("carp0", { ...PLAIN, ...change });
    return station;
  });
  return { world, segment, stations };
}

function states({ stations }: Cluster, vhid = 1): string {
  return stations.map((station) => station.state(vhid)[0]).join("");
}

function transitionCount({ stations }: Cluster): number {
  return stations.reduce((sum, { effects }) => sum + only(effects, "transition").length, 0);
}

/** Lets time pass, and asserts that two leases never overlap longer than an advertisement takes to arrive. */
function runWithoutOverlap(
  { world, segment, stations }: Cluster,
  forUs: number,
  toleratedUs = segment.delayUs,
) {
  let since: number | undefined;
  world.run(forUs, () => {
    const holders = stations.filter((station) => station.leaseLeft() > 0).length;
    if (holders < 2) since = undefined;
    else since ??= world.us;
    if (since !== undefined) assert.ok(world.us - since <= toleratedUs, "two hosts held the lease");
  });
}

describe("hosts that start together", () => {
  it("settle on the one that advertises most often", () => {
    const all = cluster({ advskew: 100 }, { advskew: 0 }, { advskew: 50 });
    all.world.run(20 * SECOND);
    assert.equal(states(all), "BMB");
  });

  it("settle on one within an interval when they are equal, and change no more", () => {
    // Without delay the others hear the first one before their master-down time is over.
    for (const delayUs of [0, 100, 50_000]) {
      const all = cluster({}, {}, {});
      all.segment.delayUs = delayUs;
      all.world.run(3 * SECOND + SECOND);
      assert.equal(states(all), "MBB");
      const settled = transitionCount(all);
      all.world.run(600 * SECOND);
      assert.equal(transitionCount(all), settled);
      assert.equal(states(all), "MBB");
    }
  });

  it("settle when they share over both families, or IPv6 alone, or have no addresses of their own", () => {
    const dual = { addAddresses: [ipv4("10.0.0.1"), ipv6("2001:db8::1")] };
    const onlyIpv6 = { addAddresses: [ipv6("2001:db8::1")] };
    for (const change of [dual, onlyIpv6]) {
      const all = cluster(change, change);
      all.world.run(10 * SECOND);
      assert.equal(states(all), "MB");
    }
    const anonymous = cluster({ up: false }, { up: false });
    for (const station of anonymous.stations) {
      station.link(link("eth0", { addresses: [] }));
      station.set("carp0", { up: true });
    }
    anonymous.world.run(10 * SECOND);
    assert.match(states(anonymous), /^(BM|MB)$/);
    const settled = transitionCount(anonymous);
    anonymous.world.run(100 * SECOND);
    assert.equal(transitionCount(anonymous), settled);
  });

  it("settle on exactly one, for random settings and delays", () => {
    const settings = fc.record({
      advbase: fc.constantFrom(0, 1, 1, 2),
      advskew: fc.constantFrom(0, 0, 1, 100, 254),
    });
    const drawn = fc.record({
      hosts: fc.array(settings, { minLength: 2, maxLength: 3 }),
      preempt: fc.boolean(),
      delayUs: fc.integer({ min: 0, max: 1000 }),
    });
    fc.assert(
      fc.property(drawn, ({ hosts, preempt, delayUs }) => {
        // A BACKUP takes over from a master slower than three times its advbase: such hosts never settle.
        fc.pre(new Set(hosts.map(({ advbase }) => advbase)).size === 1);
        const all = cluster(...hosts);
        all.segment.delayUs = delayUs;
        for (const station of all.stations) station.sysctl("preempt", preempt ? 1 : 0);
        all.world.run(20 * SECOND);
        assert.equal(all.stations.filter((station) => station.state() === "MASTER").length, 1);
        const settled = transitionCount(all);
        all.world.run(20 * SECOND);
        assert.equal(transitionCount(all), settled);
      }),
      { numRuns: 60 },
    );
  });
});

describe("a failover", () => {
  function pair(...changes: InterfaceChange[]): Cluster {
    const all = cluster(...(changes.length > 0 ? changes : [{ advskew: 0 }, { advskew: 100 }]));
    all.world.run(10 * SECOND);
    assert.equal(states(all), "MB");
    return all;
  }

  it("by bow-out takes as long as a frame, and the address has a lease all the time", () => {
    for (const way of ["down", "destroy"] as const) {
      const all = pair();
      const [first, second] = all.stations;
      assert.ok(first && second);
      if (way === "down") first.set("carp0", { up: false });
      else first.does({ kind: "destroy", name: "carp0" });
      assert.ok(first.leaseLeft() > 0);
      all.world.run(all.segment.delayUs);
      assert.equal(second.state(), "MASTER");
      all.world.run(all.segment.delayUs);
      assert.equal(first.host.isLeaving("carp0"), false);
      assert.equal(first.leaseLeft(), 0);
    }
  });

  it("by bow-out goes to the less demoted of two successors", () => {
    const all = cluster({ advskew: 0 }, { advskew: 100 }, { advskew: 100 });
    all.world.run(10 * SECOND);
    const [first, second] = all.stations;
    second?.does({ kind: "demote-group", group: "carp", by: 1 });
    first?.set("carp0", { up: false });
    all.world.run(SECOND);
    assert.equal(states(all), "IBM");
  });

  it("by bow-out over both families to a demoted successor is one failover", () => {
    const dual = { addAddresses: [ipv4("10.0.0.1"), ipv6("2001:db8::1")] };
    const all = pair({ ...dual, advskew: 0 }, { ...dual, advskew: 100 });
    const [first, second] = all.stations;
    second?.sysctl("demotion", 20);
    first?.set("carp0", { up: false });
    all.world.run(SECOND / 2);
    assert.equal(states(all), "IM");
  });

  it("by a lost carrier takes the master-down time, and only preemption undoes it", () => {
    for (const [preempt, after] of [
      [0, "BM"],
      [1, "MB"],
    ] as const) {
      const all = pair();
      for (const station of all.stations) station.sysctl("preempt", preempt);
      const [first] = all.stations;
      assert.ok(first);
      const eth0 = first.links.get("eth0");
      assert.ok(eth0);
      first.link({ ...eth0, carrier: false });
      all.world.run(3 * SECOND);
      assert.equal(states(all), "IB");
      all.world.run(2 * SECOND);
      assert.equal(states(all), "IM");
      first.link(eth0);
      all.world.run(10 * SECOND);
      assert.equal(states(all), after);
    }
  });

  it("by demotion takes as long as a frame, with preempt off", () => {
    const all = pair();
    all.stations[0]?.sysctl("demotion", 1);
    all.world.run(2 * all.segment.delayUs);
    assert.equal(states(all), "BM");
  });

  it("by a stopped engine leaves no moment with two leases", () => {
    const all = pair();
    const [first] = all.stations;
    assert.ok(first);
    first.isStalled = true;
    runWithoutOverlap(all, 20 * SECOND);
    assert.equal(all.stations[1]?.state(), "MASTER");
    first.resume();
    runWithoutOverlap(all, 20 * SECOND);
    // The host that is back advertises more often, but does not preempt.
    assert.equal(states(all), "BM");
  });

  it("by sends that fail leaves no moment with two leases", () => {
    const all = pair();
    const [first] = all.stations;
    assert.ok(first);
    first.sending = () => "ENOBUFS";
    runWithoutOverlap(all, 10 * SECOND);
    assert.equal(states(all), "BM");
    first.sending = () => undefined;
    runWithoutOverlap(all, 30 * SECOND);
    assert.equal(states(all), "BM");
  });
});

describe("a partition", () => {
  it("of equals has a MASTER on each side; when it heals, one is left within an interval", () => {
    const all = cluster({}, {});
    all.segment.passes = () => false;
    all.world.run(10 * SECOND);
    assert.equal(states(all), "MM");
    all.segment.passes = () => true;
    all.world.run(SECOND + all.segment.delayUs);
    assert.equal(states(all), "MB");
    const settled = transitionCount(all);
    all.world.run(60 * SECOND);
    assert.equal(transitionCount(all), settled);
  });

  it("that heals leaves the MASTER that advertises more often, from its next advertisement", () => {
    const all = cluster({ advskew: 0 }, { advskew: 200 });
    all.segment.passes = () => false;
    all.world.run(10 * SECOND);
    all.segment.passes = () => true;
    all.world.run(SECOND + all.segment.delayUs);
    assert.equal(states(all), "MB");
  });

  it("of three that heals leaves one MASTER, over both families", () => {
    const dual = { addAddresses: [ipv4("10.0.0.1"), ipv6("2001:db8::1")] };
    const all = cluster(dual, dual, dual);
    all.segment.passes = () => false;
    all.world.run(10 * SECOND);
    assert.equal(states(all), "MMM");
    all.segment.passes = () => true;
    all.world.run(SECOND + all.segment.delayUs);
    assert.equal(states(all), "MBB");
  });

  it("in one direction makes the host that hears BACKUP and the other one MASTER", () => {
    const all = cluster({ advskew: 100 }, { advskew: 0 });
    all.world.run(10 * SECOND);
    const [first, second] = all.stations;
    all.segment.passes = (from, to) => !(from === first && to === second);
    all.world.run(20 * SECOND);
    assert.equal(states(all), "BM");
    // A preferred host stays MASTER although it hears nothing of the other one.
    const deaf = cluster({ advskew: 0 }, { advskew: 100 });
    deaf.world.run(10 * SECOND);
    const [master, slow] = deaf.stations;
    deaf.segment.passes = (from, to) => !(from === slow && to === master);
    deaf.world.run(20 * SECOND);
    assert.equal(states(deaf), "MB");
  });

  it("that loses every other frame causes no transition", () => {
    const all = cluster({ advskew: 0 }, { advskew: 100 });
    all.world.run(10 * SECOND);
    const settled = transitionCount(all);
    let carried = 0;
    all.segment.passes = () => ++carried % 2 === 0;
    all.world.run(60 * SECOND);
    assert.equal(transitionCount(all), settled);
  });
});

describe("virtual hosts side by side", () => {
  it("are elected by their advskews, and fail over together with their host", () => {
    const nodes = (...advskews: number[]) => advskews.map((advskew, i) => ({ vhid: i + 1, advskew }));
    const balancedBy = (...advskews: number[]) => ({ vhid: undefined, carpnodes: nodes(...advskews) });
    const all = cluster(balancedBy(0, 100), balancedBy(100, 0));
    all.world.run(10 * SECOND);
    assert.deepEqual([states(all, 1), states(all, 2)], ["MB", "BM"]);
    all.stations[0]?.set("carp0", { up: false });
    all.world.run(SECOND);
    assert.deepEqual([states(all, 1), states(all, 2)], ["IM", "IM"]);
  });

  it("with unicast peers are elected as with multicast", () => {
    const all = cluster({ carppeer: ["10.0.0.3"] }, { carppeer: ["10.0.0.2"] });
    all.world.run(10 * SECOND);
    assert.equal(states(all), "MB");
  });
});
