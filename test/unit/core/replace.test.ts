/**
 * `replace`: the result is that of the change on a new interface, and virtual hosts that stay the same run
 * on.
 */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { InterfaceChange, InterfaceConfiguration } from "../../../src/core/interface/configuration.ts";
import { change as anyChange } from "./arbitraries.ts";
import { ipv4, ipv6, link, master, only, PLAIN, Station, transitions, World } from "./driver.ts";

const replace = (change: InterfaceChange, name = "carp0") => ({ kind: "replace" as const, name, change });

function configured(station: Station, name = "carp0"): InterfaceConfiguration {
  const found = station.host.configuration.interfaces.find((each) => each.name === name);
  assert.ok(found, `no ${name}`);
  return found;
}

function station(): Station {
  return new Station(new World(), { links: [link("eth0"), link("eth1")] });
}

function outcome(of: Station, change: InterfaceChange) {
  const done = of.command(replace(change));
  assert.ok(!("error" in done), "error" in done ? done.error : "");
  return done;
}

describe("replace", () => {
  it("resets settings that the change does not set", () => {
    const made = master({ advskew: 5, advbase: 3, pass: "secret", description: "www", joinGroups: ["www"] });
    made.does(replace(PLAIN));
    const fresh = station();
    fresh.set("carp0", PLAIN);
    assert.deepEqual(configured(made), configured(fresh));
  });

  it("leaves MASTER only when the identity of the virtual host changes", () => {
    const made = master({ addAddresses: [ipv4("10.0.0.1"), ipv6("2001:db8::1")] });
    const addAddresses = [ipv6("2001:db8::1"), ipv4("10.0.0.1")];
    const same = { ...PLAIN, addAddresses, advskew: 7, advbase: 2, pass: "new", joinGroups: ["www"] };
    assert.deepEqual(transitions(made.does(replace(same))), []);
    assert.deepEqual([made.state(), configured(made).advbase, configured(made).pass], ["MASTER", 2, "new"]);
    const renumbered = transitions(made.does(replace({ ...same, vhid: 2 })));
    assert.deepEqual(renumbered, ["MASTER -> INIT", "INIT -> BACKUP"]);
  });

  it("has no effect when nothing is different", () => {
    const made = master();
    const { changed, effects } = outcome(made, PLAIN);
    assert.deepEqual([changed, effects], [false, []]);
  });

  it("creates an interface that does not exist, also with an empty change", () => {
    const made = station();
    assert.equal(outcome(made, {}).changed, true);
    assert.deepEqual(configured(made).groups, ["carp"]);
    assert.equal(outcome(made, {}).changed, false);
  });

  it("reports in a dry run whether it would change anything, and changes nothing", () => {
    const made = master();
    const before = configured(made);
    const dry = (change: InterfaceChange) => made.command({ ...replace(change), dryRun: true });
    assert.deepEqual(dry({ ...PLAIN, vhid: 9 }), { effects: [], name: "carp0", changed: true, warnings: [] });
    assert.deepEqual(dry(PLAIN), { effects: [], name: "carp0", changed: false, warnings: [] });
    assert.deepEqual(dry({ ...PLAIN, mtu: 9000 }), { error: "mtu 9000: eth0 takes at most 1500" });
    assert.deepEqual(configured(made), before);
    assert.ok("effects" in made.command({ ...replace({}, "carp7"), dryRun: true }));
    assert.deepEqual(
      made.host.interfaces().map(({ name }) => name),
      ["carp0"],
    );
  });

  it("forces the state given, also when nothing else changes", () => {
    const made = master();
    const forced = (state: "master" | "backup") =>
      transitions(made.does(replace({ ...PLAIN, state }))).concat(
        made.host.givesWay("carp0") ? "gives way" : [],
      );
    assert.deepEqual(forced("backup"), ["gives way"]);
    assert.deepEqual(forced("master"), ["MASTER -> BACKUP", "BACKUP -> MASTER"]);
  });

  it("chooses the carpdev by the addresses, and keeps the present one when several fit", () => {
    const both = [link("eth0"), { ...link("eth1"), addresses: link("eth0").addresses }];
    const made = new Station(new World(), { links: both });
    made.set("carp0", { ...PLAIN, carpdev: "eth1" });
    const { carpdev: _, ...unsaid } = PLAIN;
    assert.equal(outcome(made, unsaid).changed, false);
    made.linkGone("eth1");
    outcome(made, unsaid);
    assert.equal(configured(made).carpdev, "eth0");
  });

  it("keeps a carpdev that is away", () => {
    const made = master();
    const { carpdev: _, ...unsaid } = PLAIN;
    made.linkGone("eth0");
    assert.equal(outcome(made, unsaid).changed, false);
    assert.equal(outcome(made, PLAIN).changed, false);
  });

  it("accepts the present mtu although the carpdev's has become smaller", () => {
    const made = master({ mtu: 1500 });
    made.link({ ...link("eth0"), mtu: 1400 });
    assert.equal(outcome(made, { ...PLAIN, mtu: 1500 }).changed, false);
    assert.equal(made.refuses(replace({ ...PLAIN, mtu: 1450 })), "mtu 1450: eth0 takes at most 1400");
  });

  it("remembers the counters of removed nodes, so that no counter is sent twice", () => {
    const made = master();
    const floor = made.host.counterFloor;
    assert.ok(floor > 0n);
    made.does(replace({}));
    assert.ok(made.host.counterFloor >= floor);
  });

  it("has the same result on any interface as on none", () => {
    fc.assert(
      fc.property(anyChange, anyChange, (earlier, { state: _, ...change }) => {
        const [used, fresh] = [station(), station()];
        used.command({ kind: "change", name: "carp0", change: earlier });
        const [onUsed, onFresh] = [used.command(replace(change)), fresh.command(replace(change))];
        // A carpdev that comes late is waited for, where there is none.
        if (change.carpdev === "eth9") return;
        // A present setting may stay where a new one would be refused.
        if ("error" in onUsed) assert.equal("error" in onFresh, true, onUsed.error);
        if ("error" in onUsed || "error" in onFresh) return;
        if (change.carpdev === undefined) return;
        assert.deepEqual(configured(used), configured(fresh));
        assert.deepEqual(only(used.does(replace(change)), "device"), []);
      }),
      { numRuns: 300 },
    );
  });
});

describe("groups", () => {
  it("carp is first, in any order of joining", () => {
    const made = station();
    made.set("carp0", { leaveGroups: ["carp"], joinGroups: ["www"] });
    assert.deepEqual(configured(made).groups, ["www"]);
    made.set("carp0", { joinGroups: ["carp"] });
    assert.deepEqual(configured(made).groups, ["carp", "www"]);
  });
});
