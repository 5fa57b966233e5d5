/**
 * The carpdev: carp interfaces when it is deleted, renamed, set down or changed, and the kinds of device that
 * can be one.
 */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import {
  type Capture,
  createNetwork,
  eventually,
  eventuallyEqual,
  type Frame,
  type Host,
  type Network,
} from "../hosts/index.ts";
import { assertOnlyVirtualMac, isAnnouncement, virtualMac } from "../hosts/virtual-mac.ts";

const SHARED = ["10.0.0.1", "2001:db8::1"] as const;
const OWN_A = ["10.0.0.2/24", "2001:db8::2/64"] as const;
const VHID_MAC = virtualMac(1);

const configure = (host: Host, ...words: string[]) =>
  host.command("carp0", "inet", "10.0.0.1/24", "inet6", "2001:db8::1/64", "vhid", "1", ...words);

async function assertReaches(client: Host, ...addresses: readonly string[]): Promise<void> {
  for (const address of addresses) {
    // The kernel gets the addresses after the state is logged.
    await eventually(
      () => client.ping(address, { count: 1 }),
      ({ received }) => received > 0,
    );
    const { received, duplicates } = await client.ping(address);
    assert.deepEqual([address, received, duplicates], [address, 3, 0]);
  }
}

/** arp_ignore and arp_announce. */
async function arpSettings(host: Host, device: string): Promise<string[]> {
  const paths = ["arp_ignore", "arp_announce"].map((name) => `/proc/sys/net/ipv4/conf/${device}/${name}`);
  return (await host.run("cat", ...paths)).trim().split("\n");
}

const notRunning = async (host: Host) =>
  (await host.engine.request("interfaces", {})).interfaces.find(({ name }) => name === "carp0")?.notRunning;

const demotion = async (host: Host) =>
  (await host.command("sysctl", "-n", "net.inet.carp.demotion")).stdout.trim();

describe("a carpdev", () => {
  let lan: Network;
  let a: Host;
  let b: Host;
  let client: Host;
  let wire: Capture;
  /** The MACs of the hosts' carpdevs so far. */
  const carpdevMacs: string[] = [];

  before(async () => {
    lan = await createNetwork();
    [a, b, client] = await Promise.all([
      lan.host("a", { addresses: OWN_A }),
      lan.host("b", { addresses: ["10.0.0.3/24", "2001:db8::3/64"] }),
      lan.host("c", { addresses: ["10.0.0.9/24", "2001:db8::9/64"] }),
    ]);
    carpdevMacs.push(await a.mac(), await b.mac());
    wire = await lan.capture();
    await Promise.all([a.startEngine(), b.startEngine()]);
    await configure(a, "carpdev", "eth0");
    await configure(b, "carpdev", "eth0", "advskew", "1");
    await returnToA();
  });
  after(() => lan.destroy());

  /** a is MASTER again and b is BACKUP, whatever was before. */
  async function returnToA(): Promise<void> {
    await a.command("carp0", "state", "master");
    await Promise.all([a.waitForState("carp0", "MASTER"), b.waitForState("carp0", "BACKUP")]);
  }

  /** The next advertisements of a, one of each family. */
  const nextOf = (sources: readonly string[]): Promise<Frame[]> => {
    const from = wire.frames.length;
    return Promise.all(
      sources.map((source) =>
        wire.waitFor(({ carp, ipv4, ipv6 }) => carp !== undefined && (ipv4 ?? ipv6)?.source === source, {
          from,
        }),
      ),
    );
  };

  test("that is deleted stops carp on it; one of the same name brings it back, with its ARP settings", async () => {
    assert.deepEqual(await arpSettings(a, "eth0"), ["1", "2"]);
    await a.run("ip", "link", "delete", "eth0");
    await Promise.all([a.waitForState("carp0", "INIT"), b.waitForState("carp0", "MASTER")]);
    await eventuallyEqual(() => notRunning(a), "carpdev eth0 is missing");
    await eventuallyEqual(() => demotion(a), "240");
    await a.waitForAddresses("carp0", []);
    await assertReaches(client, ...SHARED);

    const from = a.engine.log.length;
    await lan.attach(a, { interface: "eth0", addresses: OWN_A });
    carpdevMacs.push(await a.mac());
    await a.waitForState("carp0", "BACKUP");
    await eventuallyEqual(() => demotion(a), "0");
    await eventuallyEqual(() => arpSettings(a, "eth0"), ["1", "2"]);
    const announced = wire.frames.length;
    await returnToA();
    for (const address of SHARED)
      await wire.waitFor((frame) => isAnnouncement(frame, address), { from: announced });
    await assertReaches(client, ...SHARED, "10.0.0.2", "2001:db8::2");
    // No repair is logged: carp0 went and came with its carpdev.
    assert.deepEqual(
      a.engine.log.lines.slice(from).filter(({ text }) => text.includes("repaired")),
      [],
    );
  });

  test("that is set down stops carp on it, and up again lets it take part again", async () => {
    const from = a.engine.log.length;
    await a.run("ip", "link", "set", "eth0", "down");
    await Promise.all([a.waitForState("carp0", "INIT"), b.waitForState("carp0", "MASTER")]);
    await eventuallyEqual(() => notRunning(a), "carpdev eth0 is down");
    await assertReaches(client, ...SHARED);
    await a.run("ip", "link", "set", "eth0", "up");
    await a.run("ip", "address", "replace", "2001:db8::2/64", "dev", "eth0", "nodad");
    await a.waitForState("carp0", "BACKUP");
    await eventuallyEqual(() => demotion(a), "0");
    await returnToA();
    await assertReaches(client, ...SHARED, "10.0.0.2", "2001:db8::2");
    assert.deepEqual(
      a.engine.log.lines.slice(from).filter(({ text }) => text.includes("repaired")),
      [],
    );
  });

  test("that is renamed gets its former settings back; carp returns with the name", async () => {
    const rename = (from: string, to: string) =>
      a.namespace.ip([
        `link set ${from} down`,
        `link set ${from} name ${to}`,
        `link set ${to} up`,
        `address replace 2001:db8::2/64 dev ${to} nodad`,
      ]);
    await rename("eth0", "lan0");
    await Promise.all([a.waitForState("carp0", "INIT"), b.waitForState("carp0", "MASTER")]);
    // It was set down first, and renamed a moment later.
    await eventuallyEqual(() => notRunning(a), "carpdev eth0 is missing");
    await eventuallyEqual(() => arpSettings(a, "lan0"), ["0", "0"]);
    await rename("lan0", "eth0");
    await a.waitForState("carp0", "BACKUP");
    await returnToA();
    await assertReaches(client, ...SHARED);
    await eventuallyEqual(() => arpSettings(a, "eth0"), ["1", "2"]);
  });

  test("whose MAC is changed by hand changes nothing for the shared addresses", async () => {
    const transitions = a.engine.transitions.length;
    carpdevMacs.push("02:00:00:00:77:77");
    await a.run("ip", "link", "set", "eth0", "address", "02:00:00:00:77:77");
    await nextOf(["10.0.0.2"]);
    await client.run("ip", "neighbour", "flush", "dev", "eth0");
    await assertReaches(client, ...SHARED, "10.0.0.2", "2001:db8::2");
    assert.equal(a.engine.transitions.length, transitions);
    assert.equal(await a.mac("carp0"), VHID_MAC);
  });

  test("whose own addresses change is advertised from by the new ones, and has the subnet's route while it has any", async () => {
    const transitions = a.engine.transitions.length;
    const from = a.engine.log.length;
    const subnetRoute = async () => /dev (\S+)/.exec(await a.run("ip", "route", "show", "10.0.0.0/24"))?.[1];
    await nextOf(["10.0.0.2", "2001:db8::2"]);
    assert.equal(await subnetRoute(), "eth0");

    await a.run("ip", "address", "delete", "10.0.0.2/24", "dev", "eth0");
    await nextOf(["10.0.0.1", "2001:db8::2"]);
    await eventuallyEqual(subnetRoute, "carp0");
    await assertReaches(client, ...SHARED);

    await a.run("ip", "address", "add", "10.0.0.20/24", "dev", "eth0");
    await nextOf(["10.0.0.20", "2001:db8::2"]);
    await eventuallyEqual(subnetRoute, "eth0");
    await assertReaches(client, ...SHARED, "10.0.0.20");
    assert.equal(a.engine.transitions.length, transitions);
    assert.deepEqual(
      a.engine.log.lines.slice(from).filter(({ text }) => text.includes("repaired")),
      [],
    );
  });

  test("whose MTU leaves no room for IPv6, as on every host, goes on with IPv4; with room again it has all back, carp's group too", async () => {
    await b.setMtu(1200);
    await b.engine.waitForLog(/demoted group carp by 1 to 1 \(not in place\)|demoted by 240 to 240/);
    const hasGroup = async () => /^\d+ +eth0 +ff020{26}12 /m.test(await a.run("cat", "/proc/self/net/igmp6"));
    const transitions = a.engine.transitions.length;
    assert.ok(await hasGroup());
    const from = a.engine.log.length;
    await a.setMtu(1200);
    await a.engine.waitForLog(/carp0: an mtu of 1200 carries no IPv6: it is without its IPv6 addresses/, {
      from,
    });
    await nextOf(["10.0.0.20"]);
    await eventuallyEqual(hasGroup, false);
    assert.match((await a.carpctl("carp0")).stdout, /\tproblem: an mtu of 1200 carries no IPv6/);
    await assertReaches(client, "10.0.0.1", "10.0.0.20");
    await a.setMtu(1500);
    await b.setMtu(1500);
    await a.run("ip", "address", "replace", "2001:db8::2/64", "dev", "eth0", "nodad");
    await eventuallyEqual(hasGroup, true);
    await nextOf(["10.0.0.20", "2001:db8::2"]);
    await a.waitForAddresses("carp0", ["10.0.0.1/24", "2001:db8::1/64"]);
    await assertReaches(client, ...SHARED, "2001:db8::2");
    assert.equal(a.engine.transitions.length, transitions);
    assert.deepEqual(
      a.engine.log.lines.slice(from).map(({ text }) => text),
      [
        "<3>carp0: an mtu of 1200 carries no IPv6: it is without its IPv6 addresses",
        "<3>carp0 demoted group carp by 1 to 1 (not in place)",
        "<3>demoted by 240 to 240 (interface not in place)",
        "<3>carp0 promoted group carp by 1 to 0 (in place)",
        "<3>promoted by 240 to 0 (interface in place)",
      ],
    );
  });

  test("is given back its ARP settings when its last carp interface leaves it, and nothing spoke wrongly all along", async () => {
    await a.command("carp1", "inet", "10.0.0.101/24", "carpdev", "eth0", "vhid", "2");
    await a.command("carp0", "destroy");
    assert.deepEqual(await arpSettings(a, "eth0"), ["1", "2"]);
    await a.command("carp1", "destroy");
    await eventuallyEqual(() => arpSettings(a, "eth0"), ["0", "0"]);
    assertOnlyVirtualMac(await wire.stop(), { addresses: SHARED, mac: VHID_MAC, packetSources: carpdevMacs });
  });
});

for (const { what, device, make } of [
  {
    what: "a macvlan",
    device: "lan0",
    make: ["link add link eth0 name lan0 type macvlan mode bridge", "link set lan0 up"],
  },
  {
    what: "a bridge",
    device: "br0",
    make: [
      "link add br0 type bridge stp_state 0 forward_delay 0",
      "link set eth0 master br0",
      "link set br0 up",
    ],
  },
]) {
  test(`${what} works as a carpdev: hosts elect a master, serve and hand over`, async () => {
    const lan = await createNetwork();
    try {
      const hosts = await Promise.all([lan.host("a"), lan.host("b"), lan.host("c")]);
      const [a, b, client] = hosts;
      for (const [n, host] of hosts.entries()) {
        const addresses = [`10.0.0.${n + 2}/24`, `2001:db8::${n + 2}/64 nodad`];
        await host.namespace.ip([...make, ...addresses.map((each) => `address add ${each} dev ${device}`)]);
      }
      await Promise.all([a.startEngine(), b.startEngine()]);
      const wire = await client.capture(device);
      await configure(a, "carpdev", device, "state", "master");
      // With this advbase b takes over within minutes only after a bow-out.
      await configure(b, "carpdev", device, "advbase", "60");
      await a.waitForState("carp0", "MASTER");
      await wire.waitFor(({ carp }) => carp !== undefined, { from: wire.frames.length });
      await b.waitForState("carp0", "BACKUP");
      await assertReaches(client, ...SHARED);
      await a.engine.stop();
      await b.waitForState("carp0", "MASTER");
      await assertReaches(client, ...SHARED);
      const packetSources = await Promise.all([a.mac(device), b.mac(device)]);
      assertOnlyVirtualMac(await wire.stop(), { addresses: SHARED, mac: VHID_MAC, packetSources });
    } finally {
      lan.destroy();
    }
  });
}
