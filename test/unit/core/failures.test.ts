/**
 * Failed parts: each new error is one complaint, and the core tries again every second until the part is in
 * place.
 */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Part } from "../../../src/core/event.ts";
import type { Harm } from "../../../src/core/model.ts";
import { backup, ipv4, ipv6, link, logged, master, only, PLAIN, SECOND, type Station } from "./driver.ts";

const DEVICE: Part = { kind: "device", interface: "carp0" };
const FILTER: Part = { kind: "filter", interface: "carp0" };
const LISTENING: Part = { kind: "listening", carpdev: "eth0" };
const SAVED: Part = { kind: "saved-state" };

function performed(station: Station, part: Part, ...errors: readonly string[]) {
  return station.handle({ kind: "performed", part, errors });
}

/** The effects of one second, without those of the election. */
function asked(station: Station): string[] {
  station.take();
  station.world.run(SECOND);
  return station
    .take()
    .map(({ kind }) => kind)
    .filter((kind) => ["device", "filter", "listen", "save"].includes(kind));
}

describe("a part that is not in place", () => {
  for (const [part, effect, line] of [
    [DEVICE, "device", "carp0: no device can be made"],
    [FILTER, "filter", "carp0: its leases are not enforced: no device can be made"],
    [LISTENING, "listen", "eth0: cannot listen: no device can be made"],
    [SAVED, "save", "cannot save the state: no device can be made"],
  ] as const)
    it(`is tried again every second, at any net.inet.carp.log: ${part.kind}`, () => {
      const station = backup({ advbase: 60 });
      station.sysctl("log", 0);
      const effects = performed(station, part, "no device can be made");
      assert.deepEqual(logged(effects), [`3 ${line}`]);
      assert.deepEqual(
        only(effects, "complaint").map(({ text }) => text),
        [line],
      );
      assert.deepEqual(asked(station), [effect]);
      assert.deepEqual(asked(station), [effect]);
      performed(station, part);
      assert.deepEqual(asked(station), []);
    });

  it("causes one complaint for each error", () => {
    const station = backup();
    const texts = (...errors: string[]) => logged(performed(station, DEVICE, ...errors));
    assert.deepEqual(texts("EBUSY"), ["3 carp0: EBUSY"]);
    assert.deepEqual(texts("EBUSY"), []);
    assert.deepEqual(texts("EBUSY", "address refused"), ["3 carp0: address refused"]);
    assert.deepEqual(texts(), []);
    assert.deepEqual(texts("EBUSY"), ["3 carp0: EBUSY"]);
  });

  it("is not tried again when its interface is destroyed", () => {
    const station = backup();
    performed(station, DEVICE, "EBUSY");
    performed(station, FILTER, "full");
    station.does({ kind: "destroy", name: "carp0" });
    assert.deepEqual(asked(station), []);
    assert.deepEqual([...station.timers], []);
  });

  it("is not tried again when its carpdev is gone", () => {
    const station = backup();
    performed(station, LISTENING, "EMFILE");
    station.linkGone("eth0");
    assert.deepEqual(asked(station), []);
  });

  it("is not tried again for a device whose removal failed", () => {
    const station = backup();
    station.does({ kind: "destroy", name: "carp0" });
    performed(station, DEVICE, "EBUSY");
    assert.deepEqual(asked(station), []);
    assert.deepEqual([...station.timers], []);
  });
});

/** The outcome of putting carp0's device in place. */
function placed(station: Station, harm: Harm, whileActive: boolean, ...errors: readonly string[]) {
  return station.handle({ kind: "performed", part: DEVICE, errors, harm, whileActive });
}

const demotion = (station: Station) => [
  station.host.groups()[0]?.carpDemoteCount,
  station.host.demotion.counter,
];
const viewed = (station: Station) => station.host.interfaces()[0];

describe("an interface that cannot serve", () => {
  for (const [part, error, why, kind] of [
    [DEVICE, "no device can be made", "no device can be made", "device-incomplete"],
    [FILTER, "full", "its leases are not enforced: full", "leases-not-enforced"],
    [LISTENING, "EMFILE", "eth0: cannot listen: EMFILE", "cannot-listen"],
  ] as const)
    it(`bows out, is INIT, says why and demotes the host until it can again: ${part.kind}`, () => {
      const station = master();
      const effects = performed(station, part, error);
      assert.deepEqual(
        only(effects, "advertise").map(({ bowsOut }) => bowsOut),
        [true],
      );
      assert.equal(station.state(), "INIT");
      assert.equal(station.leaseLeft(), 0);
      assert.equal(station.devices.get("carp0")?.active, false);
      assert.equal(viewed(station)?.notRunning, why);
      assert.equal(viewed(station)?.notRunningKind, kind);
      assert.equal(viewed(station)?.status, "invalid");
      assert.deepEqual(station.host.warningsAbout("carp0"), [`carp0: does not run: ${why}`]);
      assert.deepEqual(demotion(station), [1, 240]);
      performed(station, part);
      assert.equal(station.state(), "BACKUP");
      assert.equal(viewed(station)?.notRunning, undefined);
      assert.deepEqual(viewed(station)?.problems, []);
      assert.deepEqual(demotion(station), [0, 0]);
    });

  it("cannot be forced to MASTER, and may be changed in other ways", () => {
    const station = backup();
    performed(station, DEVICE, "no device can be made");
    const force = { kind: "change", name: "carp0", change: { state: "master" } } as const;
    assert.equal(station.refuses(force), "state master: carp0 does not run: no device can be made");
    station.set("carp0", { description: "www" });
    assert.equal(station.state(), "INIT");
  });

  it("is demoted by its carpdev alone while that is down", () => {
    const station = backup();
    performed(station, DEVICE, "no device can be made");
    station.link(link("eth0", { carrier: false }));
    assert.deepEqual(demotion(station), [1, 240]);
    assert.equal(viewed(station)?.notRunning, "carpdev eth0 has no carrier");
    station.link(link("eth0"));
    assert.equal(viewed(station)?.notRunning, "no device can be made");
    station.does({ kind: "destroy", name: "carp0" });
    assert.deepEqual(demotion(station), [0, 0]);
  });

  it("without some of its addresses serves the others, says so, and lets a healthy host take over", () => {
    const station = master({ addAddresses: [ipv4("10.0.0.1"), ipv6("2001:db8::1")] });
    const effects = placed(station, "some", true, "address 2001:db8::1/64 cannot be added");
    assert.equal(station.state(), "MASTER");
    assert.equal(only(effects, "advertise").length, 1);
    assert.equal(station.node().demote, 241);
    assert.deepEqual(viewed(station)?.problems, [
      { kind: "device-incomplete", text: "address 2001:db8::1/64 cannot be added" },
    ]);
    placed(station, "none", true);
    assert.equal(station.node().demote, 0);
  });

  it("is not demoted for errors that take nothing from its service", () => {
    const station = master();
    placed(station, "none", true, "/proc/sys/x cannot be set");
    assert.deepEqual(demotion(station), [0, 0]);
    assert.equal(station.state(), "MASTER");
    assert.deepEqual(viewed(station)?.problems, [
      { kind: "device-incomplete", text: "/proc/sys/x cannot be set" },
    ]);
  });

  it("whose addresses failed when it was MASTER does not try again before half a minute is over", () => {
    const station = master();
    placed(station, "all", true, "address 10.0.0.1/24 cannot be added");
    assert.equal(station.state(), "INIT");
    placed(station, "none", false);
    station.world.run(29 * SECOND);
    placed(station, "none", false);
    assert.equal(station.state(), "INIT");
    station.world.run(2 * SECOND);
    placed(station, "none", false);
    assert.equal(station.state(), "BACKUP");
    assert.deepEqual(demotion(station), [0, 0]);
  });

  it("tries again at once when it is configured anew", () => {
    const station = master();
    placed(station, "all", true, "address 10.0.0.1/24 cannot be added");
    station.set("carp0", { addAddresses: [ipv4("10.0.0.9")] });
    placed(station, "none", false);
    assert.equal(station.state(), "BACKUP");
  });
});

describe("a shared address that the carpdev has got itself", () => {
  const both = link("eth0", {
    addresses: [...link("eth0").addresses, { family: 4, address: "10.0.0.1", prefixLength: 24 }],
  });
  const text = "10.0.0.1 is eth0's own address as well: remove it there";

  it("is told of once, in the log and with the interface, which goes on", () => {
    const station = master();
    assert.deepEqual(logged(station.link(both)), [`3 carp0: ${text}`]);
    assert.deepEqual(logged(station.link({ ...both, mtu: 1400 })), []);
    assert.equal(station.state(), "MASTER");
    assert.deepEqual(viewed(station)?.problems, [{ kind: "address-of-carpdev", text }]);
    station.link(link("eth0"));
    assert.deepEqual(viewed(station)?.problems, []);
    assert.deepEqual(logged(station.link(both)), [`3 carp0: ${text}`]);
  });

  it("is refused in a command that moves the interface there, and told of when a file says so", () => {
    const station = backup({}, { links: [link("eth0"), { ...both, name: "eth1", index: 3 }] });
    const change = { kind: "change", name: "carp0", change: { carpdev: "eth1" } } as const;
    assert.match(station.refuses(change), /^10.0.0.1 is eth1's own address/);
    const done = station.command({ kind: "replace", name: "carp0", change: { ...PLAIN, carpdev: "eth1" } });
    assert.ok(!("error" in done));
    assert.deepEqual(station.host.warningsAbout("carp0"), [`carp0: ${text.replace("eth0", "eth1")}`]);
  });
});

describe("a carpdev that is not there yet", () => {
  it("is refused in a command, and waited for when a file says so", () => {
    const station = backup();
    const change = { name: "carp1", change: { ...PLAIN, carpdev: "wan0", addAddresses: [ipv4("10.9.0.1")] } };
    assert.equal(station.refuses({ kind: "change", ...change }), "carpdev wan0: no such device");
    station.does({ kind: "replace", ...change });
    assert.deepEqual(station.host.warningsAbout("carp1"), ["carp1: does not run: carpdev wan0 is missing"]);
    station.link(link("wan0", { index: 9, addresses: [] }));
    assert.equal(station.state(1, "carp1"), "BACKUP");
    assert.deepEqual(station.host.warningsAbout("carp1"), []);
  });
});

describe("an announcement that did not leave", () => {
  it("is repeated after the next advertisement", () => {
    const station = backup();
    station.set("carp0", { state: "master" });
    station.world.run(5 * SECOND);
    station.take();
    station.handle({ kind: "announcement-failed", interface: "carp0", vhid: 1, error: "ENOBUFS" });
    station.world.run(3 * SECOND);
    assert.equal(only(station.take(), "announce").length, 1);
  });
});
