/** An engine that is killed and comes back: devices, addresses on carpdevs and settings it finds. Needs root. */

import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import type { Device } from "../../../src/core/model.ts";
import { eventuallyEqual } from "../../hosts/eventually.ts";
import {
  addCarpdev,
  apply,
  clearNetwork,
  enterPrivateNetwork,
  ip,
  openLinks,
  Recorder,
  readConf,
  temporaryRunDir,
  writeConf,
} from "./private-network.ts";

enterPrivateNetwork(import.meta.url);

let runDir: ReturnType<typeof temporaryRunDir>;
let events: Recorder;
let links: ReturnType<typeof openLinks>;

/** Ends as after a kill: nothing is taken down, and another engine starts with the same run directory. */
async function restart(): Promise<void> {
  links.close();
  events = new Recorder();
  links = openLinks(runDir.path, events);
  await links.start();
}

beforeEach(async () => {
  runDir = temporaryRunDir();
  events = new Recorder();
  links = openLinks(runDir.path, events);
  addCarpdev();
  ip("addr add 10.0.0.20/24 dev eth0");
  await links.start();
});

afterEach(() => {
  links.close();
  clearNetwork();
  runDir.remove();
});

const device = (changes: Partial<Device> = {}): Device => ({
  name: "carp0",
  carpdev: "eth0",
  mac: "00:00:5e:00:01:01",
  realMac: false,
  mtu: undefined,
  active: true,
  addresses: [{ family: 4, address: "10.0.0.1", prefixLength: 24 }],
  ...changes,
});
const realMac = (changes: Partial<Device> = {}) =>
  device({ realMac: true, mac: events.linkNamed("eth0")?.mac ?? "", ...changes });
const inet = (name: string) =>
  [...ip(`-o -4 addr show dev ${name}`).matchAll(/inet (\S+)/g)].map(([, each]) => each);
const indexOf = (name: string) => Number(/^\d+/.exec(ip(`-o link show dev ${name}`))?.[0]);
const exists = (name: string) => ip("-o link show").includes(` ${name}@`);

test("an engine that comes back adopts its device untouched, and every address on it as its own", async () => {
  await apply(
    links,
    "carp0",
    device({
      addresses: ["10.0.0.1", "10.0.0.2"].map((address) => ({ family: 4, address, prefixLength: 24 })),
    }),
  );
  const index = indexOf("carp0");
  await restart();
  await links.removeLeftovers(new Set(["carp0"]));
  await apply(links, "carp0", device());
  assert.equal(indexOf("carp0"), index);
  assert.deepEqual(inet("carp0"), ["10.0.0.1/24"]);
  assert.deepEqual(
    events.heard.filter(({ kind }) => kind === "device"),
    [{ kind: "device", name: "carp0", index }],
  );
  assert.equal(events.linkNamed("carp0"), undefined);
});

test("a device that no interface claims any more is removed; another run directory's is not", async () => {
  await apply(links, "carp0", device());
  await apply(links, "carp1", device({ name: "carp1", mac: "00:00:5e:00:01:02" }));
  const other = temporaryRunDir();
  const theirs = openLinks(other.path, new Recorder());
  await theirs.start();
  await apply(theirs, "carp2", device({ name: "carp2", mac: "00:00:5e:00:01:03" }));
  theirs.close();
  other.remove();
  await restart();
  await links.removeLeftovers(new Set(["carp1"]));
  assert.deepEqual(["carp0", "carp1", "carp2"].map(exists), [false, true, true]);
  assert.equal(events.linkNamed("carp2"), undefined);
});

test("ours by its mark but on another carpdev: built anew", async () => {
  addCarpdev("eth1");
  await apply(links, "carp0", device());
  await restart();
  await apply(links, "carp0", device({ carpdev: "eth1" }));
  assert.match(ip("-o link show dev carp0"), /carp0@eth1/);
});

test("with the carpdev's own MAC the addresses go on the carpdev and no device is made", async () => {
  await apply(links, "carp0", realMac());
  assert.equal(exists("carp0"), false);
  assert.deepEqual(inet("eth0"), ["10.0.0.20/24", "10.0.0.1/24"]);
  assert.equal(ip("route show").match(/10.0.0.0\/24/g)?.length, 1);
  await apply(links, "carp0", realMac({ active: false }));
  assert.deepEqual(inet("eth0"), ["10.0.0.20/24"]);
  assert.deepEqual(
    events.heard.filter(({ kind }) => kind === "device"),
    [],
  );
});

test("a shared address on the carpdev is not reported as one of the carpdev's", async () => {
  await apply(links, "carp0", realMac());
  ip("addr add 10.0.0.21/24 dev eth0");
  await events.until(() =>
    events.linkNamed("eth0")?.addresses.some(({ address }) => address === "10.0.0.21"),
  );
  const reported = events.heard.flatMap((each) => (each.kind === "link" ? each.link.addresses : []));
  assert.equal(
    reported.some(({ address }) => address === "10.0.0.1"),
    false,
  );
});

test("an address the carpdev had already stays its owner's", async () => {
  ip("addr add 10.0.0.1/24 dev eth0");
  await events.until(() => events.linkNamed("eth0")?.addresses.some(({ address }) => address === "10.0.0.1"));
  await apply(links, "carp0", realMac());
  await apply(links, "carp0", realMac({ active: false }));
  await apply(links, "carp0", null);
  assert.deepEqual(inet("eth0"), ["10.0.0.20/24", "10.0.0.1/24"]);
});

test("a shared address that another program takes off the carpdev comes back", async () => {
  await apply(links, "carp0", realMac());
  ip("addr del 10.0.0.1/24 dev eth0");
  assert.equal(await events.repair(), "address 10.0.0.1 was removed");
  assert.deepEqual(inet("eth0"), ["10.0.0.20/24", "10.0.0.1/24"]);
});

test("leaving the carpdev, a shared address that came first takes none of its owner's along", async () => {
  const former = readConf("eth0", "promote_secondaries");
  ip("addr del 10.0.0.20/24 dev eth0");
  await events.until(() => events.linkNamed("eth0")?.addresses.every(({ family }) => family === 6));
  await apply(links, "carp0", realMac());
  ip("addr add 10.0.0.20/24 dev eth0");
  await events.until(() =>
    events.linkNamed("eth0")?.addresses.some(({ address }) => address === "10.0.0.20"),
  );
  await apply(links, "carp0", realMac({ active: false }));
  assert.deepEqual(inet("eth0"), ["10.0.0.20/24"]);
  assert.equal(readConf("eth0", "promote_secondaries"), former);
});

test("shared addresses left on a carpdev by a killed engine are removed unless their interface is kept", async () => {
  await apply(links, "carp0", realMac());
  await apply(
    links,
    "carp1",
    realMac({ name: "carp1", addresses: [{ family: 4, address: "10.0.0.2", prefixLength: 24 }] }),
  );
  await restart();
  assert.deepEqual(events.linkNamed("eth0")?.addresses.filter(({ family }) => family === 4).length, 1);
  await links.removeLeftovers(new Set(["carp1"]));
  assert.deepEqual(inet("eth0"), ["10.0.0.20/24", "10.0.0.2/24"]);
  await apply(links, "carp1", null);
  assert.deepEqual(inet("eth0"), ["10.0.0.20/24"]);
  assert.deepEqual(readdirSync(runDir.path), []);
});

test("from a device of its own to the carpdev's MAC and back", async () => {
  await apply(links, "carp0", device());
  await apply(links, "carp0", realMac());
  assert.equal(exists("carp0"), false);
  assert.deepEqual(inet("eth0"), ["10.0.0.20/24", "10.0.0.1/24"]);
  await apply(links, "carp0", device());
  assert.deepEqual(inet("eth0"), ["10.0.0.20/24"]);
  assert.deepEqual(inet("carp0"), ["10.0.0.1/24"]);
});

const arp = (name = "eth0") => [readConf(name, "arp_ignore"), readConf(name, "arp_announce")];
const file = () => join(runDir.path, "carpdev-settings.json");

test("a carpdev's ARP settings are made fit for carp, kept, and put back", () => {
  writeConf("eth0", "arp_announce", 1);
  links.prepareCarpdev("eth0");
  assert.deepEqual(arp(), [1, 2]);
  assert.equal(statSync(file()).mode & 0o777, 0o600);
  links.restoreCarpdev("eth0");
  assert.deepEqual(arp(), [0, 1]);
  assert.equal(existsSync(file()), false);
});

test("settings that are strict enough already are not touched", () => {
  writeConf("all", "arp_announce", 2);
  try {
    writeConf("eth0", "arp_ignore", 2);
    links.prepareCarpdev("eth0");
    assert.deepEqual(arp(), [2, 0]);
    assert.equal(existsSync(file()), false);
  } finally {
    writeConf("all", "arp_announce", 0);
  }
});

test("a setting that another program changed meanwhile is left as it is", () => {
  links.prepareCarpdev("eth0");
  writeConf("eth0", "arp_ignore", 8);
  links.restoreCarpdev("eth0");
  assert.deepEqual(arp(), [8, 0]);
});

test("an engine that comes back after a kill still puts back what was there first", async () => {
  links.prepareCarpdev("eth0");
  await restart();
  links.prepareCarpdev("eth0");
  links.restoreCarpdev("eth0");
  assert.deepEqual(arp(), [0, 0]);
});

test("settings of a carpdev that no kept interface is on are put back at the start", async () => {
  addCarpdev("eth1");
  await events.until(() => events.linkNamed("eth1"));
  links.prepareCarpdev("eth0");
  links.prepareCarpdev("eth1");
  await apply(links, "carp0", device());
  await restart();
  await links.removeLeftovers(new Set(["carp0"]));
  assert.deepEqual(arp(), [1, 2]);
  assert.deepEqual(arp("eth1"), [0, 0]);
  const kept = Object.values<{ name: string }>(JSON.parse(readFileSync(file(), "utf8")));
  assert.deepEqual(
    kept.map(({ name }) => name),
    ["eth0"],
  );
});

test("the former settings that an engine of an earlier version kept by name are put back", async () => {
  links.close();
  const index = Number(/^\d+/.exec(ip("-o link show eth0")));
  for (const [name, value] of [
    ["arp_ignore", 1],
    ["arp_announce", 2],
  ] as const)
    writeConf("eth0", name, value);
  const settings = { arp_ignore: { former: 0, wrote: 1 }, arp_announce: { former: 1, wrote: 2 } };
  writeFileSync(file(), JSON.stringify({ eth0: { index, settings } }));
  await restart();
  await links.removeLeftovers(new Set());
  assert.deepEqual(arp(), [0, 1]);
});

test("carpdevs that exchange their names are fit for carp, and get back what each had before", async () => {
  addCarpdev("eth1");
  await events.until(() => events.linkNamed("eth1"));
  writeConf("eth1", "arp_announce", 1);
  links.prepareCarpdev("eth0");
  links.prepareCarpdev("eth1");
  for (const [from, to] of [
    ["eth0", "tmp0"],
    ["eth1", "eth0"],
    ["tmp0", "eth1"],
  ] as const) {
    ip(`link set ${from} down`);
    ip(`link set ${from} name ${to}`);
  }
  await events.until((heard) => heard.filter((each) => each.kind === "gone").length >= 2);
  await eventuallyEqual(
    async () => [arp(), arp("eth1")],
    [
      [1, 2],
      [1, 2],
    ],
  );
  links.restoreCarpdev("eth0");
  links.restoreCarpdev("eth1");
  await eventuallyEqual(
    async () => [arp(), arp("eth1")],
    [
      [0, 1],
      [0, 0],
    ],
  );
});

test("another device that takes the name of a carpdev keeps settings of its own", async () => {
  links.prepareCarpdev("eth0");
  writeConf("default", "arp_ignore", 1);
  try {
    ip("link del eth0");
    addCarpdev();
  } finally {
    writeConf("default", "arp_ignore", 0);
  }
  await events.until((heard) => heard.some((each) => each.kind === "gone" && each.name === "eth0"));
  links.restoreCarpdev("eth0");
  assert.deepEqual(arp(), [1, 0]);
});

test("a carpdev that is gone, made again or renamed does no harm", async () => {
  links.prepareCarpdev("eth0");
  ip("link del eth0");
  await events.until((heard) => heard.some((each) => each.kind === "gone" && each.name === "eth0"));
  addCarpdev();
  await events.until(
    (heard) => heard.filter((each) => each.kind === "link" && each.link.name === "eth0").length > 1,
  );
  links.prepareCarpdev("eth0");
  assert.deepEqual(arp(), [1, 2]);
  ip("link set eth0 down");
  ip("link set eth0 name wan0");
  await events.until(() => events.linkNamed("wan0"));
  links.restoreCarpdev("eth0");
  assert.deepEqual(arp("wan0"), [0, 0]);
  links.prepareCarpdev("eth7");
  links.restoreCarpdev("eth7");
  assert.deepEqual(events.complaints(), []);
});

test("what is unreadable in the run directory is as if it were not there", async () => {
  for (const name of ["carpdev-settings.json", "placed-addresses.json"]) {
    writeFileSync(join(runDir.path, name), '{"eth0": [');
  }
  await restart();
  await links.removeLeftovers(new Set());
  links.prepareCarpdev("eth0");
  links.restoreCarpdev("eth0");
  assert.deepEqual(arp(), [0, 0]);
});
