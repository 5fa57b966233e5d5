/** The election: the reaction of a virtual host to each kind of advertisement, and to silence. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Effect } from "../../../src/core/effect.ts";
import { backup, ipv6, logged, master, only, PLAIN, SECOND, Station, transitions, World } from "./driver.ts";
import { advertisement, bowOut, type Said, said } from "./peer.ts";

const TAKES_OVER = ["BACKUP -> MASTER"];
const GIVES_WAY = ["MASTER -> BACKUP"];
const STAYS: string[] = [];

interface Rule {
  readonly title: string;
  readonly own?: { readonly advbase?: number; readonly advskew?: number };
  readonly ownDemote?: number;
  readonly preempt?: boolean;
  readonly hears: Said;
  readonly becomes: string[];
}

/** Demotes by the group's count, so that advskew stays what it is. */
function prepare(station: Station, rule: Rule): void {
  if (rule.preempt) station.sysctl("preempt", 1);
  if (rule.ownDemote) station.does({ kind: "demote-group", group: "carp", by: rule.ownDemote });
  station.take();
}

describe("a BACKUP that hears an advertisement", () => {
  const rules: Rule[] = [
    { title: "leaves an equal master alone", hears: {}, becomes: STAYS },
    { title: "leaves an equal master alone with preempt on", preempt: true, hears: {}, becomes: STAYS },
    { title: "leaves a slower master alone with preempt off", hears: { advskew: 100 }, becomes: STAYS },
    { title: "preempts a slower master", preempt: true, hears: { advskew: 1 }, becomes: TAKES_OVER },
    {
      title: "leaves a quicker master alone with preempt on",
      own: { advskew: 100 },
      preempt: true,
      hears: { advskew: 99 },
      becomes: STAYS,
    },
    {
      title: "does not preempt a slower master that is less demoted",
      preempt: true,
      ownDemote: 2,
      hears: { advskew: 100, demote: 1 },
      becomes: STAYS,
    },
    {
      title: "preempts a slower master that is equally demoted",
      preempt: true,
      ownDemote: 2,
      hears: { advskew: 100, demote: 2 },
      becomes: TAKES_OVER,
    },
    {
      title: "takes over from a more demoted master with preempt off",
      hears: { demote: 1 },
      becomes: TAKES_OVER,
    },
    {
      title: "takes over from a more demoted master that advertises more often",
      own: { advskew: 200 },
      hears: { demote: 1 },
      becomes: TAKES_OVER,
    },
    {
      title: "leaves a less demoted master alone",
      ownDemote: 3,
      hears: { demote: 2, advskew: 100 },
      becomes: STAYS,
    },
    { title: "leaves a master of three times its advbase alone", hears: { advbase: 3 }, becomes: STAYS },
    {
      title: "takes over from a master slower than three times its advbase",
      hears: { advbase: 3, advskew: 1 },
      becomes: TAKES_OVER,
    },
    {
      title: "with advbase 0 takes no master for too slow",
      own: { advbase: 0, advskew: 10 },
      hears: { advbase: 3 },
      becomes: STAYS,
    },
    { title: "takes over after a bow-out", hears: { advbase: 255, advskew: 255 }, becomes: TAKES_OVER },
    {
      title: "takes over after a bow-out with a lower demote than its own",
      ownDemote: 5,
      hears: { advbase: 255, advskew: 255 },
      becomes: TAKES_OVER,
    },
    {
      title: "takes over after a bow-out even when three advbases are longer than its interval",
      own: { advbase: 200 },
      hears: { advbase: 255, advskew: 255 },
      becomes: TAKES_OVER,
    },
  ];
  for (const rule of rules)
    it(rule.title, () => {
      const station = backup(rule.own);
      prepare(station, rule);
      assert.deepEqual(transitions(station.hear(advertisement(rule.hears))), rule.becomes);
    });

  it("restarts its master-down time, from the time of receipt", () => {
    const station = backup();
    station.world.run(2 * SECOND);
    station.hear(advertisement(), station.world.us - 500_000);
    assert.equal(station.dueIn("carp0/1/master-down"), 2.5 * SECOND);
  });

  it("does not wait shorter after an advertisement that was received before it was BACKUP", () => {
    const station = backup();
    station.hear(advertisement(), station.world.us - 2 * SECOND);
    assert.equal(station.dueIn("carp0/1/master-down"), 3 * SECOND);
  });

  it("takes over after three of its own intervals without an advertisement, and not before", () => {
    const station = backup({ advskew: 128 });
    station.world.run(4.5 * SECOND - 1);
    assert.equal(station.state(), "BACKUP");
    station.world.run(1);
    assert.equal(station.state(), "MASTER");
  });

  it("does not take over as long as a master is heard", () => {
    const station = backup();
    for (let i = 0; i < 20; i++) {
      station.world.run(2.9 * SECOND);
      station.hear(advertisement());
    }
    assert.deepEqual(transitions(station.effects), []);
  });
});

describe("a bow-out over both families", () => {
  const addresses = ["10.0.0.1", "2001:db8::1"];
  const over = { 4: "10.0.0.9", 6: "fe80::9" } as const;
  const leaves = (family: 4 | 6) => bowOut({ addresses, counter: 77n, source: over[family] });

  function outdone(first: 4 | 6): Station {
    const station = backup({
      addAddresses: [...(PLAIN.addAddresses ?? []), ipv6("2001:db8::1")],
      advskew: 100,
    });
    station.hear(leaves(first));
    assert.equal(station.state(), "MASTER");
    station.hear(advertisement({ addresses, source: "10.0.0.8" }));
    assert.equal(station.state(), "BACKUP");
    return station;
  }

  for (const [first, second] of [
    [4, 6],
    [6, 4],
  ] as const)
    it(`counts once: the copy over IPv${second} takes nothing from the next master`, () => {
      const station = outdone(first);
      station.hear(leaves(second));
      assert.equal(station.state(), "BACKUP");
    });

  it("counts again later, also with the same counter, as OpenBSD always has", () => {
    const station = outdone(4);
    station.world.run(SECOND);
    station.hear(leaves(6));
    assert.equal(station.state(), "MASTER");
  });
});

describe("a MASTER that hears another MASTER", () => {
  const rules: Rule[] = [
    {
      title: "gives way to a quicker one",
      own: { advskew: 1 },
      hears: {},
      becomes: GIVES_WAY,
    },
    { title: "stays when the other is slower", hears: { advskew: 1 }, becomes: STAYS },
    {
      title: "stays when the other is quicker and more demoted",
      own: { advskew: 1 },
      hears: { demote: 1 },
      becomes: STAYS,
    },
    {
      title: "gives way to a slower one that is less demoted",
      ownDemote: 2,
      hears: { demote: 1, advskew: 200 },
      becomes: GIVES_WAY,
    },
    {
      title: "gives way to a quicker one that is equally demoted",
      own: { advskew: 1 },
      ownDemote: 2,
      hears: { demote: 2 },
      becomes: GIVES_WAY,
    },
    { title: "stays when the other bows out", hears: { advbase: 255, advskew: 255 }, becomes: STAYS },
    {
      title: "stays when a less demoted one bows out",
      ownDemote: 2,
      hears: { advbase: 255, advskew: 255 },
      becomes: STAYS,
    },
  ];
  for (const preempt of [false, true])
    for (const rule of rules)
      it(`${rule.title} (preempt ${preempt ? "on" : "off"})`, () => {
        const station = master(rule.own);
        prepare(station, { ...rule, preempt });
        assert.deepEqual(transitions(station.hear(advertisement(rule.hears))), rule.becomes);
      });

  it("waits a full master-down time after giving way, from the time of receipt", () => {
    const station = master({ advskew: 1 });
    station.world.run(1.5 * SECOND);
    station.hear(advertisement(), station.world.us - 1000);
    // It may have to concede before.
    station.world.run(SECOND / 10);
    assert.equal(station.dueIn("carp0/1/master-down"), (3 * 257 * SECOND) / 256 - 1000 - SECOND / 10);
    assert.equal(station.dueIn("carp0/1/advertise"), undefined);
    assert.equal(station.leaseLeft(), 0);
    assert.equal(station.devices.get("carp0")?.active, false);
  });

  it("answers each advertisement of a MASTER that has to give way, at once", () => {
    const station = master();
    for (const source of ["10.0.0.7", "10.0.0.8", "10.0.0.7"]) {
      const answer = station.hear(advertisement({ advskew: 100, source }));
      assert.equal(only(answer, "advertise").length, 1);
      assert.equal(only(answer, "announce").length, 1);
    }
  });

  it("answers a counter that never changes, as OpenBSD's, at most once an interval", () => {
    const station = master();
    const other = { advskew: 100, counter: 77n };
    assert.equal(only(station.hear(advertisement(other)), "advertise").length, 1);
    assert.deepEqual(station.hear(advertisement(other)), []);
    station.world.run(1.1 * SECOND);
    assert.equal(only(station.hear(advertisement(other)), "advertise").length, 1);
  });

  it("answers eight advertisements of a flood, and once more soon after it", () => {
    const station = master();
    const flood = Array.from({ length: 100 }, () => station.hear(advertisement({ advskew: 100 })));
    assert.equal(only(flood.flat(), "advertise").length, 8);
    assert.equal(station.dueIn("carp0/1/advertise"), SECOND / 8);
    station.take();
    station.world.run(SECOND);
    assert.equal(only(station.take(), "advertise").length, 1);
    assert.equal(only(station.hear(advertisement({ advskew: 100 })), "advertise").length, 1);
  });

  it("announces again after the second frame of a MASTER that has to give way", () => {
    for (const source of ["fe80::1", "fe80::9"]) {
      const station = master({ addAddresses: [...(PLAIN.addAddresses ?? []), ipv6("2001:db8::1")] });
      station.world.run(1.5 * SECOND);
      station.take();
      const other = { addresses: ["10.0.0.1", "2001:db8::1"], counter: 77n };
      const first = station.hear(advertisement({ ...other, source: "10.0.0.9" }));
      const second = station.hear(advertisement({ ...other, source }));
      for (const effects of [first, second]) assert.equal(only(effects, "announce").length, 1);
      assert.equal(only([...first, ...second], "advertise").length, 1);
    }
  });

  it("stays MASTER after both copies of a bow-out, however demoted it is", () => {
    const station = backup({ addAddresses: [...(PLAIN.addAddresses ?? []), ipv6("2001:db8::1")] });
    station.does({ kind: "demote-group", group: "carp", by: 3 });
    const addresses = ["10.0.0.1", "2001:db8::1"];
    station.hear(bowOut({ addresses, counter: 77n }));
    station.hear(bowOut({ addresses, counter: 77n, source: "fe80::9" }));
    assert.deepEqual(transitions(station.effects), TAKES_OVER);
  });
});

describe("two masters with equal settings", () => {
  const withIpv6 = { addAddresses: [ipv6("2001:db8::1")] };
  const cases = [
    { title: "the lower source stays", source: "10.0.0.9", becomes: STAYS },
    { title: "the higher source gives way", source: "10.0.0.1", becomes: GIVES_WAY },
    { title: "sources are compared as numbers", source: "10.0.0.10", becomes: STAYS },
    { title: "from the last byte to the first", source: "10.0.9.1", becomes: GIVES_WAY },
  ];
  for (const { title, source, becomes } of cases)
    it(`over IPv4: ${title}`, () => {
      const station = master();
      station.world.run(1.2 * SECOND);
      station.take();
      const effects = station.hear(advertisement({ source }));
      assert.deepEqual(transitions(effects), becomes);
      // The one that stays advertises at once, so that the other gives way without waiting.
      assert.equal(only(effects, "advertise").length, becomes === STAYS ? 1 : 0);
    });

  for (const [source, becomes] of [
    ["fe80::1", GIVES_WAY],
    ["fe80::9", STAYS],
  ] as const)
    it(`over IPv6 alone: ${source} against fe80::2`, () => {
      const station = new Station(new World());
      const eth0 = station.links.get("eth0");
      assert.ok(eth0);
      station.link({ ...eth0, addresses: [{ family: 6, address: "fe80::2", prefixLength: 64 }] });
      station.set("carp0", { carpdev: "eth0", vhid: 1, ...withIpv6, state: undefined });
      station.set("carp0", { state: "master" });
      station.take();
      station.hear(advertisement({ source, addresses: ["2001:db8::1"] }));
      assert.deepEqual(transitions(station.effects), becomes);
    });

  function dualStack(): Station {
    const station = new Station(new World());
    const eth0 = station.links.get("eth0");
    assert.ok(eth0);
    const ownAddress = { family: 6 as const, address: "fe80::2", prefixLength: 64 };
    station.link({ ...eth0, addresses: [...eth0.addresses, ownAddress] });
    station.set("carp0", { ...PLAIN, addAddresses: [...(PLAIN.addAddresses ?? []), ipv6("2001:db8::1")] });
    station.set("carp0", { state: "master" });
    station.take();
    return station;
  }
  const addresses = ["10.0.0.1", "2001:db8::1"];

  it("over both families: IPv4 decides", () => {
    const station = dualStack();
    station.hear(advertisement({ source: "10.0.0.9", addresses }));
    station.hear(advertisement({ source: "fe80::1", addresses }));
    assert.deepEqual(transitions(station.effects), STAYS);
  });

  it("over both families with IPv4 lost: IPv6 decides", () => {
    const station = dualStack();
    station.hear(advertisement({ source: "10.0.0.9", addresses }));
    station.world.run(3.1 * SECOND);
    station.hear(advertisement({ source: "fe80::1", addresses }));
    assert.deepEqual(transitions(station.effects), GIVES_WAY);
  });

  it("over both families with IPv4 never heard: IPv6 decides", () => {
    const station = dualStack();
    station.hear(advertisement({ source: "fe80::9", addresses }));
    assert.deepEqual(transitions(station.effects), STAYS);
    station.hear(advertisement({ source: "fe80::1", addresses }));
    assert.deepEqual(transitions(station.effects), GIVES_WAY);
  });

  for (const [title, by, becomes] of [
    ["a later counter has precedence", 1n, GIVES_WAY],
    ["an earlier one has not", -1n, STAYS],
  ] as const)
    it(`with the same source: ${title}`, () => {
      const station = master();
      const source = "10.0.0.2";
      station.hear(advertisement({ source, counter: station.host.counterFloor + by }));
      assert.deepEqual(transitions(station.effects), becomes);
    });
});

describe("taking over", () => {
  /** The kinds of the effects in order, without the log. */
  function order(effects: readonly Effect[]): string[] {
    return effects.filter((effect) => effect.kind !== "log").map((effect) => effect.kind);
  }

  it("has the order state, addresses, lease, advertisement, announcement, save, renewed lease", () => {
    const station = backup();
    const effects = station.set("carp0", { state: "master" });
    assert.deepEqual(
      order(effects).filter((kind) => kind !== "arm" && kind !== "cancel"),
      ["transition", "device", "lease", "advertise", "announce", "save", "lease"],
    );
    assert.equal(only(effects, "device")[0]?.device?.active, true);
    assert.deepEqual(order(effects).slice(0, 1), ["cancel"]);
    assert.equal(station.host.statistics.transitionsToMaster, 1);
  });

  it("from a silent master it advertises at once, while the device is set up; from one that answers it waits for that", () => {
    const silent = backup();
    silent.world.run(4 * SECOND);
    const heard = backup();
    heard.sysctl("preempt", 1);
    heard.take();
    const advertises = (effects: readonly Effect[]) => only(effects, "advertise").map(({ waits }) => waits);
    assert.deepEqual(advertises(silent.take()).slice(0, 2), [false, false]);
    assert.deepEqual(advertises(heard.hear(advertisement({ advskew: 1 }))), [true]);
    heard.take();
    heard.world.run(SECOND);
    assert.deepEqual(advertises(heard.take()), [false]);
  });

  it("takes the lease back when the first advertisement does not leave", () => {
    const station = backup();
    station.sending = () => "ENOBUFS";
    station.set("carp0", { state: "master" });
    assert.equal(station.state(), "MASTER");
    assert.equal(station.leases.size, 0);
  });

  it("announces every address, once more with the second further advertisement, which it precedes, and no third time", () => {
    const station = backup({ addAddresses: [...(PLAIN.addAddresses ?? []), ipv6("2001:db8::1")] });
    const first = only(station.set("carp0", { state: "master" }), "announce");
    assert.deepEqual(
      first.map((each) => each.frames.map((frame) => frame.length)),
      [[42, 86]],
    );
    const seen: string[] = [];
    station.take();
    station.world.run(6 * SECOND);
    for (const { kind } of station.take()) if (kind === "advertise" || kind === "announce") seen.push(kind);
    const advertise = "advertise";
    assert.deepEqual(seen, [advertise, "announce", advertise, advertise, advertise, advertise, advertise]);
  });

  it("sets the router flag of neighbour advertisements on a router", () => {
    const station = backup({ addAddresses: [ipv6("2001:db8::1")], removeFamilies: [] });
    const flags = () => {
      const frames = only(station.set("carp0", { state: "master" }), "announce")[0]?.frames;
      return frames?.find((frame) => frame.length === 86)?.[14 + 40 + 4];
    };
    assert.equal(flags(), 0x20);
    station.handle({ kind: "forwarding", ipv6: true });
    station.set("carp0", { state: "backup" });
    assert.equal(flags(), 0xa0);
  });

  it("logs transitions, from and to INIT at a lower priority", () => {
    const station = new Station(new World());
    station.sysctl("log", 7);
    const effects = [...station.set("carp0", PLAIN), ...station.set("carp0", { state: "master" })];
    assert.deepEqual(logged(effects), [
      "4 carp0: state transition: INIT -> BACKUP",
      "2 carp0: state transition: BACKUP -> MASTER",
    ]);
  });
});

describe("forced states", () => {
  it("`state backup` sends no bow-out when the lease has expired unnoticed", () => {
    const station = master();
    station.isStalled = true;
    station.world.run(4 * SECOND);
    const effects = station.set("carp0", { state: "backup" });
    assert.deepEqual(said(effects), []);
    assert.deepEqual(transitions(effects), GIVES_WAY);
  });

  it("the present state is no change", () => {
    assert.deepEqual(transitions(master().set("carp0", { state: "master" })), []);
    const station = backup();
    assert.deepEqual(transitions(station.set("carp0", { state: "backup" })), []);
    assert.equal(station.host.givesWay("carp0"), false);
  });

  it("normal rules apply from then on", () => {
    const station = master({ advskew: 10 });
    station.hear(advertisement());
    assert.equal(station.state(), "BACKUP");
  });

  it("are refused with the reason while it does not run", () => {
    const station = backup();
    station.set("carp0", { up: false });
    const error = station.refuses({ kind: "change", name: "carp0", change: { state: "master" } });
    assert.equal(error, "state master: carp0 does not run: it is down");
  });
});
