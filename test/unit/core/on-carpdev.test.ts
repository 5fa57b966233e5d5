/** FreeBSD's way to name a carp interface, by its carpdev and a vhid: which one is changed, created or destroyed. */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { InterfaceChange } from "../../../src/core/interface/configuration.ts";
import { ipv4, ipv6, link, Station, World } from "./driver.ts";

const nodes = [1, 2, 3].map((vhid) => ({ vhid, advskew: 10 * vhid }));

function station(): Station {
  return new Station(new World(), { links: [link("eth0"), link("eth1")] });
}
const on = (carpdev: string, change: InterfaceChange) => ({ kind: "change-on", carpdev, change }) as const;
const changed = (host: Station, carpdev: string, change: InterfaceChange) => {
  const outcome = host.command(on(carpdev, change));
  assert.ok(!("error" in outcome), "error" in outcome ? outcome.error : "");
  return outcome;
};
const configured = (host: Station) =>
  host.host.configuration.interfaces.map(({ name, carpdev, nodes, addresses }) => [
    name,
    carpdev,
    nodes.map(({ vhid, advskew }) => `${vhid}:${advskew}`).join(),
    addresses.map(({ address }) => address).join(),
  ]);

test("each vhid on each device gets the next free interface, and keeps it", () => {
  const host = station();
  host.does({ kind: "create", name: "carp1" });
  const added = { addAddresses: [{ ...ipv4("10.0.0.7"), alias: true }] };
  assert.equal(changed(host, "eth0", { vhid: 1, advskew: 100 }).name, "carp0");
  assert.equal(changed(host, "eth0", { vhid: 2 }).name, "carp2");
  assert.equal(changed(host, "eth1", { vhid: 1, ...added }).name, "carp3");
  assert.equal(changed(host, "eth0", { vhid: 1, addAddresses: [ipv4("10.0.0.1")] }).name, "carp0");
  assert.deepEqual(configured(host), [
    ["carp1", undefined, "", ""],
    ["carp0", "eth0", "1:100", "10.0.0.1"],
    ["carp2", "eth0", "2:0", ""],
    ["carp3", "eth1", "1:0", "10.0.0.7"],
  ]);
});

test("of an interface with several nodes, the vhid names one: the others keep advskew and state", () => {
  const host = station();
  host.set("carp0", { carpdev: "eth0", carpnodes: nodes, addAddresses: [ipv4("10.0.0.1")] });
  changed(host, "eth0", { vhid: 2, advskew: 5 });
  changed(host, "eth0", { vhid: 3, description: "three" });
  assert.deepEqual(configured(host), [["carp0", "eth0", "1:10,2:5,3:30", "10.0.0.1"]]);
  changed(host, "eth0", { vhid: 2, state: "master" });
  assert.deepEqual(
    nodes.map(({ vhid }) => host.state(vhid)),
    ["BACKUP", "MASTER", "BACKUP"],
  );
});

test("with its last address the interface goes, and only then", () => {
  const host = station();
  const both = [ipv4("10.0.0.1"), { ...ipv6("2001:db8::1"), alias: true }];
  changed(host, "eth0", { vhid: 1, addAddresses: both });
  assert.equal(changed(host, "eth0", { vhid: 1, removeAddresses: ["10.0.0.1"] }).destroyed, undefined);
  assert.deepEqual(configured(host), [["carp0", "eth0", "1:0", "2001:db8::1"]]);
  assert.equal(changed(host, "eth0", { vhid: 1, removeFamilies: [6] }).destroyed, true);
  assert.deepEqual(configured(host), []);
});

test("an address is removed without its vhid", () => {
  const host = station();
  changed(host, "eth0", { vhid: 1, addAddresses: [ipv4("10.0.0.1")] });
  changed(host, "eth0", { vhid: 2, addAddresses: [ipv4("10.0.0.5"), { ...ipv4("10.0.0.6"), alias: true }] });
  assert.equal(changed(host, "eth0", { removeAddresses: ["10.0.0.5"] }).name, "carp1");
  assert.deepEqual(configured(host)[1], ["carp1", "eth0", "2:0", "10.0.0.6"]);
});

test("an interface that is being destroyed is created anew", () => {
  const host = station();
  changed(host, "eth0", { vhid: 1, pass: "sesame", addAddresses: [ipv4("10.0.0.1")] });
  changed(host, "eth0", { vhid: 1, state: "master" });
  changed(host, "eth0", { removeAddresses: ["10.0.0.1"] });
  assert.ok(host.host.isLeaving("carp0"));
  assert.equal(changed(host, "eth0", { vhid: 1, addAddresses: [ipv4("10.0.0.5")] }).name, "carp0");
  assert.deepEqual(configured(host), [["carp0", "eth0", "1:0", "10.0.0.5"]]);
  assert.equal(host.host.configuration.interfaces[0]?.pass, "");
});

for (const [carpdev, change, error] of [
  ["eth9", { vhid: 1 }, "eth9: no such device"],
  ["eth0", { advskew: 1 }, "vhid: needed to say which virtual host on eth0"],
  ["eth0", { removeAddresses: ["10.0.0.7"] }, "10.0.0.7: no carp interface on eth0 has it"],
  ["eth1", { removeAddresses: ["10.0.0.1"] }, "10.0.0.1: no carp interface on eth1 has it"],
  ["eth0", { vhid: 1, removeAddresses: ["10.0.0.7"] }, "10.0.0.7: no such address on carp0"],
  ["eth0", { vhid: 9, removeAddresses: ["10.0.0.1"] }, "vhid 9: no carp interface on eth0 has it"],
  ["eth0", { vhid: 9, removeFamilies: [4], pass: "x" }, "vhid 9: no carp interface on eth0 has it"],
  ["eth0", { vhid: 1, carpdev: "eth1" }, "carpdev eth1: the carpdev is eth0"],
  ["eth0", { vhid: 1, carpnodes: nodes }, "vhid 1: cannot be combined with carpnodes"],
  ["eth0", { vhid: 2, addAddresses: [ipv4("10.0.0.1")] }, "10.0.0.1 is already used by carp0"],
  ["eth0", { vhid: 2, state: "master" }, "state master: carp1 does not run: it is down"],
] as const satisfies readonly (readonly [string, InterfaceChange, string])[])
  test(`refused, and nothing is created: ${error}`, () => {
    const host = station();
    changed(host, "eth0", { vhid: 1, addAddresses: [ipv4("10.0.0.1")] });
    const before = configured(host);
    assert.equal(host.refuses(on(carpdev, change)), error);
    assert.deepEqual(configured(host), before);
  });
