/**
 * Advertisements that repeat others wait for the master-down timer: a host that folds them acts at every moment as one that
 * hears each at once.
 */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { Command } from "../../../src/core/command.ts";
import type { InterfaceChange } from "../../../src/core/interface/configuration.ts";
import { ipv4, ipv6, link, only, PLAIN, SECOND, Segment, Station, World } from "./driver.ts";
import { advertisement, bowOut, type Said } from "./peer.ts";

const SHARED = { addAddresses: [ipv4("10.0.0.1"), ipv6("2001:db8::1")] };

/** A master and two hosts beside it with the same settings: each hears what the master sends, one of them folded. */
class Trio {
  readonly world = new World();
  readonly segment = new Segment(this.world);
  readonly peer = this.#station(2);
  readonly host: Station;

  constructor(folds: boolean, change: InterfaceChange = {}) {
    this.host = this.#station(3, folds);
    this.peer.set("carp0", { ...PLAIN, ...SHARED });
    this.host.set("carp0", { ...PLAIN, ...SHARED, advskew: 100, ...change });
    this.world.run(10 * SECOND);
  }

  #station(number: number, folds = false): Station {
    const addresses = [
      { family: 4 as const, address: `10.0.0.${number}`, prefixLength: 24 },
      { family: 6 as const, address: `fe80::${number}`, prefixLength: 64 },
    ];
    const eth0 = link("eth0", { mac: `02:00:00:00:01:0${number}`, addresses });
    const station = new Station(this.world, { links: [eth0], epochOffsetUs: number, folds });
    this.segment.plug(station, "eth0");
    return station;
  }

  /** Frames that the host has handled one by one. */
  get handled(): number {
    return only(this.host.effects, "fold").length;
  }
}

const setting = fc.constantFrom<InterfaceChange>(
  { advskew: 0 },
  { advskew: 100 },
  { advskew: 240 },
  { advbase: 0 },
  { advbase: 1 },
  { advbase: 3 },
  { up: false },
  { up: true },
  { pass: "other" },
  { pass: "" },
  { addAddresses: [ipv4("10.0.0.7")] },
  { removeAddresses: ["10.0.0.7"] },
);

const writes = fc.constantFrom(
  ...[0, 1].map((value) => ({ name: "net.inet.carp.preempt", value })),
  ...[0, 2].map((value) => ({ name: "net.inet.carp.preempt_delay", value })),
  ...[0, 1].map((value) => ({ name: "net.inet.carp.signed_header", value })),
  ...[0, 1].map((value) => ({ name: "net.inet.carp.strict_replay", value })),
  ...[0, 1].map((value) => ({ name: "net.inet.carp.allow", value })),
  ...[-100, 100].map((value) => ({ name: "net.inet.carp.demotion", value })),
);

const command = fc.oneof(
  setting.map((change): Command => ({ kind: "change", name: "carp0", change })),
  writes.map((write): Command => ({ kind: "set-sysctl", writes: [write] })),
);

const said: fc.Arbitrary<Said> = fc.record({
  advskew: fc.constantFrom(0, 50, 200),
  demote: fc.constantFrom(0, 1),
  counter: fc.oneof(fc.constant(undefined as never), fc.bigInt({ min: 1n, max: 2n ** 60n })),
  pass: fc.constantFrom("", "", "wrong"),
  source: fc.constantFrom("10.0.0.2", "10.0.0.9", "fe80::2"),
  addresses: fc.constant(["10.0.0.1", "2001:db8::1"]),
});

type Step =
  | { readonly does: "pass"; readonly us: number }
  | { readonly does: "command"; readonly by: "peer" | "host"; readonly command: Command }
  | { readonly does: "hear"; readonly bytes: Uint8Array }
  /** Hears once more what the peer sent so many advertisements ago. */
  | { readonly does: "recording"; readonly ago: number }
  | { readonly does: "carrier"; readonly of: "peer" | "host"; readonly on: boolean }
  | { readonly does: "clock"; readonly byUs: number };

const who = fc.constantFrom("peer" as const, "host" as const);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: fc.nat(12 * SECOND).map((us): Step => ({ does: "pass", us })) },
  {
    weight: 5,
    arbitrary: fc.tuple(who, command).map(([by, each]): Step => ({ does: "command", by, command: each })),
  },
  { weight: 2, arbitrary: said.map((each): Step => ({ does: "hear", bytes: advertisement(each) })) },
  { weight: 1, arbitrary: said.map((each): Step => ({ does: "hear", bytes: bowOut(each) })) },
  { weight: 2, arbitrary: fc.nat(20).map((ago): Step => ({ does: "recording", ago })) },
  {
    weight: 2,
    arbitrary: fc.tuple(who, fc.boolean()).map(([of, on]): Step => ({ does: "carrier", of, on })),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom(-60 * SECOND, 60 * SECOND).map((byUs): Step => ({ does: "clock", byUs })),
  },
);

function take({ world, peer, host }: Trio, what: Step): void {
  switch (what.does) {
    case "pass":
      world.run(what.us);
      break;
    case "command": {
      const by = what.by === "peer" ? peer : host;
      by.catchUp();
      by.command(what.command);
      break;
    }
    case "hear":
      host.receive("eth0", what.bytes);
      break;
    case "recording": {
      const frames = only(peer.effects, "advertise").flatMap(({ transmissions }) =>
        transmissions.flatMap((each) => ("frame" in each ? [each.frame] : [])),
      );
      const frame = frames.at(-1 - what.ago);
      if (frame !== undefined) host.receive("eth0", frame);
      break;
    }
    case "carrier": {
      const of = what.of === "peer" ? peer : host;
      of.catchUp();
      const eth0 = of.links.get("eth0");
      if (eth0 !== undefined) of.link({ ...eth0, carrier: what.on });
      break;
    }
    case "clock":
      host.epochOffsetUs += what.byUs;
      break;
  }
}

/** The state of both hosts, and since when. */
function states({ peer, host }: Trio) {
  return [peer, host].map((station) => {
    const { state, sinceUs, transitions } = station.node();
    return { state, sinceUs, transitions };
  });
}

/** Silent peers and what is discarded are told of with what is heard next, which is later where that waits. */
function views({ world, host }: Trio) {
  return host.host.interfaces().map((view) => ({
    ...view,
    discarded: view.discarded.map((packet) => ({ ...packet, atUs: 0 })),
    nodes: view.nodes.map((node) => ({
      ...node,
      peers: node.peers
        .filter(({ atUs }) => world.us - atUs < 3 * SECOND)
        .map(({ source, atUs }) => ({ source, atUs }))
        // Their order is that of their first advertisements, which over both families arrive at one time here.
        .toSorted((one, other) => one.source.localeCompare(other.source)),
    })),
  }));
}

describe("a host whose wire folds", () => {
  it("handles a few of the advertisements of a healthy master, and knows of all when it is asked", () => {
    const { world, host, ...trio } = new Trio(true);
    const { nodes } = host.host.interface("carp0") ?? {};
    assert.equal(nodes?.[0]?.state, "BACKUP");
    host.catchUp();
    const before = { ...host.host.statistics };
    host.take();
    world.run(300 * SECOND);
    assert.equal(only(host.effects, "fold").length, 0);
    assert.equal(only(host.effects, "transition").length, 0);
    host.catchUp();
    const heard = host.node().heard;
    assert.ok(heard !== undefined && world.us - heard.atUs <= SECOND);
    assert.equal(host.host.statistics.receivedIpv4 - before.receivedIpv4, 300);
    assert.equal(host.host.statistics.receivedIpv6 - before.receivedIpv6, 300);
    assert.ok(trio.peer.state() === "MASTER");
    // None is missing.
    assert.deepEqual(
      host.node().peers.map(({ arrivals }) => arrivals),
      [undefined, undefined],
    );
  });

  it("preempts with the next advertisement when a setting has it preempt, and when its delay is over", () => {
    for (const delay of [0, 2]) {
      const { world, peer, host } = new Trio(true);
      peer.set("carp0", { advskew: 200 });
      host.sysctl("preempt_delay", delay);
      world.run(20 * SECOND);
      assert.equal(host.state(), "BACKUP");
      host.catchUp();
      host.sysctl("preempt", 1);
      world.run(2 * SECOND);
      assert.equal(host.state(), "MASTER");
      // It comes back to a slower master, which it leaves alone for the delay.
      host.set("carp0", { up: false });
      world.run(SECOND);
      host.set("carp0", { up: true });
      world.run((delay + 1.9) * SECOND);
      assert.equal(host.state(), "MASTER", `after a delay of ${delay} s`);
    }
  });

  it("concedes to a master that does not answer, and to none that does", () => {
    const others = { advskew: 2, source: "10.0.0.9", addresses: ["10.0.0.1", "2001:db8::1"] };
    const concessions = [1, 2].map((advertisements) => {
      const { world, peer, host } = new Trio(true);
      peer.set("carp0", { up: false });
      world.run(1.5 * SECOND);
      assert.equal(host.state(), "MASTER");
      host.take();
      for (let n = 0; n < advertisements; n++) host.receive("eth0", advertisement(others));
      world.run(SECOND);
      assert.equal(host.state(), "BACKUP");
      return only(host.take(), "advertise").filter(({ transmissions }) =>
        transmissions.some((each) => "payload" in each),
      ).length;
    });
    assert.deepEqual(concessions, [1, 0]);
  });

  it("refuses nothing of a master whose clock is set, over either family", () => {
    const { world, peer, host } = new Trio(true);
    // While some wait.
    world.run(3.5 * SECOND);
    peer.epochOffsetUs += 3600 * SECOND;
    world.run(10 * SECOND);
    host.catchUp();
    assert.equal(host.host.statistics.badAuthentication, 0);
  });

  it("takes over where counters over IPv4 made those over IPv6 too old", () => {
    const ends = [false, true].map((folds) => {
      const trio = new Trio(folds);
      trio.host.catchUp();
      trio.host.sysctl("strict_replay", 1);
      trio.world.run(8.2 * SECOND);
      const ahead = BigInt(trio.peer.now.epochUs + 10.3 * SECOND);
      const said = { source: "10.0.0.2", addresses: ["10.0.0.1", "2001:db8::1"], counter: ahead };
      trio.host.receive("eth0", advertisement(said));
      trio.world.run(4.5 * SECOND);
      return states(trio);
    });
    assert.equal(ends[0]?.[1]?.transitions, 3);
    assert.deepEqual(ends[1], ends[0]);
  });

  it("takes over when it would have without, whatever happens", () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 25 }), (steps) => {
        const [plain, folding] = [new Trio(false), new Trio(true)];
        for (const each of steps) {
          for (const trio of [plain, folding]) take(trio, each);
          assert.deepEqual(states(folding), states(plain));
          assert.equal(folding.host.leaseLeft(), plain.host.leaseLeft());
        }
        for (const { world, host } of [plain, folding]) {
          world.run(7 * SECOND);
          host.catchUp();
        }
        assert.deepEqual(views(folding), views(plain));
        assert.deepEqual(folding.host.host.statistics, plain.host.host.statistics);
        assert.deepEqual(folding.host.host.configuration, plain.host.host.configuration);
      }),
      { numRuns: 300 },
    );
  });
});
