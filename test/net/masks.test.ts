/**
 * Shared addresses with another mask than the carpdev's: the host's routes and source addresses stay the same,
 * whoever is MASTER, and the person who typed it is told.
 */

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { createNetwork, eventuallyEqual, type Host } from "../hosts/index.ts";

const routes = async (host: Host) => [
  await host.run("ip", "-4", "route"),
  (await host.run("ip", "-6", "route")).replaceAll(/^(fe80::\/64|multicast).*\n/gm, ""),
  await host.run("ip", "route", "get", "10.200.0.1"),
  await host.run("ip", "route", "get", "10.77.0.98"),
  await host.run("ip", "-6", "route", "get", "fd77::98"),
];

const lasting = (all: string[]) => all.map((text) => text.replaceAll(/ uid \d+| pref medium/g, ""));

test("no mask takes the host's routes, and each that differs from the carpdev's is warned of", async () => {
  const lan = await createNetwork();
  try {
    const host = await lan.host("a", { addresses: ["10.77.0.1/24", "fd77::1/48"] });
    const client = await lan.host("c", { addresses: ["10.77.0.98/24", "fd77::98/48"] });
    await host.run("ip", "route", "add", "default", "via", "10.77.0.98");
    await host.startEngine();
    const before = await routes(host);
    const warned = await host.carpctl(
      "carp0",
      "10.77.0.100",
      "inet6",
      "fd77::100",
      "carpdev",
      "eth0",
      "vhid",
      "1",
    );
    assert.equal(
      warned.stderr,
      "carpctl: warning: 10.77.0.100/8: eth0 has 10.77.0.1/24: use 10.77.0.100/24 (netmask 255.255.255.0)\n" +
        "carpctl: warning: fd77::100/64: eth0 has fd77::1/48: use fd77::100/48 (prefixlen 48)\n",
    );
    const more = await host.carpctl("carp0", "alias", "10.77.0.101/28", "inet", "alias", "10.77.0.102/32");
    assert.equal(more.stderr.split("\n").length, 2);
    await host.command("carp0", "state", "master");
    await host.waitForState("carp0", "MASTER");
    const shared = () => host.addresses("carp0");
    await eventuallyEqual(shared, ["10.77.0.100/8", "10.77.0.101/28", "10.77.0.102/32", "fd77::100/64"]);
    assert.deepEqual(lasting(await routes(host)), lasting(before));
    for (const address of ["10.77.0.100", "10.77.0.101", "fd77::100"])
      assert.deepEqual((await client.ping(address)).lost, []);

    const { stdout } = await host.tryCarpctl("doctor");
    assert.match(
      stdout,
      /warning +eth0: it has 10\.77\.0\.1\/24, and carp0 has 10\.77\.0\.100\/8 with another\s+mask/,
    );

    const file = join(host.etcDirectory, "hostname.carp0");
    writeFileSync(file, "inet 10.77.0.100\ncarpdev eth0 vhid 1\n", { mode: 0o640 });
    const started = await host.carpctl("netstart");
    assert.match(started.stderr, /hostname\.carp0:1: .*10\.77\.0\.100\/8: eth0 has 10\.77\.0\.1\/24: use /);

    // A carpdev's address that arrives later takes the routes back.
    await host.run("ip", "address", "flush", "dev", "eth0");
    await eventuallyEqual(async () => /carp0/.test(await host.run("ip", "-4", "route")), true);
    await host.run("ip", "address", "add", "10.77.0.1/24", "dev", "eth0");
    await eventuallyEqual(
      async () => (await host.run("ip", "-4", "route")).trim(),
      "10.77.0.0/24 dev eth0 proto kernel scope link src 10.77.0.1",
    );
  } finally {
    lan.destroy();
  }
});

test("with the carpdev's own MAC, too", async () => {
  const lan = await createNetwork();
  try {
    const host = await lan.host("a", { addresses: ["10.77.0.1/24", "fd77::1/48"] });
    const client = await lan.host("c", { addresses: ["10.77.0.98/24", "fd77::98/48"] });
    await host.run("ip", "route", "add", "default", "via", "10.77.0.98");
    await host.startEngine();
    const before = await routes(host);
    const words = ["10.77.0.100", "inet6", "fd77::100", "carpdev", "eth0", "vhid", "1"];
    await host.command("carp0", ...words, "lladdr", await host.mac(), "alias", "fd77::101/128");
    await host.command("carp0", "state", "master");
    await host.waitForState("carp0", "MASTER");
    for (const address of ["10.77.0.100", "fd77::100", "fd77::101"])
      assert.deepEqual((await client.ping(address)).lost, []);
    assert.deepEqual(lasting(await routes(host)), lasting(before));
  } finally {
    lan.destroy();
  }
});
