/**
 * Changes of configuration: which ones pass through INIT, and the device, source and MAC that follow from
 * them.
 */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { LINGER_US } from "../../../src/core/election/timing.ts";
import type { InterfaceChange } from "../../../src/core/interface/configuration.ts";
import {
  backup,
  ipv4,
  ipv6,
  link,
  master,
  only,
  PLAIN,
  SECOND,
  Station,
  timerName,
  transitions,
  World,
} from "./driver.ts";
import { advertisement, read, said } from "./peer.ts";

const THROUGH_INIT = ["MASTER -> INIT", "INIT -> BACKUP"];

describe("a change of a MASTER", () => {
  const changes: { title: string; change: InterfaceChange; passesInit: boolean }[] = [
    { title: "another address", change: { addAddresses: [ipv4("10.0.0.5")] }, passesInit: true },
    { title: "another prefix length", change: { addAddresses: [ipv4("10.0.0.1", 25)] }, passesInit: true },
    { title: "another carpdev", change: { carpdev: "eth1" }, passesInit: true },
    { title: "another vhid", change: { vhid: 2 }, passesInit: true },
    {
      title: "more nodes",
      change: { carpnodes: [1, 2].map((vhid) => ({ vhid, advskew: 0 })) },
      passesInit: true,
    },
    { title: "a MAC set by hand", change: { lladdr: "02:00:00:00:00:77" }, passesInit: true },
    { title: "the same again", change: PLAIN, passesInit: false },
    {
      title: "the same address with the broadcast address it has anyway",
      change: { addAddresses: [{ ...ipv4("10.0.0.1"), broadcast: "10.0.0.255" }] },
      passesInit: false,
    },
    { title: "advbase", change: { advbase: 5 }, passesInit: false },
    { title: "advskew", change: { advskew: 5 }, passesInit: false },
    { title: "advskew by carpnodes", change: { carpnodes: [{ vhid: 1, advskew: 5 }] }, passesInit: false },
    { title: "pass", change: { pass: "secret" }, passesInit: false },
    { title: "carppeer", change: { carppeer: ["10.0.0.9"] }, passesInit: false },
    { title: "description", change: { description: "www" }, passesInit: false },
    { title: "groups", change: { joinGroups: ["www"], leaveGroups: ["carp"] }, passesInit: false },
    { title: "mtu", change: { mtu: 1400 }, passesInit: false },
    { title: "up", change: { up: true }, passesInit: false },
  ];
  for (const { title, change, passesInit } of changes)
    it(`without grace ${passesInit ? "passes through INIT" : "leaves it MASTER"}: ${title}`, () => {
      const station = master({}, { links: [link("eth0"), link("eth1")] });
      station.sysctl("grace", 0);
      const effects = station.set("carp0", change);
      const ofFirst = only(effects, "transition").filter(
        ({ vhid }) => vhid === (change.vhid ?? 1) || vhid === 1,
      );
      assert.deepEqual(transitions(ofFirst), passesInit ? THROUGH_INIT : []);
      // A peer with the former configuration may take over at once.
      assert.deepEqual(
        said(effects).map(({ advbase, vhid }) => [advbase, vhid]),
        passesInit ? [[255, 1]] : [],
      );
      if (passesInit) {
        assert.deepEqual([...station.leases], []);
        assert.equal(station.devices.get("carp0")?.active, false);
      }
    });

  it("leaves it MASTER within the grace: other addresses, which it has at once and announces", () => {
    const station = master();
    const effects = station.set("carp0", {
      addAddresses: [ipv4("10.0.0.1", 25), ipv4("10.0.0.5")],
      removeAddresses: [],
    });
    assert.deepEqual(transitions(effects), []);
    assert.deepEqual(
      station.devices.get("carp0")?.addresses.map(({ address, prefixLength }) => [address, prefixLength]),
      [
        ["10.0.0.1", 25],
        ["10.0.0.5", 24],
      ],
    );
    assert.deepEqual(only(effects, "announce").length, 1);
    assert.ok(station.leaseLeft() > 0);
  });

  it("uses the first pass at once, in both directions", () => {
    const station = master();
    station.set("carp0", { pass: "new" });
    station.hear(advertisement({ advbase: 0, advskew: 1, pass: "" }));
    assert.equal(station.state(), "MASTER");
    station.hear(advertisement({ advbase: 0, advskew: 1, pass: "new" }));
    assert.equal(station.state(), "BACKUP");
  });

  it("that removes the last address leads to INIT, with the reason", () => {
    const station = master();
    const effects = station.set("carp0", { removeAddresses: ["10.0.0.1"] });
    assert.deepEqual(transitions(effects), ["MASTER -> INIT"]);
    const [view] = station.host.interfaces();
    assert.deepEqual(
      [view?.running, view?.status, view?.notRunning],
      [false, "invalid", "no address is set"],
    );
    assert.deepEqual([...station.timers.keys()].map(timerName), ["carp0/grace"]);
  });

  it("listens on the new carpdev and no longer on the old", () => {
    const station = master({}, { links: [link("eth0"), link("eth1")] });
    station.set("carp0", { carpdev: "eth1" });
    assert.deepEqual([...station.listening], [["eth1", 3]]);
  });
});

describe("the obstacle that keeps an interface from running", () => {
  it("is named for each thing that is missing", () => {
    const station = new Station(new World(), { links: [] });
    const why = () => station.host.interfaces()[0]?.notRunning;
    station.does({ kind: "create", name: "carp0" });
    assert.equal(why(), "it is down");
    station.set("carp0", { up: true });
    assert.equal(why(), "no vhid is set");
    station.set("carp0", { vhid: 1 });
    assert.equal(why(), "no carpdev is set");
    station.link(link("eth0", { up: false }));
    station.set("carp0", { carpdev: "eth0" });
    assert.equal(why(), "carpdev eth0 is down");
    station.link(link("eth0", { carrier: false }));
    assert.equal(why(), "carpdev eth0 has no carrier");
    station.linkGone("eth0");
    assert.equal(why(), "carpdev eth0 is missing");
    station.link(link("eth0"));
    assert.equal(why(), "no address is set");
    const effects = station.set("carp0", { addAddresses: [ipv4("10.0.0.1")] });
    assert.deepEqual(transitions(effects), ["INIT -> BACKUP"]);
    assert.equal(why(), undefined);
  });

  it("is being down, which giving an address ends", () => {
    const station = new Station(new World());
    station.set("carp0", { carpdev: "eth0", vhid: 1 });
    assert.equal(station.state(), "INIT");
    station.set("carp0", { addAddresses: [ipv4("10.0.0.1")], up: false });
    assert.equal(station.state(), "INIT");
    station.set("carp0", { addAddresses: [ipv4("10.0.0.1")] });
    assert.equal(station.state(), "BACKUP");
  });
});

describe("the carpdev", () => {
  it("is the device with an address in the same subnet, unless one is given", () => {
    const station = new Station(new World(), { links: [link("eth0"), link("eth1")] });
    station.set("carp0", { vhid: 1, addAddresses: [ipv4("10.0.1.1")] });
    assert.equal(station.host.interfaces()[0]?.carpdev, "eth1");
  });

  it("is not chosen by a link-local address, which is in every device's subnet", () => {
    const linkLocal = { family: 6 as const, address: "fe80::2", prefixLength: 64 };
    const station = new Station(new World(), { links: [link("eth0", { addresses: [linkLocal] })] });
    station.set("carp0", { vhid: 1, addAddresses: [ipv6("fe80::1")] });
    assert.equal(station.host.interfaces()[0]?.carpdev, undefined);
  });

  it("that comes back as a new device is listened on again, and the carp device made again", () => {
    const station = master();
    station.linkGone("eth0");
    assert.deepEqual([...station.listening], []);
    assert.equal(station.state(), "INIT");
    const effects = station.link(link("eth0", { index: 77 }));
    assert.deepEqual([...station.listening], [["eth0", 77]]);
    assert.equal(only(effects, "device").length, 1);
    assert.equal(station.state(), "BACKUP");
  });
});

describe("the source of advertisements", () => {
  const globalAddress = { family: 6 as const, address: "2001:db8::2", prefixLength: 64 };

  function sources(station: Station): string[] {
    const [first] = only(station.set("carp0", { state: "master" }), "advertise");
    return (first?.transmissions ?? []).map((each) => read(each).source);
  }

  it("is the carpdev's first address in each shared family", () => {
    const eth0 = link("eth0");
    const second = { family: 4 as const, address: "10.0.0.3", prefixLength: 24 };
    const station = new Station(new World(), {
      links: [{ ...eth0, addresses: [...eth0.addresses, second, globalAddress] }],
    });
    station.set("carp0", { ...PLAIN, addAddresses: [ipv6("2001:db8::1"), ipv4("10.0.0.1")] });
    assert.deepEqual(sources(station), ["10.0.0.2", "2001:db8::2"]);
  });

  it("is in no family without a shared address", () => {
    assert.deepEqual(sources(backup()), ["10.0.0.2"]);
  });

  it("is the shared address where the carpdev has none in the family", () => {
    const station = new Station(new World(), { links: [link("eth0", { addresses: [] })] });
    station.set("carp0", { ...PLAIN, addAddresses: [ipv4("10.0.0.1"), ipv6("2001:db8::1")] });
    assert.deepEqual(sources(station), ["10.0.0.1", "2001:db8::1"]);
  });

  it("follows the carpdev's addresses", () => {
    const station = backup();
    const changed = { family: 4 as const, address: "10.0.0.4", prefixLength: 24 };
    station.link(link("eth0", { addresses: [changed] }));
    assert.deepEqual(sources(station), ["10.0.0.4"]);
  });

  it("may be an IPv6 link-local address alone, which the digest leaves out", () => {
    const station = new Station(new World(), { links: [link("eth0", { addresses: [] })] });
    station.set("carp0", { carpdev: "eth0", vhid: 1, addAddresses: [ipv6("fe80::1")] });
    assert.deepEqual(sources(station), ["fe80::1"]);
    for (const addresses of [[], ["fe80::1"]]) {
      station.set("carp0", { state: "backup" });
      station.world.run(LINGER_US);
      station.hear(advertisement({ addresses, source: "fe80::9", demote: 1 }));
      assert.equal(station.state(), "MASTER");
    }
  });
});

describe("a unicast peer", () => {
  it("gets the 36 bytes routed by the kernel, with the DSCP that is set", () => {
    const station = backup({ carppeer: ["192.0.2.7"] });
    station.sysctl("dscp", 46);
    const [first] = only(station.set("carp0", { state: "master" }), "advertise");
    const [transmission, ...more] = first?.transmissions ?? [];
    assert.deepEqual(more, []);
    assert.ok(transmission !== undefined && "destination" in transmission);
    const { family, destination, source, trafficClass, payload } = transmission;
    assert.deepEqual(
      { family, destination, source, trafficClass, bytes: payload.length },
      {
        family: 4,
        destination: "192.0.2.7",
        source: "10.0.0.2",
        trafficClass: 46 << 2,
        bytes: 36,
      },
    );
  });
});

describe("the MAC that is given out", () => {
  it("is the virtual MAC of the vhid", () => {
    assert.equal(master({ vhid: 17 }).devices.get("carp0")?.mac, "00:00:5e:00:01:11");
  });

  it("is in the digest if set by hand, but not the carpdev's own or the virtual one", () => {
    const lladdr = "02:00:00:00:00:77";
    const byHand = backup({ lladdr });
    byHand.hear(advertisement({ demote: 1 }));
    assert.equal(byHand.state(), "BACKUP");
    byHand.hear(advertisement({ demote: 1, handSetLladdr: lladdr }));
    assert.equal(byHand.state(), "MASTER");
    for (const known of ["00:00:5e:00:01:01", link("eth0").mac]) {
      const station = backup({ lladdr: known });
      station.hear(advertisement({ demote: 1 }));
      assert.equal(station.state(), "MASTER", known);
    }
  });

  it("equal to the carpdev's own puts the addresses on the carpdev", () => {
    const station = master({ lladdr: link("eth0").mac });
    const device = station.devices.get("carp0");
    assert.deepEqual([device?.realMac, device?.mac, device?.active], [true, link("eth0").mac, true]);
    // The kernel then lists the shared addresses there, but they are not the host's own.
    const shared = { family: 4 as const, address: "10.0.0.1", prefixLength: 24 };
    station.link(link("eth0", { addresses: [shared, ...link("eth0").addresses] }));
    station.take();
    station.world.run(SECOND);
    assert.equal(said(station.take())[0] && station.node().state, "MASTER");
    const [sent] = only(station.set("carp0", { state: "backup" }), "advertise");
    assert.equal(read(sent?.transmissions[0]).source, "10.0.0.2");
  });

  it("may be set back to the virtual one", () => {
    const station = backup({ lladdr: "02:00:00:00:00:77" });
    station.set("carp0", { lladdr: null });
    assert.equal(station.host.interfaces()[0]?.lladdr, "00:00:5e:00:01:01");
  });
});
