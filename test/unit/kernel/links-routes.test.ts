/** Routes that the host added through a carp device: they outlive repairs. Needs root. */

import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import type { Device } from "../../../src/core/model.ts";
import { eventually } from "../../hosts/eventually.ts";
import {
  addCarpdev,
  apply,
  clearNetwork,
  enterPrivateNetwork,
  ip,
  openLinks,
  Recorder,
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

const carp0 = (changes: Partial<Device> = {}): Device => ({
  name: "carp0",
  carpdev: "eth0",
  mac: "00:00:5e:00:01:01",
  realMac: false,
  mtu: undefined,
  active: true,
  addresses: [
    { family: 4, address: "10.0.0.1", prefixLength: 24 },
    { family: 6, address: "2001:db8::1", prefixLength: 64 },
  ],
  ...changes,
});

const DEFAULT = "default via 10.0.0.254 dev carp0 ";
const SOURCED = "192.0.2.0/24 via 10.0.0.253 dev carp0 src 10.0.0.1 metric 7";
const DEFAULT6 = "default via 2001:db8::254 dev carp0 metric 9";
const routes = () => `${ip("route show dev carp0")}${ip("-6 route show dev carp0")}`;
const haveRoutes = (...expected: readonly string[]) =>
  eventually(
    async () => routes(),
    (shown) => expected.every((each) => shown.includes(each.replace(" dev carp0", ""))),
  );

async function becomeMasterWithRoutes(): Promise<void> {
  await apply(links, "carp0", carp0());
  for (const route of [DEFAULT, SOURCED]) ip(`route add ${route.trim()}`);
  ip(`-6 route add ${DEFAULT6}`);
}

const DEFAULT_LOST = "route to 0.0.0.0/0 via 10.0.0.254 was removed";
const SOURCED_LOST = "route to 192.0.2.0/24 via 10.0.0.253 was removed";
const DEFAULT6_LOST = "route to ::/0 via 2001:db8::254 was removed";

for (const { what, damage, lost } of [
  { what: "flushed addresses", damage: "addr flush dev carp0", lost: [DEFAULT_LOST, SOURCED_LOST] },
  {
    what: "a link set down",
    damage: "link set carp0 down",
    lost: [DEFAULT_LOST, SOURCED_LOST, DEFAULT6_LOST],
  },
  { what: "a deleted device", damage: "link del carp0", lost: [DEFAULT_LOST, SOURCED_LOST, DEFAULT6_LOST] },
])
  test(`routes of the host's come back with ${what}, and are named`, async () => {
    await becomeMasterWithRoutes();
    ip(damage);
    const repaired = await events.repair();
    await haveRoutes(DEFAULT, SOURCED, DEFAULT6);
    for (const each of lost) assert.ok(repaired.includes(each), repaired);
    assert.deepEqual(events.complaints(), []);
  });

test("a route that goes with IPv6 comes back with it", async () => {
  await becomeMasterWithRoutes();
  writeConf("carp0", "disable_ipv6", 1, 6);
  await events.repair();
  await haveRoutes(DEFAULT6);
});

test("a route that was deleted before stays away", async () => {
  await becomeMasterWithRoutes();
  ip(`route del ${DEFAULT.trim()}`);
  ip(`-6 route del ${DEFAULT6}`);
  ip("addr flush dev carp0");
  await events.repair();
  await haveRoutes(SOURCED);
  assert.ok(!routes().includes("default"), routes());
});

test("routes do not come back when the device is up again after an election", async () => {
  await becomeMasterWithRoutes();
  await apply(links, "carp0", carp0({ active: false }));
  await apply(links, "carp0", carp0());
  assert.ok(!routes().includes("default"), routes());
  assert.deepEqual(events.repairs(), []);
});

test("a route that cannot be added again is told of", async () => {
  await becomeMasterWithRoutes();
  ip("route del 192.0.2.0/24 metric 7");
  ip("addr add 10.7.0.9/24 dev carp0");
  ip("route add 198.51.100.0/24 via 10.7.0.1 dev carp0");
  ip("addr flush dev carp0");
  await events.repair();
  await events.until(() => events.complaints().length > 0);
  assert.deepEqual(events.complaints(), [
    "carp0: lost route to 198.51.100.0/24 via 10.7.0.1 cannot be put back (ENETUNREACH)",
  ]);
});

test("with the carpdev's own MAC, routes from a shared address come back with it, others are the host's", async () => {
  ip("addr add 10.9.0.2/24 dev eth0");
  const mac = /ether (\S+)/.exec(ip("link show eth0"))?.[1] ?? "";
  await apply(links, "carp0", carp0({ realMac: true, mac }));
  ip("route add 192.0.2.0/24 via 10.9.0.254 dev eth0 src 10.0.0.1");
  ip("addr del 10.0.0.1/24 dev eth0");
  const repaired = await events.repair();
  assert.match(repaired, /route to 192\.0\.2\.0\/24 via 10\.9\.0\.254 was removed/);
  assert.match(ip("route show dev eth0"), /192\.0\.2\.0\/24 via 10\.9\.0\.254 .*src 10\.0\.0\.1/);
});
