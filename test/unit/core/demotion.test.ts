/** Demotion: group counts, the global counter, named reasons, and the faults that raise them. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { DemotionCommand } from "../../../src/core/command.ts";
import {
  backup,
  ipv4,
  link,
  logged,
  master,
  only,
  PLAIN,
  SECOND,
  Station,
  transitions,
  World,
} from "./driver.ts";
import { advertisement, said } from "./peer.ts";

/** A failed service check. */
const check = (name: string, by = 2 ** 20, group?: string) => ({
  file: `/x/${name}`,
  name,
  by,
  ...(group === undefined ? {} : { group }),
});

const NO_CARRIER = link("eth0", { carrier: false });

function demotion(station: Station): number | undefined {
  return station.host.sysctl("net.inet.carp.demotion")[0]?.value;
}

function count(station: Station, group = "carp"): number | undefined {
  return station.host.groups().find(({ name }) => name === group)?.carpDemoteCount;
}

/** carp0 on eth0 and carp1 on eth1, both MASTER. */
function two(options: { groups?: readonly string[] } = {}): Station {
  const station = new Station(new World(), { links: [link("eth0"), link("eth1")] });
  station.set("carp0", { ...PLAIN, joinGroups: options.groups });
  station.set("carp1", { carpdev: "eth1", vhid: 2, addAddresses: [ipv4("10.0.1.1")] });
  for (const name of ["carp0", "carp1"]) station.set(name, { state: "master" });
  station.sysctl("log", 7);
  station.take();
  return station;
}

describe("an interface that has left group carp", () => {
  it("fails over alone where faults do not demote the host", () => {
    const station = two();
    station.set("carp1", { leaveGroups: ["carp"] });
    station.sysctl("ifdown_demotion_factor", 0);
    station.link(NO_CARRIER);
    const view = (name: string) => station.host.interfaces().find((each) => each.name === name);
    assert.deepEqual([count(station), demotion(station)], [1, 0]);
    assert.deepEqual(view("carp1")?.nodes[0]?.demote, 0);
    station.set("carp1", { joinGroups: ["carp"] });
    assert.deepEqual(view("carp1")?.nodes[0]?.demote, 1);
  });
});

describe("the advskew and demote of an advertisement", () => {
  const cases = [
    { group: 0, global: 0, advskew: 100, says: { demote: 0, advskew: 100 } },
    { group: 5, global: 0, advskew: 100, says: { demote: 5, advskew: 100 } },
    { group: 5, global: 10, advskew: 100, says: { demote: 15, advskew: 110 } },
    { group: 0, global: 240, advskew: 100, says: { demote: 240, advskew: 240 } },
    { group: 100, global: 240, advskew: 0, says: { demote: 255, advskew: 240 } },
    { group: 0, global: 1_048_576, advskew: 0, says: { demote: 255, advskew: 240 } },
    { group: 5, global: -30, advskew: 100, says: { demote: 5, advskew: 70 } },
    { group: 0, global: -200, advskew: 100, says: { demote: 0, advskew: 0 } },
    { group: 0, global: 0, advskew: 254, says: { demote: 0, advskew: 254 } },
    { group: 0, global: 1, advskew: 254, says: { demote: 1, advskew: 240 } },
  ];
  for (const { group, global, advskew, says } of cases)
    it(`with group count ${group}, counter ${global} and advskew ${advskew}: ${JSON.stringify(says)}`, () => {
      const station = backup({ advskew });
      if (group > 0) station.does({ kind: "demote-group", group: "carp", by: group });
      if (global !== 0) station.sysctl("demotion", global);
      const [first] = said(station.set("carp0", { state: "master" }));
      assert.deepEqual({ demote: first?.demote, advskew: first?.advskew }, says);
      const { effectiveAdvskew, demote } = station.node();
      assert.deepEqual({ demote, advskew: effectiveAdvskew }, says);
    });

  it("sums over all groups of the interface, and no others", () => {
    const station = two({ groups: ["www"] });
    station.does({ kind: "demote-group", group: "www", by: 3 });
    station.does({ kind: "demote-group", group: "carp", by: 4 });
    assert.deepEqual([station.node().demote, station.node(2, "carp1").demote], [7, 4]);
  });
});

describe("a change of demotion", () => {
  it("that rises makes every MASTER that it concerns advertise at once", () => {
    const station = two({ groups: ["www"] });
    station.world.run(SECOND / 2);
    const ofGroup = station.does({ kind: "demote-group", group: "www", by: 1 });
    assert.deepEqual(
      said(ofGroup).map(({ vhid, demote }) => [vhid, demote]),
      [[1, 1]],
    );
    assert.deepEqual(
      said(station.sysctl("demotion", 5)).map(({ vhid, demote }) => [vhid, demote]),
      [
        [1, 6],
        [2, 5],
      ],
    );
  });

  it("that falls causes no advertisement at once", () => {
    const station = two();
    station.sysctl("demotion", 5);
    assert.deepEqual(said(station.sysctl("demotion", -5)), []);
  });

  it("makes no BACKUP advertise", () => {
    assert.deepEqual(said(backup().sysctl("demotion", 5)), []);
  });

  it("makes a BACKUP that is demoted by the counter wait longer", () => {
    const station = backup();
    station.sysctl("demotion", 128);
    assert.equal(station.dueIn("carp0/1/master-down"), 4.5 * SECOND);
  });

  it("by joining a demoted group counts too", () => {
    const station = two({ groups: ["www"] });
    station.does({ kind: "demote-group", group: "www", by: 9 });
    const effects = station.set("carp1", { joinGroups: ["www"] });
    assert.deepEqual(
      said(effects).map(({ vhid, demote }) => [vhid, demote]),
      [[2, 9]],
    );
    assert.deepEqual(transitions(effects), []);
  });
});

describe("group counts", () => {
  it("are never below 0", () => {
    const station = backup();
    station.does({ kind: "demote-group", group: "carp", by: 2 });
    station.does({ kind: "demote-group", group: "carp", by: -128 });
    assert.equal(count(station), 0);
    station.does({ kind: "demote-group", group: "carp", by: 1 });
    assert.equal(count(station), 1);
  });

  it("exist for the groups that have interfaces, and for carp", () => {
    const station = new Station(new World());
    assert.deepEqual(station.host.groups(), [{ name: "carp", carpDemoteCount: 0, interfaces: [] }]);
    station.set("carp0", { joinGroups: ["www"] });
    assert.deepEqual(
      station.host.groups().map(({ name, interfaces }) => [name, interfaces]),
      [
        ["carp", ["carp0"]],
        ["www", ["carp0"]],
      ],
    );
    const error = station.refuses({ kind: "demote-group", group: "db", by: 1 });
    assert.equal(error, "group db: no such group");
  });
});

describe("a carpdev that is lost", () => {
  const losses = [
    { title: "no carrier", lose: (station: Station) => station.link(NO_CARRIER) },
    { title: "down", lose: (station: Station) => station.link(link("eth0", { up: false })) },
    { title: "gone", lose: (station: Station) => station.linkGone("eth0") },
  ];
  for (const { title, lose } of losses)
    it(`demotes the group and the host until it is back, and is logged: ${title}`, () => {
      const station = two();
      const lost = lose(station);
      assert.deepEqual(logged(lost), [
        "4 carp0: state transition: MASTER -> INIT",
        "3 carp0 demoted group carp by 1 to 1 (carpdev)",
        "3 demoted by 240 to 240 (interface down)",
      ]);
      assert.deepEqual([count(station), demotion(station)], [1, 240]);
      assert.deepEqual(
        said(lost).map(({ vhid, demote, advskew }) => [vhid, demote, advskew]),
        [[2, 241, 240]],
      );
      assert.deepEqual(said(lose(station)), []);
      const back = station.link(link("eth0"));
      assert.deepEqual(logged(back), [
        "3 carp0 promoted group carp by 1 to 0 (carpdev)",
        "3 promoted by 240 to 0 (interface up)",
        "4 carp0: state transition: INIT -> BACKUP",
      ]);
      assert.deepEqual([count(station), demotion(station)], [0, 0]);
      assert.equal(station.dueIn("carp0/1/master-down"), 3 * SECOND);
    });

  it("causes one advertisement by each other MASTER, for any number of interfaces on it", () => {
    const station = two();
    for (let i = 2; i < 12; i++)
      station.set(`carp${i}`, { carpdev: "eth0", vhid: i + 1, addAddresses: [ipv4(`10.0.0.1${i}`)] });
    for (let i = 2; i < 12; i++) station.set(`carp${i}`, { state: "master" });
    station.take();
    station.sending = () => "ENETDOWN";
    const lost = station.link(NO_CARRIER);
    assert.deepEqual(
      said(lost).map(({ vhid, demote }) => [vhid, demote]),
      [[2, 255]],
    );
    assert.equal(demotion(station), 11 * 240);
    station.sending = () => undefined;
    station.link(link("eth0"));
    assert.deepEqual([count(station), demotion(station)], [0, 0]);
  });

  it("takes back as much as it added, even when the factor has changed", () => {
    const station = two();
    station.link(NO_CARRIER);
    station.sysctl("ifdown_demotion_factor", 7);
    station.link(link("eth0"));
    assert.equal(demotion(station), 0);
    station.link(NO_CARRIER);
    assert.equal(demotion(station), 7);
  });

  it("does not demote for an interface that is down", () => {
    const station = two();
    station.set("carp0", { up: false });
    station.world.run(SECOND);
    station.link(NO_CARRIER);
    assert.deepEqual([count(station), demotion(station)], [0, 0]);
    station.set("carp0", { up: true });
    assert.deepEqual([count(station), demotion(station)], [1, 240]);
    station.set("carp0", { up: false });
    assert.deepEqual([count(station), demotion(station)], [0, 0]);
  });

  it("moves with the interface from group to group", () => {
    const station = two({ groups: ["www"] });
    station.link(NO_CARRIER);
    assert.deepEqual([count(station), count(station, "www")], [1, 1]);
    station.set("carp0", { leaveGroups: ["carp"], joinGroups: ["db"] });
    assert.deepEqual([count(station), count(station, "www"), count(station, "db")], [0, 1, 1]);
    station.link(link("eth0"));
    assert.deepEqual([count(station), count(station, "www"), count(station, "db")], [0, 0, 0]);
  });

  it("is not part of the configuration saved for the next engine, which finds the fault itself", () => {
    const station = two();
    station.sysctl("demotion", 5);
    station.link(NO_CARRIER);
    assert.equal(demotion(station), 245);
    const kept = station.host.configuration.sysctl.find(({ name }) => name === "net.inet.carp.demotion");
    assert.equal(kept?.value, 5);
  });
});

describe("sends that fail", () => {
  function failing(nodes = 1): Station {
    const station = new Station(new World());
    const carpnodes = Array.from({ length: nodes }, (_, i) => ({ vhid: i + 1, advskew: 0 }));
    station.set("carp0", { carpdev: "eth0", carpnodes, addAddresses: [ipv4("10.0.0.1")] });
    station.set("carp0", { state: "master" });
    station.sysctl("log", 3);
    station.take();
    station.sending = () => "ENOBUFS";
    return station;
  }

  function report(station: Station, left: readonly (4 | 6)[], vhid = 1) {
    const leftUs = station.world.us;
    const error = left.length === 0 ? "ENOBUFS" : undefined;
    return station.handle({ kind: "advertised", interface: "carp0", vhid, leftUs, left, error });
  }

  it("demote after three in a row, until three in a row have left", () => {
    const station = failing();
    report(station, []);
    report(station, []);
    assert.deepEqual([count(station), demotion(station)], [0, 0]);
    const effects = report(station, []);
    assert.deepEqual(logged(effects), [
      "3 carp0 demoted group carp by 1 to 1 (> snderrors)",
      "3 demoted by 240 to 240 (> snderrors)",
    ]);
    station.sending = () => undefined;
    for (let i = 0; i < 2; i++) report(station, [4]);
    report(station, []);
    for (let i = 0; i < 2; i++) report(station, [4]);
    assert.deepEqual([count(station), demotion(station)], [1, 240]);
    assert.deepEqual(logged(report(station, [4])), [
      "3 carp0 promoted group carp by 1 to 0 (< snderrors)",
      "3 promoted by 240 to 0 (< snderrors)",
    ]);
    assert.deepEqual([count(station), demotion(station)], [0, 0]);
  });

  it("no longer demote a BACKUP, which sends nothing, half a minute after the last one", () => {
    const station = failing();
    for (let i = 0; i < 3; i++) report(station, []);
    station.hear(advertisement({ counter: 1n }));
    assert.equal(station.state(), "BACKUP");
    const heard = (seconds: number, counter: bigint) => {
      station.world.us += seconds * SECOND;
      station.hear(advertisement({ counter }));
      return demotion(station);
    };
    assert.equal(heard(29, 2n), 240);
    assert.equal(heard(2, 3n), 0);
    assert.equal(count(station), 0);
  });

  it("do not demote when one between them left", () => {
    const station = failing();
    for (const left of [[], [], [4], [], []] as const) report(station, left);
    assert.equal(demotion(station), 0);
  });

  it("demote after three for each node, of any nodes", () => {
    const station = failing(4);
    for (let i = 0; i < 11; i++) report(station, [], (i % 4) + 1);
    assert.equal(demotion(station), 0);
    report(station, []);
    assert.equal(demotion(station), 240);
    station.sending = () => undefined;
    for (let i = 0; i < 12; i++)
      assert.equal(report(station, [4], (i % 4) + 1) && i < 11, demotion(station) !== 0);
  });

  it("are counted, and those that left by family", () => {
    const station = failing();
    station.host.statistics.sentIpv4 = 0;
    report(station, []);
    report(station, [4, 6]);
    const { sendFailed, sentIpv4, sentIpv6 } = station.host.statistics;
    assert.deepEqual([sendFailed, sentIpv4, sentIpv6], [1, 1, 1]);
  });

  it("are forgotten when the interface no longer runs", () => {
    for (const end of ["carrier", "down", "destroy"] as const) {
      const station = failing();
      for (let i = 0; i < 3; i++) report(station, []);
      assert.equal(demotion(station), 240);
      if (end === "carrier") station.link(NO_CARRIER);
      else if (end === "down") station.set("carp0", { up: false });
      else station.does({ kind: "destroy", name: "carp0" });
      station.world.run(SECOND);
      if (end === "carrier") station.link(link("eth0"));
      assert.deepEqual([count(station), demotion(station)], [0, 0], end);
    }
  });

  it("of a destroyed interface are ignored", () => {
    const station = master();
    station.does({ kind: "destroy", name: "carp0" });
    station.world.run(SECOND);
    assert.deepEqual(report(station, []), []);
    assert.equal(
      only(station.take(), "arm").some(({ timer }) => timer.kind !== "leave"),
      false,
    );
  });
});

describe("demotion for a reason with a name", () => {
  const view = (station: Station) => station.host.demotion;
  const refusal = (station: Station, command: DemotionCommand) => {
    const before = station.host.demotion;
    const outcome = station.command(command);
    assert.deepEqual(station.host.demotion, before);
    return "error" in outcome ? outcome.error : undefined;
  };

  it("is part of the counter, beside the writes to it, until it is taken back", () => {
    const station = two();
    station.sysctl("demotion", 7);
    assert.deepEqual(logged(station.does({ kind: "demote", reason: "backup", by: 50 })), [
      "3 demoted by 50 to 57 (backup)",
    ]);
    station.does({ kind: "demote", reason: "tests", by: 3 });
    assert.deepEqual(view(station), {
      counter: 60,
      written: 7,
      reasons: [
        { reason: "backup", by: 50 },
        { reason: "tests", by: 3 },
      ],
      units: [],
      faults: [],
    });
    assert.equal(station.node().demote, 60);
    assert.deepEqual(logged(station.does({ kind: "promote", reason: "backup" })), [
      "3 promoted by 50 to 10 (backup)",
    ]);
    station.sysctl("demotion", -7);
    assert.deepEqual(view(station), {
      counter: 3,
      written: 0,
      reasons: [{ reason: "tests", by: 3 }],
      units: [],
      faults: [],
    });
  });

  it("by a unit counts while it is not active, and is restored as it was", () => {
    const station = two();
    const db = { unit: "db.service", by: 50, active: true };
    const tells = (unit: string, active: boolean) =>
      logged(station.does({ kind: "unit-states", states: [{ unit, active }] }));
    assert.deepEqual(logged(station.does({ kind: "demote-unit", ...db })), []);
    assert.deepEqual(tells("db.service", false), ["3 demoted by 50 to 50 (db.service not active)"]);
    assert.deepEqual(tells("db.service", false), []);
    assert.deepEqual(tells("other.service", false), []);
    const { counter, written, units } = view(station);
    assert.deepEqual([counter, written, units], [50, 0, [{ ...db, active: false }]]);
    const next = new Station(new World(), { links: [link("eth0"), link("eth1")] });
    next.host.restore(station.host.configuration, () => 0, next.now);
    assert.deepEqual(view(next), view(station));
    const more = logged(station.does({ kind: "demote-unit", ...db, by: 80, active: false }));
    assert.deepEqual(more, ["3 demoted by 30 to 80 (db.service not active)"]);
    assert.deepEqual(tells("db.service", true), ["3 promoted by 80 to 0 (db.service active)"]);
    tells("db.service", false);
    assert.deepEqual(logged(station.does({ kind: "promote-unit", unit: "db.service" })), [
      "3 promoted by 80 to 0 (db.service no longer followed)",
    ]);
    assert.equal(
      station.refuses({ kind: "promote-unit", unit: "db.service" }),
      "promote db.service: it does not demote: no unit does",
    );
  });

  it("given again replaces the former amount, and is advertised at once when it rises", () => {
    const station = two();
    station.does({ kind: "demote", reason: "backup", by: 50 });
    const more = station.does({ kind: "demote", reason: "backup", by: 80 });
    assert.deepEqual(logged(more), ["3 demoted by 30 to 80 (backup)"]);
    assert.deepEqual(
      said(more).map(({ demote }) => demote),
      [80, 80],
    );
    assert.deepEqual(station.does({ kind: "demote", reason: "backup", by: 80 }), []);
    assert.deepEqual(logged(station.does({ kind: "demote", reason: "backup", by: 20 })), [
      "3 promoted by 60 to 20 (backup)",
    ]);
    assert.equal(demotion(station), 20);
  });

  it("is refused for an unknown or reserved reason, too many reasons, and too great a sum", () => {
    const station = two();
    const promote = (reason: string) => refusal(station, { kind: "promote", reason });
    assert.equal(promote("x"), "promote x: nothing is demoted for it: there is no reason");
    station.does({ kind: "demote", reason: "a", by: 1 });
    station.does({ kind: "demote", reason: "b", by: 1 });
    station.does({ kind: "maintenance", on: true });
    assert.equal(promote("x"), "promote x: nothing is demoted for it: the reasons are a, b");
    // The name of a property of every JavaScript object is a name like any other.
    assert.match(promote("constructor") ?? "", /nothing is demoted for it/);
    assert.equal(promote("maintenance"), "promote maintenance: this is what 'carpctl maintenance' does");
    assert.equal(
      refusal(station, { kind: "demote", reason: "services", by: 1 }),
      "demote services: this is what 'carpctl service-status' does",
    );
    for (let n = 2; n < 64; n++) station.does({ kind: "demote", reason: `r${n}`, by: 1 });
    assert.equal(
      refusal(station, { kind: "demote", reason: "one-more", by: 1 }),
      "demote one-more: at most 64 reasons",
    );
    station.sysctl("demotion", 2 ** 31 - 1 - (demotion(station) ?? 0));
    assert.match(refusal(station, { kind: "demote", reason: "a", by: 2 }) ?? "", /must be .*2147483647$/);
  });

  it("maintenance demotes by 240, once", () => {
    const station = two();
    assert.deepEqual(logged(station.does({ kind: "maintenance", on: true })), [
      "3 demoted by 240 to 240 (maintenance)",
    ]);
    assert.deepEqual(station.does({ kind: "maintenance", on: true }), []);
    assert.deepEqual(logged(station.does({ kind: "maintenance", on: false })), [
      "3 promoted by 240 to 0 (maintenance)",
    ]);
    assert.deepEqual(station.does({ kind: "maintenance", on: false }), []);
    assert.equal(demotion(station), 0);
  });

  it("failed services demote by 1048576, once for any number of them, and are logged by default", () => {
    const station = two();
    station.sysctl("log", 2);
    const services = (...names: string[]) =>
      station.does({ kind: "services", failed: names.map((name) => check(name)) });
    assert.deepEqual(services(), []);
    assert.deepEqual(logged(services("dns", "web")), [
      "2 carp demoted by 1048576 due to service disruption (services: dns, web)",
    ]);
    assert.deepEqual(services("web"), []);
    assert.equal(demotion(station), 1_048_576);
    assert.deepEqual(logged(services()), ["2 carp promoted by 1048576 due to service recovery"]);
    assert.deepEqual(services(), []);
    assert.equal(demotion(station), 0);
  });

  it("failed services add up, and those of a group demote it alone", () => {
    const station = two({ groups: ["www"] });
    const services = (...failed: ReturnType<typeof check>[]) =>
      logged(station.does({ kind: "services", failed })).map((line) => line.replace(/ in \d+ s/, ""));
    assert.deepEqual(services(check("dns", 20)), [
      "2 carp demoted by 20 due to service disruption (services: dns)",
    ]);
    assert.deepEqual(services(check("dns", 20), check("web", 50, "www"), check("web2", 7, "www")), [
      "3 service-status demoted group www by 57 to 57 (services: web, web2)",
    ]);
    assert.deepEqual([demotion(station), count(station, "www"), count(station)], [20, 57, 0]);
    assert.deepEqual(
      ["carp0", "carp1"].map((name) => station.host.interface(name)?.nodes[0]?.demote),
      [77, 20],
    );
    station.does({ kind: "demote-group", group: "www", by: 3 });
    station.does({ kind: "demote-group", group: "www", by: -128 });
    assert.equal(count(station, "www"), 57);
    station.does({ kind: "demote-group", group: "www", by: 3 });
    assert.deepEqual(services(check("dns", 20), check("all"), check("web2", 7, "www")), [
      "2 carp demoted by 1048556 due to service disruption (services: dns, all)",
      "3 service-status promoted group www by 50 to 10 (service recovery)",
    ]);
    assert.deepEqual(services(), [
      "2 carp promoted by 1048576 due to service recovery",
      "3 service-status promoted group www by 7 to 3 (service recovery)",
    ]);
    assert.deepEqual([demotion(station), count(station, "www")], [0, 3]);
  });

  it("the demotion of a group by services is saved for the next engine", () => {
    const station = two({ groups: ["www"] });
    station.does({ kind: "demote-group", group: "www", by: 3 });
    const failed = [check("dns", 20), check("web", 50, "www")];
    station.does({ kind: "services", failed });
    const next = new Station(new World(), { links: [link("eth0"), link("eth1")] });
    next.host.restore(station.host.configuration, () => 0, next.now);
    assert.deepEqual([demotion(next), count(next, "www"), next.host.failedChecks], [20, 53, failed]);
    next.does({ kind: "services", failed: [] });
    assert.deepEqual([demotion(next), count(next, "www")], [0, 3]);
  });

  it("a demotion for services by an earlier version is known, though not whose it is", () => {
    const station = two();
    station.does({ kind: "services", failed: [check("dns")] });
    const { failedChecks: _, ...earlier } = station.host.configuration;
    const next = new Station(new World(), { links: [link("eth0"), link("eth1")] });
    next.host.restore(earlier, () => 0, next.now);
    assert.deepEqual(next.host.failedChecks, [{ file: "", name: "unknown", by: 2 ** 20 }]);
    assert.equal(demotion(next), 2 ** 20);
  });

  it("is saved for the next engine, apart from the writes and without the part of faults", () => {
    const station = two();
    station.sysctl("demotion", 5);
    station.does({ kind: "demote", reason: "backup", by: 50 });
    station.does({ kind: "services", failed: [check("dns")] });
    station.link(NO_CARRIER);
    assert.equal(demotion(station), 1_048_871);
    const next = new Station(new World(), { links: [link("eth0"), link("eth1")] });
    next.host.restore(station.host.configuration, () => 0, next.now);
    assert.deepEqual(next.host.demotion, { ...station.host.demotion, counter: 1_048_631, faults: [] });
    assert.deepEqual(next.host.failedChecks, [check("dns")]);
    next.does({ kind: "services", failed: [] });
    next.does({ kind: "promote", reason: "backup" });
    assert.equal(demotion(next), 5);
  });
});
