/** Several nodes on one carp interface: elections of their own, one device. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { LINGER_US } from "../../../src/core/election/timing.ts";
import type { Balancing } from "../../../src/core/model.ts";
import { formatMac } from "../../../src/protocol/address.ts";
import { ipv4, link, logged, only, SECOND, Station, transitions, World } from "./driver.ts";
import { advertisement } from "./peer.ts";

function balanced(balancing?: Balancing): Station {
  const station = new Station(new World());
  const carpnodes = [
    { vhid: 2, advskew: 100 },
    { vhid: 1, advskew: 0 },
  ];
  station.set("carp0", { carpdev: "eth0", carpnodes, balancing, addAddresses: [ipv4("10.0.0.1")] });
  station.take();
  return station;
}

describe("several nodes", () => {
  it("are in order of vhid, each with its own timer", () => {
    const station = balanced();
    assert.deepEqual(
      station.host.interfaces()[0]?.nodes.map(({ vhid, advskew }) => [vhid, advskew]),
      [
        [1, 0],
        [2, 100],
      ],
    );
    assert.deepEqual(
      [1, 2].map((vhid) => station.dueIn(`carp0/${vhid}/master-down`)),
      [3 * SECOND, (3 * 356 * SECOND) / 256],
    );
  });

  it("are elected independently; one MASTER makes the interface master", () => {
    const station = balanced();
    const status = () => station.host.interfaces()[0]?.status;
    assert.equal(status(), "backup");
    station.hear(advertisement({ vhid: 2, demote: 1 }));
    assert.deepEqual([station.state(1), station.state(2), status()], ["BACKUP", "MASTER", "master"]);
    assert.equal(station.devices.get("carp0")?.active, true);
    assert.deepEqual([...station.leases.keys()], ["carp0/2"]);
    station.hear(advertisement({ vhid: 1, demote: 1 }));
    station.take();
    station.hear(advertisement({ vhid: 2, advskew: 0 }));
    assert.deepEqual(only(station.take(), "device"), []);
    assert.deepEqual([station.state(1), station.state(2), status()], ["MASTER", "BACKUP", "master"]);
  });

  it("are named in the log", () => {
    const station = balanced();
    const effects = station.hear(advertisement({ vhid: 2, demote: 1 }));
    assert.deepEqual(logged(effects), ["2 carp0: state transition (vhid 2): BACKUP -> MASTER"]);
  });

  it("are never announced", () => {
    const station = balanced();
    station.set("carp0", { state: "master" });
    station.world.run(10 * SECOND);
    assert.deepEqual(only(station.effects, "announce"), []);
  });

  it("accept only their own digest", () => {
    const station = balanced();
    station.hear(advertisement({ vhid: 2, demote: 1, tamper: (message) => message.fill(1, 1, 2) }));
    assert.equal(station.host.statistics.badAuthentication, 1);
    assert.deepEqual(transitions(station.effects), []);
  });

  it("include a MAC set by hand in the digest of the first alone", () => {
    const station = balanced("ip-unicast");
    const handSetLladdr = "02:00:00:00:00:77";
    station.set("carp0", { lladdr: handSetLladdr });
    station.hear(advertisement({ vhid: 1, demote: 1, handSetLladdr }));
    station.hear(advertisement({ vhid: 2, demote: 1 }));
    assert.deepEqual([station.state(1), station.state(2)], ["MASTER", "MASTER"]);
  });

  it("are all forced together", () => {
    const station = balanced();
    station.set("carp0", { state: "master" });
    assert.deepEqual([station.state(1), station.state(2)], ["MASTER", "MASTER"]);
    station.set("carp0", { state: "backup" });
    station.world.run(LINGER_US);
    assert.deepEqual([station.state(1), station.state(2)], ["BACKUP", "BACKUP"]);
    assert.equal(station.devices.get("carp0")?.active, false);
  });
});

describe("the MACs of a balancing mode", () => {
  const own = link("eth0").mac;
  const modes: [mode: Balancing | undefined, shown: Balancing, given: string, source: string][] = [
    [undefined, "ip", "01:00:5e:00:01:01", own],
    ["none", "ip", "01:00:5e:00:01:01", own],
    ["ip", "ip", "01:00:5e:00:01:01", own],
    ["ip-unicast", "ip-unicast", "00:00:5e:00:01:01", "00:00:5e:00:01:01"],
    ["ip-stealth", "ip-stealth", "00:00:5e:00:01:01", own],
  ];
  for (const [mode, shown, given, source] of modes)
    it(`${mode ?? "no mode chosen"}: gives out ${given}, sends from ${source}`, () => {
      const station = balanced(mode);
      station.set("carp0", { state: "master" });
      const [view] = station.host.interfaces();
      assert.deepEqual([view?.balancing, view?.lladdr], [shown, given]);
      // No Linux device can have a multicast MAC: the filter translates between the two.
      assert.equal(station.devices.get("carp0")?.mac, "00:00:5e:00:01:01");
      const filter = station.filters.get("carp0");
      assert.deepEqual([filter?.mac, filter?.balancing], [given, shown]);
      const transmission = only(station.effects, "advertise")[0]?.transmissions[0];
      assert.ok(transmission !== undefined && "frame" in transmission);
      assert.equal(formatMac(transmission.frame.subarray(6, 12)), source);
    });

  it("one node balances nothing, in any mode", () => {
    const station = balanced("ip");
    station.set("carp0", { vhid: 7 });
    const [view] = station.host.interfaces();
    assert.deepEqual([view?.balancing, view?.lladdr], ["none", "00:00:5e:00:01:07"]);
  });
});
