/** Random events and commands in random order: the invariants of a host. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { Command } from "../../../src/core/command.ts";
import type { Effect } from "../../../src/core/effect.ts";
import type { Timer } from "../../../src/core/event.ts";
import type { Family, Link } from "../../../src/core/model.ts";
import type { InterfaceView } from "../../../src/core/view.ts";
import { carpdev, command, interfaceName, vhid } from "./arbitraries.ts";
import { ipv4, ipv6, link, only, PLAIN, SECOND, Station, timerName, World } from "./driver.ts";
import { advertisement, type Said } from "./peer.ts";

type Step =
  | { readonly does: "pass"; readonly us: number }
  | { readonly does: "command"; readonly command: Command }
  | { readonly does: "hear"; readonly carpdev: string; readonly bytes: Uint8Array; readonly lateUs: number }
  | { readonly does: "link"; readonly link: Link }
  | { readonly does: "link-gone"; readonly name: string }
  | { readonly does: "timer"; readonly timer: Timer }
  | {
      readonly does: "advertised";
      readonly interface: string;
      readonly vhid: number;
      readonly left: Family[];
    }
  | { readonly does: "stall"; readonly us: number }
  | { readonly does: "sending"; readonly fails: boolean }
  | { readonly does: "clock"; readonly byUs: number };

const skew = fc.constantFrom(0, 1, 254, 255);

/**
 * Random advertisements; their digest is valid for an interface that shares these addresses with this pass.
 */
const saying: fc.Arbitrary<Said> = fc.record({
  vhid,
  advbase: fc.constantFrom(0, 1, 3, 255),
  advskew: skew,
  demote: fc.constantFrom(0, 1, 255),
  counter: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  pass: fc.constantFrom("", "", "secret"),
  source: fc.constantFrom("10.0.0.9", "10.0.0.1", "fe80::9"),
  addresses: fc.constantFrom(["10.0.0.1"], ["10.0.0.1", "2001:db8::1"], ["2001:db8::1"], []),
});

const frame = fc.oneof(
  { weight: 5, arbitrary: saying.map(advertisement) },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 90 }) },
  {
    weight: 2,
    arbitrary: fc
      .tuple(saying, fc.nat(69), fc.integer({ min: 1, max: 255 }), fc.nat(70))
      .map(([said, at, mask, length]) => {
        const bytes = advertisement(said);
        bytes[at] = (bytes[at] ?? 0) ^ mask;
        return bytes.subarray(0, length);
      }),
  },
);

const timer: fc.Arbitrary<Timer> = fc.oneof(
  fc.record({
    kind: fc.constantFrom("advertise", "master-down", "leave"),
    interface: fc.oneof(interfaceName, fc.constant("carp9")),
    vhid,
  }),
  fc.constant({ kind: "retry" }),
);

const links = fc.record({
  name: fc.constantFrom("eth0", "eth1"),
  up: fc.boolean(),
  carrier: fc.boolean(),
  index: fc.integer({ min: 2, max: 3 }),
  own: fc.boolean(),
});

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: fc.nat(5 * SECOND).map((us): Step => ({ does: "pass", us })) },
  { weight: 6, arbitrary: command.map((each): Step => ({ does: "command", command: each })) },
  {
    weight: 4,
    arbitrary: fc
      .tuple(carpdev, frame, fc.constantFrom(0, 0, 1000, 5 * SECOND))
      .map(([name, bytes, lateUs]): Step => ({ does: "hear", carpdev: name, bytes, lateUs })),
  },
  {
    weight: 2,
    arbitrary: links.map(({ name, own, ...changes }): Step => {
      const addresses = own ? link(name).addresses : [];
      return { does: "link", link: link(name, { ...changes, addresses }) };
    }),
  },
  { weight: 1, arbitrary: carpdev.map((name): Step => ({ does: "link-gone", name })) },
  { weight: 2, arbitrary: timer.map((each): Step => ({ does: "timer", timer: each })) },
  {
    weight: 1,
    arbitrary: fc
      .tuple(interfaceName, vhid, fc.constantFrom<Family[]>([], [4], [4, 6]))
      .map(([name, of, left]): Step => ({ does: "advertised", interface: name, vhid: of, left })),
  },
  { weight: 1, arbitrary: fc.nat(20 * SECOND).map((us): Step => ({ does: "stall", us })) },
  { weight: 1, arbitrary: fc.boolean().map((fails): Step => ({ does: "sending", fails })) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(-3600 * SECOND, 3600 * SECOND).map((byUs): Step => ({ does: "clock", byUs })),
  },
);

/** Commands that make interfaces run, which random commands alone seldom do. */
const beginning = fc.subarray<Step>([
  { does: "command", command: { kind: "change", name: "carp0", change: PLAIN } },
  {
    does: "command",
    command: {
      kind: "change",
      name: "carp1",
      change: {
        carpdev: "eth1",
        carpnodes: [1, 2, 3].map((each) => ({ vhid: each, advskew: each })),
        addAddresses: [ipv6("2001:db8::1")],
      },
    },
  },
  { does: "pass", us: 5 * SECOND },
]);

function take(station: Station, what: Step): void {
  switch (what.does) {
    case "pass":
      station.world.run(what.us);
      break;
    case "command":
      station.command(what.command);
      break;
    case "hear":
      station.hear(what.bytes, station.world.us - what.lateUs, what.carpdev);
      break;
    case "link":
      station.link(what.link);
      break;
    case "link-gone":
      station.linkGone(what.name);
      break;
    case "timer":
      station.handle({ kind: "timer", timer: what.timer });
      break;
    case "advertised": {
      const { interface: name, vhid: of, left } = what;
      const leftUs = station.world.us;
      station.handle({ kind: "advertised", interface: name, vhid: of, leftUs, left });
      break;
    }
    case "stall":
      station.isStalled = true;
      station.world.run(what.us);
      station.resume();
      break;
    case "sending":
      station.sending = () => (what.fails ? "ENOBUFS" : undefined);
      break;
    case "clock":
      station.epochOffsetUs += what.byUs;
      break;
  }
}

/** Follows each virtual host through the effects, and checks the invariants. */
class Observer {
  readonly #states = new Map<string, string>();
  #counter = -1n;

  follow(station: Station, effects: readonly Effect[]): void {
    for (const effect of effects) {
      if (effect.kind === "transition") {
        const of = `${effect.interface}/${effect.vhid}`;
        assert.equal(effect.from, this.#states.get(of) ?? "INIT", `${of} came from another state`);
        assert.notEqual(effect.from, effect.to);
        this.#states.set(of, effect.to);
      }
      if (effect.kind === "lease" && effect.untilUs !== 0)
        assert.equal(this.#states.get(`${effect.interface}/${effect.vhid}`), "MASTER");
      if (effect.kind === "advertise") assert.notEqual(effect.transmissions.length, 0);
    }
    assert.ok(station.host.counterFloor >= this.#counter);
    this.#counter = station.host.counterFloor;
    this.#check(station);
  }

  #check(station: Station): void {
    const expected = new Set<string>();
    const wanted = new Set<string>();
    for (const view of station.host.interfaces()) {
      const { name, nodes, carpdev: on } = view;
      const isLeaving = station.host.isLeaving(name);
      if (view.grace !== undefined) expected.add(`${name}/grace`);
      if ((view.up || isLeaving) && on !== undefined && station.links.has(on)) wanted.add(on);
      for (const { vhid: number, state } of nodes) {
        const of = `${name}/${number}`;
        assert.equal(this.#states.get(of) ?? "INIT", state, `${of} changed without a transition`);
        if (state === "BACKUP") expected.add(`${of}/master-down`);
        const leaves = isLeaving || station.host.givesWay(name, number);
        if (state === "MASTER") expected.add(`${of}/${leaves ? "leave" : "advertise"}`);
        const announce = `${of}/announce`;
        // A takeover from a master that was heard is announced once more soon.
        const isArmed = [...station.timers.keys()].some((timer) => timerName(timer) === announce);
        if (state === "MASTER" && !leaves && (isArmed || announces(view, station))) expected.add(announce);
        if (state !== "MASTER") assert.equal(station.leases.has(of), false, `${of} is ${state} with a lease`);
      }
      const device = station.devices.get(name);
      if (device !== undefined) assert.equal(device.active, view.status === "master", `device of ${name}`);
      else assert.notEqual(view.status, "master");
    }
    assert.deepEqual(new Set([...station.timers.keys()].map(timerName)), expected);
    assert.deepEqual(new Set(station.listening.keys()), wanted);
    for (const name of station.devices.keys())
      assert.ok(
        station.host.interfaces().some((view) => view.name === name),
        `the device of ${name} has outlived its interface`,
      );
    for (const [of] of station.leases) assert.equal(this.#states.get(of), "MASTER", `lease of ${of}`);
  }
}

/** Whether a MASTER repeats its announcements: as configured, otherwise with unicast peers or the carpdev's MAC. */
function announces(view: InterfaceView, { links }: Station): boolean {
  const { announce, balancing, carpdev = "", carppeer, carppeer6, lladdr } = view;
  const isTaught =
    [carppeer, carppeer6].every((each) => each === undefined) && lladdr !== links.get(carpdev)?.mac;
  return balancing === "none" && (announce ?? (isTaught ? 0 : 60)) > 0;
}

describe("random events in random order", () => {
  it("keep a host's timers, leases, devices and states consistent, and nothing throws", () => {
    const seen = { steps: 0, masters: 0, leaving: 0 };
    fc.assert(
      fc.property(beginning, fc.array(step, { minLength: 5, maxLength: 60, size: "max" }), (first, steps) => {
        const station = new Station(new World(), { links: [link("eth0"), link("eth1")] });
        const observer = new Observer();
        for (const each of [...first, ...steps]) {
          take(station, each);
          const effects = station.take();
          seen.steps++;
          seen.masters += only(effects, "lease").length;
          seen.leaving += only(effects, "left").length;
          observer.follow(station, effects);
        }
        station.shutdown();
        station.world.run(SECOND);
        observer.follow(station, station.take());
        assert.deepEqual([...station.timers], []);
        assert.deepEqual([...station.leases], []);
        assert.deepEqual([...station.devices], []);
        assert.deepEqual([...station.listening], []);
        assert.deepEqual(station.host.interfaces(), []);
        const faults = station.host.configuration.sysctl.find(
          ({ name }) => name === "net.inet.carp.demotion",
        );
        assert.equal(station.host.sysctl("net.inet.carp.demotion")[0]?.value, faults?.value);
      }),
      { numRuns: 600 },
    );
    assert.ok(seen.masters > 500 && seen.leaving > 40, JSON.stringify(seen));
  });

  it("include frames without a valid digest, which change nothing but statistics and news", () => {
    const tampered = fc
      .tuple(saying, fc.integer({ min: 34, max: 69 }), fc.integer({ min: 1, max: 255 }))
      .map(([said, at, mask]) => {
        const bytes = advertisement({ ...said, pass: "guessed" });
        bytes[at] = (bytes[at] ?? 0) ^ mask;
        return bytes;
      });
    fc.assert(
      fc.property(fc.oneof(tampered, fc.uint8Array({ maxLength: 90 })), fc.boolean(), (bytes, isMaster) => {
        const station = new Station(new World());
        station.set("carp0", { carpdev: "eth0", vhid: 1, addAddresses: [] });
        station.set("carp0", {
          addAddresses: [ipv4("10.0.0.1")],
          state: isMaster ? "master" : undefined,
        });
        station.take();
        const shown = () => station.host.interfaces().map(({ discarded: _, ...others }) => others);
        const before = JSON.stringify(shown());
        assert.deepEqual(
          station.hear(bytes).filter(({ kind }) => kind !== "discarded"),
          [],
        );
        assert.equal(JSON.stringify(shown()), before);
      }),
      { numRuns: 500 },
    );
  });
});
