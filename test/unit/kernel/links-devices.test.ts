/** Carp devices in a real kernel: made, changed, repaired after changes by other programs, and reported. Needs root. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { afterEach, beforeEach, test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { Device, InterfaceAddress } from "../../../src/core/model.ts";
import { eventually } from "../../hosts/eventually.ts";
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

beforeEach(async () => {
  runDir = temporaryRunDir();
  events = new Recorder();
  links = openLinks(runDir.path, events);
  addCarpdev();
  await links.start();
});

afterEach(() => {
  links.close();
  clearNetwork();
  runDir.remove();
});

const inet = (address: string, prefixLength = 24): InterfaceAddress => ({ family: 4, address, prefixLength });
const inet6 = (address: string, prefixLength = 64): InterfaceAddress => ({
  family: 6,
  address,
  prefixLength,
});
const carp0 = (changes: Partial<Device> = {}): Device => ({
  name: "carp0",
  carpdev: "eth0",
  mac: "00:00:5e:00:01:01",
  realMac: false,
  mtu: undefined,
  active: true,
  addresses: [inet("10.0.0.1"), inet6("2001:db8::1")],
  ...changes,
});
const show = (device = "carp0") => ip(`-d link show dev ${device}`);
const addresses = (device = "carp0") =>
  [...ip(`-o addr show dev ${device}`).matchAll(/inet6? (\S+)/g)]
    .map(([, address]) => address)
    .filter((address) => !address?.startsWith("fe80"))
    .sort();
const exists = (device: string) => ip("-o link show").includes(` ${device}@`);

test("an active device is a macvlan in bridge mode, up, with the carp MAC and its addresses", async () => {
  await apply(links, "carp0", carp0());
  const link = show();
  assert.match(link, /carp0@eth0: <[^>]*\bUP\b[^>]*LOWER_UP/);
  assert.match(link, /link\/ether 00:00:5e:00:01:01/);
  assert.match(link, /macvlan mode bridge/);
  assert.match(link, /addrgenmode none/);
  assert.doesNotMatch(link, /protodown on/);
  assert.match(link, new RegExp(`alias carpctl ${runDir.path}\n`));
  assert.match(ip("addr show dev carp0"), /inet 10.0.0.1\/24 brd 10.0.0.255 scope global carp0/);
  assert.match(ip("addr show dev carp0"), /inet6 2001:db8::1\/64 scope global nodad/);
  assert.deepEqual(addresses(), ["10.0.0.1/24", "2001:db8::1/64"]);
  const settings = [readConf("carp0", "arp_ignore"), readConf("carp0", "arp_announce")];
  assert.deepEqual(settings, [1, 2]);
  assert.deepEqual(
    ["accept_ra", "accept_dad", "autoconf"].map((each) => readConf("carp0", each, 6)),
    [0, 0, 0],
  );
  const index = Number(/^\d+/.exec(link)?.[0]);
  assert.deepEqual(
    events.heard.filter(({ kind }) => kind === "device"),
    [{ kind: "device", name: "carp0", index }],
  );
});

test("an IPv6 address is received for as soon as it is said to be in place", async () => {
  const local = /^20010db8000000000000000000000001 80 .* carp0$/m;
  const readRoutes = () => readFileSync("/proc/net/ipv6_route", "latin1");
  for (let n = 0; n < 30; n += 1) {
    await apply(links, "carp0", carp0({ active: false }));
    assert.doesNotMatch(readRoutes(), local);
    await apply(links, "carp0", carp0());
    assert.match(readRoutes(), local);
  }
});

test("an inactive device has no address, is down and held down", async () => {
  await apply(links, "carp0", carp0());
  await apply(links, "carp0", carp0({ active: false }));
  assert.deepEqual(addresses(), []);
  assert.match(show(), /carp0@eth0: <BROADCAST,MULTICAST>/);
  assert.match(show(), /protodown on/);
  await apply(links, "carp0", carp0());
  assert.deepEqual(addresses(), ["10.0.0.1/24", "2001:db8::1/64"]);
});

test("a device of ours is never reported as a link, nor its making as a change by another program", async () => {
  await apply(links, "carp0", carp0({ active: false }));
  await apply(links, "carp0", carp0());
  await apply(links, "carp0", carp0({ mac: "00:00:5e:00:01:02", mtu: 1400 }));
  await apply(links, "carp0", carp0({ active: false, mac: "00:00:5e:00:01:03" }));
  await apply(links, "carp0", null);
  ip("link add last type bridge");
  await events.until(() => events.linkNamed("last"));
  assert.equal(events.linkNamed("carp0"), undefined);
  assert.deepEqual(events.repairs(), []);
  assert.ok(events.heard.every((each) => each.kind !== "placed" || each.errors.length === 0));
  assert.equal(exists("carp0"), false);
});

test("of several applies in quick succession the last one holds, and each is done", async () => {
  await Promise.all([
    apply(links, "carp0", carp0()),
    apply(links, "carp0", carp0({ active: false })),
    apply(links, "carp0", null),
    apply(links, "carp0", carp0({ addresses: [inet("10.0.0.7")] })),
  ]);
  assert.deepEqual(addresses(), ["10.0.0.7/24"]);
  assert.deepEqual(events.repairs(), []);
});

test("addresses follow each apply; one that another program added stays", async () => {
  await apply(links, "carp0", carp0());
  ip("addr add 192.0.2.9/32 dev carp0");
  await apply(
    links,
    "carp0",
    carp0({ addresses: [inet("10.0.0.2"), inet6("2001:db8::1"), inet("10.9.9.9", 32)] }),
  );
  assert.deepEqual(addresses(), ["10.0.0.2/24", "10.9.9.9/32", "192.0.2.9/32", "2001:db8::1/64"]);
  assert.doesNotMatch(ip("addr show dev carp0"), /10.9.9.9\/32 brd/);
  await apply(links, "carp0", carp0({ active: false }));
  assert.deepEqual(addresses(), ["192.0.2.9/32"]);
});

test("taking away the first address of a subnet leaves the others", async () => {
  await apply(links, "carp0", carp0({ addresses: [inet("10.0.0.1"), inet("10.0.0.2"), inet("10.0.0.3")] }));
  await apply(links, "carp0", carp0({ addresses: [inet("10.0.0.2"), inet("10.0.0.3")] }));
  assert.deepEqual(addresses(), ["10.0.0.2/24", "10.0.0.3/24"]);
  assert.deepEqual(events.repairs(), []);
});

test("the subnet's route goes through carp0 only while the carpdev has no address there", async () => {
  const routes = () => ip("route show").trim().split("\n").sort();
  await apply(links, "carp0", carp0());
  assert.match(routes().join(), /^10.0.0.0\/24 dev carp0 /);
  ip("addr add 10.0.0.20/24 dev eth0");
  await events.until(() =>
    events.linkNamed("eth0")?.addresses.some(({ address }) => address === "10.0.0.20"),
  );
  await apply(links, "carp0", carp0());
  assert.match(routes().join(), /^10.0.0.0\/24 dev eth0 proto kernel[^,]*$/);
  ip("addr del 10.0.0.20/24 dev eth0");
  await events.until(() => events.linkNamed("eth0")?.addresses.every(({ family }) => family === 6));
  await apply(links, "carp0", carp0());
  assert.match(routes().join(), /^10.0.0.0\/24 dev carp0 /);
  assert.deepEqual(events.repairs(), []);
});

test("a deleted device comes back as it was", async () => {
  await apply(links, "carp0", carp0());
  const before = events.heard.find(({ kind }) => kind === "device");
  events.forget();
  ip("link del carp0");
  assert.equal(await events.repair(), "device was deleted");
  assert.deepEqual(addresses(), ["10.0.0.1/24", "2001:db8::1/64"]);
  const devices = events.heard.flatMap((each) => (each.kind === "device" ? [each.index] : []));
  assert.equal(devices[0], 0);
  assert.equal(devices[1], Number(/^\d+/.exec(show())?.[0]));
  assert.notDeepEqual(
    before,
    events.heard.find(({ kind }) => kind === "device"),
  );
});

test("flushed addresses come back, told of once", async () => {
  await apply(links, "carp0", carp0({ addresses: [inet("10.0.0.1"), inet("10.0.1.1")] }));
  ip("addr flush dev carp0");
  assert.equal(await events.repair(), "addresses 10.0.0.1, 10.0.1.1 were removed");
  assert.deepEqual(addresses(), ["10.0.0.1/24", "10.0.1.1/24"]);
  assert.equal(events.repairs().length, 1);
});

test("a single address that another program removes comes back", async () => {
  await apply(links, "carp0", carp0());
  ip("addr del 2001:db8::1/64 dev carp0");
  assert.equal(await events.repair(), "address 2001:db8::1 was removed");
  assert.deepEqual(addresses(), ["10.0.0.1/24", "2001:db8::1/64"]);
});

test("an IPv6 address that is removed again before its return was acknowledged comes back", async () => {
  await apply(links, "carp0", carp0());
  const there = () => addresses().includes("2001:db8::1/64");
  const remove = () => ip("addr del 2001:db8::1/64 dev carp0");
  remove();
  while (there()) await nextTurn();
  // Nothing is heard while these commands run: the return and the removal are told of together.
  while (!there()) await nextTurn();
  remove();
  await eventually(async () => there(), Boolean);
});

test("routes that are removed again as soon as they are back come back, too", async () => {
  await apply(links, "carp0", carp0());
  const there = () => ip("route show table local dev carp0").includes("local 10.0.0.1");
  const remove = () => ip("route del local 10.0.0.1 dev carp0 table local");
  remove();
  while (there()) await nextTurn();
  // Nothing is heard while these commands run: the answer and the removal are told of together.
  while (!there()) await nextTurn();
  remove();
  await eventually(async () => there(), Boolean);
});

for (const [words, what] of [
  ["link set carp0 down", "link was set down"],
  ["link set carp0 protodown on", "protodown was set"],
  ["link set carp0 address 02:00:00:00:00:09", "MAC was changed to 02:00:00:00:00:09"],
  ["link set carp0 mtu 1300", "mtu was changed to 1300"],
  ["link set carp0 alias mine", "alias was changed"],
] as const) {
  test(`put right and reported: ${what}`, async () => {
    await apply(links, "carp0", carp0({ mtu: 1400 }));
    ip(words);
    assert.equal(await events.repair(), what);
    // Older kernels show the state of a link some time after it changed.
    await eventually(
      async () => show(),
      (shown) => /mtu 1400 .*state UP/.test(shown),
    );
    assert.match(show(), /link\/ether 00:00:5e:00:01:01/);
    assert.match(show(), /alias carpctl /);
    assert.deepEqual(addresses(), ["10.0.0.1/24", "2001:db8::1/64"]);
    assert.equal(events.repairs().length, 1);
  });
}

test("a renamed device gets its name back", async () => {
  // Inactive: before Linux 6.2 nothing that is up is renamed.
  await apply(links, "carp0", carp0({ active: false }));
  ip("link set carp0 name other");
  assert.equal(await events.repair(), "device was renamed to other");
  assert.match(show(), /link\/ether 00:00:5e:00:01:01/);
  assert.match(show(), /alias carpctl /);
  assert.equal(exists("other"), false);
  await apply(links, "carp0", carp0());
  assert.deepEqual(addresses(), ["10.0.0.1/24", "2001:db8::1/64"]);
  assert.equal(events.repairs().length, 1);
});

test("a device that is to be down is put down again", async () => {
  await apply(links, "carp0", carp0({ active: false }));
  ip("link set carp0 up");
  assert.equal(await events.repair(), "link was set up");
  assert.match(show(), /carp0@eth0: <BROADCAST,MULTICAST>/);
});

test("a carpdev that is deleted takes the device along; with the carpdev it comes back", async () => {
  await apply(links, "carp0", carp0());
  events.forget();
  ip("link del eth0");
  await events.until((heard) => heard.some((each) => each.kind === "gone" && each.name === "eth0"));
  await apply(links, "carp0", carp0());
  addCarpdev();
  await events.until((heard) => heard.some((each) => each.kind === "device" && each.index > 0));
  await apply(links, "carp0", carp0());
  assert.deepEqual(addresses(), ["10.0.0.1/24", "2001:db8::1/64"]);
  assert.deepEqual(events.repairs(), []);
  assert.deepEqual(events.errors(), []);
});

test("an apply while the carpdev is missing is done, and the device is built when the carpdev is there", async () => {
  await apply(links, "carp0", carp0({ carpdev: "eth9" }));
  assert.equal(exists("carp0"), false);
  addCarpdev("eth9");
  await events.until((heard) => heard.some((each) => each.kind === "device" && each.index > 0));
  await apply(links, "carp0", carp0({ carpdev: "eth9" }));
  assert.match(show(), /carp0@eth9/);
});

test("a device wanted up on a carpdev that is down goes up with it", async () => {
  ip("link set eth0 down");
  await apply(links, "carp0", carp0());
  ip("link set eth0 up");
  await events.until(() => events.linkNamed("eth0")?.up);
  await apply(links, "carp0", carp0());
  assert.match(show(), /<[^>]*\bUP\b/);
  assert.deepEqual(addresses(), ["10.0.0.1/24", "2001:db8::1/64"]);
  assert.deepEqual(events.errors(), []);
  assert.deepEqual(events.repairs(), []);
});

test("another carpdev: the device is built anew on it", async () => {
  addCarpdev("eth1");
  await apply(links, "carp0", carp0());
  await apply(links, "carp0", carp0({ carpdev: "eth1" }));
  assert.match(show(), /carp0@eth1/);
  assert.deepEqual(addresses(), ["10.0.0.1/24", "2001:db8::1/64"]);
});

test("a device of that name that is not ours is left alone, and told of", async () => {
  ip("link add carp0 type bridge");
  await events.until(() => events.linkNamed("carp0"));
  await apply(links, "carp0", carp0());
  await apply(links, "carp0", carp0({ active: false }));
  assert.deepEqual(events.errors(), ["a device of this name exists that is not ours: it is left alone"]);
  await apply(links, "carp0", null);
  assert.match(show(), /bridge/);
  assert.deepEqual(events.errors(), []);
});

test("a name that is free at last is taken", async () => {
  ip("link add carp0 type bridge");
  await events.until(() => events.linkNamed("carp0"));
  await apply(links, "carp0", carp0());
  ip("link del carp0");
  await events.until(() => events.errors()?.length === 0);
  await apply(links, "carp0", carp0());
  assert.deepEqual(addresses(), ["10.0.0.1/24", "2001:db8::1/64"]);
});

test("where IPv6 is disabled, the IPv6 address is told to be missing while it is wanted, and IPv4 works", async () => {
  writeConf("default", "disable_ipv6", 1, 6);
  try {
    await apply(links, "carp0", carp0());
    assert.deepEqual(addresses(), ["10.0.0.1/24"]);
    assert.deepEqual(events.errors(), [
      "address 2001:db8::1/64 cannot be added (EACCES: IPv6 is disabled on this host)",
    ]);
    await apply(links, "carp0", carp0({ active: false }));
    assert.deepEqual(events.errors(), []);
  } finally {
    writeConf("default", "disable_ipv6", 0, 6);
  }
});

test("a carpdev that takes no macvlan is told of with the reason, until it takes one", async () => {
  ip("link add br0 type bridge");
  ip("link set eth0 master br0");
  await apply(links, "carp0", carp0());
  assert.equal(events.errors()?.length, 1);
  assert.match(events.errors()?.[0] ?? "", /^no device can be made on eth0 \(EBUSY: .*bridge/);
  ip("link set eth0 nomaster");
  await events.until(() => events.errors()?.length === 0);
  assert.deepEqual(addresses(), ["10.0.0.1/24", "2001:db8::1/64"]);
});

test("repairs that another program keeps undoing back off after a few, with one complaint", async () => {
  await apply(links, "carp0", carp0());
  for (let repairs = 1; events.complaints().length === 0; repairs++) {
    assert.ok(repairs <= 6, "no end of repairs");
    ip("addr del 10.0.0.1/24 dev carp0");
    await events.until(() => events.repairs().length >= repairs || events.complaints().length > 0);
  }
  assert.equal(events.repairs().length, 5);
  assert.match(events.complaints().join(), /^carp0: changed again \(address 10.0.0.1 was removed\)/);
  ip("link set carp0 mtu 1300");
  ip("link add last type bridge");
  await events.until(() => events.linkNamed("last"));
  assert.equal(events.complaints().length, 1);
  await apply(links, "carp0", carp0());
  assert.deepEqual(addresses(), ["10.0.0.1/24", "2001:db8::1/64"]);
});
