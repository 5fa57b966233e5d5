/**
 * ARP and neighbour discovery for the shared addresses: every frame pairs them with the one MAC that carp
 * gives out, against Linux's defaults, and the host's own addresses stay reachable.
 */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  type Capture,
  createNetwork,
  eventuallyEqual,
  type Frame,
  type Host,
  type Network,
} from "../hosts/index.ts";
import {
  assertAnnouncement,
  assertOnlyVirtualMac,
  isAnnouncement,
  virtualMac,
} from "../hosts/virtual-mac.ts";

const SHARED = ["10.0.0.1", "2001:db8::1"] as const;
const ADDRESSES = ["inet", "10.0.0.1/24", "inet6", "2001:db8::1/64"] as const;
const VHID_MAC = virtualMac(1);

async function onNetwork(body: (lan: Network) => Promise<void>): Promise<void> {
  const lan = await createNetwork();
  try {
    await body(lan);
  } finally {
    lan.destroy();
  }
}

const ownAddresses = (digit: number) => ({ addresses: [`10.0.0.${digit}/24`, `2001:db8::${digit}/64`] });

/** A BACKUP with this advbase takes over by a timer after minutes. */
const configure = (host: Host, ...words: string[]) =>
  host.command("carp0", ...ADDRESSES, "carpdev", "eth0", "vhid", "1", "advbase", "60", ...words);

async function becomeMaster(host: Host): Promise<void> {
  await host.command("carp0", "state", "master");
  await host.waitForState("carp0", "MASTER");
}

async function assertReaches(from: Host, ...targets: readonly string[]): Promise<void> {
  for (const target of targets) {
    const { received, duplicates } = await from.ping(target);
    assert.deepEqual([target, received, duplicates], [target, 3, 0]);
  }
}

async function assertReachesFrom(source: string, host: Host, target: string): Promise<void> {
  const output = await host.run("ping", "-n", "-c", "2", "-w", "20", "-i", "0.01", "-I", source, target);
  // A busy machine may send a third request before the second answer is there.
  assert.match(output, / 0% packet loss/, output);
}

const forgetNeighbours = (host: Host) => host.run("ip", "neighbour", "flush", "all");

/** The MAC in the neighbour cache. */
async function neighbour(host: Host, address: string): Promise<string | undefined> {
  return / lladdr (\S+) /.exec(await host.run("ip", "neighbour", "show", address))?.[1];
}

describe("a shared address is announced and answered for by carp alone", () => {
  test("on a host with another interface in the same subnet, for packets of the client and of the host", () =>
    onNetwork(async (lan) => {
      const host = await lan.host("a", ownAddresses(2));
      const client = await lan.host("c", ownAddresses(9));
      await lan.attach(host, ownAddresses(22));
      await host.startEngine();
      await configure(host);
      const wire = await lan.capture();
      await becomeMaster(host);
      const [own, other] = [await host.mac("eth0"), await host.mac("eth1")];

      await assertReaches(client, ...SHARED, "10.0.0.2", "2001:db8::2", "10.0.0.22", "2001:db8::22");
      // To reply from a shared address the host asks for the client's MAC.
      await forgetNeighbours(host);
      await assertReaches(client, ...SHARED);
      // So it does to send from any of its addresses, and the client asks for the host's MAC.
      for (const [source, target] of [
        ["10.0.0.1", "10.0.0.9"],
        ["2001:db8::1", "2001:db8::9"],
        ["10.0.0.2", "10.0.0.9"],
        ["2001:db8::2", "2001:db8::9"],
        ["eth0", "10.0.0.9"],
        ["eth0", "2001:db8::9"],
        ["eth1", "10.0.0.9"],
        ["eth1", "2001:db8::9"],
        ["carp0", "10.0.0.9"],
      ] as const) {
        await Promise.all([forgetNeighbours(host), forgetNeighbours(client)]);
        await assertReachesFrom(source, host, target);
      }
      await assertReaches(client, ...SHARED, "10.0.0.2", "2001:db8::2", "10.0.0.22", "2001:db8::22");
      for (const [address, mac] of [
        ...SHARED.map((address) => [address, VHID_MAC] as const),
        ["10.0.0.2", own],
        ["2001:db8::2", own],
        ["10.0.0.22", other],
        ["2001:db8::22", other],
      ] as const) {
        assert.equal(await neighbour(client, address), mac, address);
      }

      const frames = await wire.stop();
      assertOnlyVirtualMac(
        frames,
        { addresses: SHARED, mac: VHID_MAC, packetSources: [own, other] },
        { addresses: ["10.0.0.2", "2001:db8::2"], mac: own, packetSources: [other, VHID_MAC] },
        { addresses: ["10.0.0.22", "2001:db8::22"], mac: other, packetSources: [own, VHID_MAC] },
      );
    }));

  test("with strict reverse-path filtering and forwarding on, and the host's own addresses stay reachable", () =>
    onNetwork(async (lan) => {
      const host = await lan.host("a", ownAddresses(2));
      const client = await lan.host("c", ownAddresses(9));
      await host.namespace.sysctl({
        "ipv4/conf/all/rp_filter": 1,
        "ipv4/conf/default/rp_filter": 1,
        "ipv4/conf/eth0/rp_filter": 1,
      });
      await host.becomeRouter();
      await host.startEngine();
      await configure(host);
      const wire = await lan.capture();
      await becomeMaster(host);
      await assertReaches(client, ...SHARED, "10.0.0.2", "2001:db8::2");
      await forgetNeighbours(host);
      await assertReaches(client, ...SHARED, "10.0.0.2", "2001:db8::2");
      const own = await host.mac();
      assertOnlyVirtualMac(
        await wire.stop(),
        { addresses: SHARED, mac: VHID_MAC, packetSources: [own] },
        // Advertisements come from the host's own addresses, with the virtual MAC.
        { addresses: ["10.0.0.2", "2001:db8::2"], mac: own, packetSources: [VHID_MAC] },
      );
    }));

  test("where the carpdev has no address at all: the subnet is reached through carp", () =>
    onNetwork(async (lan) => {
      const [a, b, client] = await Promise.all([
        lan.host("a"),
        lan.host("b"),
        lan.host("c", ownAddresses(9)),
      ]);
      const hosts = [a, b];
      for (const host of hosts) {
        await host.namespace.sysctl({ "ipv6/conf/eth0/addr_gen_mode": 1 });
        await host.run("ip", "address", "flush", "dev", "eth0");
      }
      await Promise.all(hosts.map((host) => host.startEngine()));
      const wire = await lan.capture();
      // One after the other: equals that begin together may both be MASTER for a moment.
      const [master, backup] = [a, b];
      await configure(master, "advbase", "1");
      await master.waitForState("carp0", "MASTER");
      await configure(backup, "advbase", "1");
      await backup.waitForState("carp0", "BACKUP");
      await assertReaches(client, ...SHARED);
      await assertReaches(master, "10.0.0.9", "2001:db8::9");

      // Both are MASTER without hearing each other, with equal settings and the same source addresses.
      await backup.silence();
      await becomeMaster(backup);
      await backup.unsilence();
      await Promise.race(hosts.map((host) => host.waitForState("carp0", "BACKUP")));
      const stayed = (await a.engine.state("carp0")) === "MASTER" ? a : b;
      const from = wire.frames.length;
      await advertisementsFrom(wire, 3, from);
      assert.deepEqual(
        await Promise.all([stayed, stayed === a ? b : a].map((host) => host.engine.state("carp0"))),
        ["MASTER", "BACKUP"],
      );
      await assertReaches(client, ...SHARED);

      const frames = await wire.stop();
      assert.deepEqual(
        new Set(frames.filter(({ carp }) => carp).map(({ ipv4, ipv6 }) => (ipv4 ?? ipv6)?.source)),
        new Set(SHARED),
      );
      assertOnlyVirtualMac(frames, { addresses: SHARED, mac: VHID_MAC });
    }));

  test("a BACKUP that forwards does not forward what the switch floods to it", () =>
    onNetwork(async (lan) => {
      const far = await createNetwork();
      try {
        const routers = await Promise.all([lan.host("a", ownAddresses(2)), lan.host("b", ownAddresses(3))]);
        const client = await lan.host("c", ownAddresses(9));
        const server = await far.host("s", { addresses: ["10.0.9.9/24", "2001:db8:9::9/64"] });
        for (const [n, router] of routers.entries()) {
          await far.attach(router, { addresses: [`10.0.9.${n + 2}/24`, `2001:db8:9::${n + 2}/64`] });
          await router.becomeRouter();
          await router.startEngine();
          await configure(router, "advskew", String(n));
          await router.command(
            "carp1",
            "inet",
            "10.0.9.1/24",
            "carpdev",
            "eth1",
            "vhid",
            "2",
            "advbase",
            "60",
          );
          await router.command("carp1", "inet6", "2001:db8:9::1/64", "advskew", String(n));
          for (const name of ["carp0", "carp1"]) {
            if (n === 0) await router.command(name, "state", "master");
            await router.waitForState(name, n === 0 ? "MASTER" : "BACKUP");
          }
        }
        for (const [host, network, via] of [
          [client, "10.0.9.0/24", "10.0.0.1"],
          [client, "2001:db8:9::/64", "2001:db8::1"],
          [server, "10.0.0.0/24", "10.0.9.1"],
          [server, "2001:db8::/64", "2001:db8:9::1"],
        ] as const) {
          await host.run("ip", "route", "add", network, "via", via);
        }
        await Promise.all([lan.flood(), far.flood()]);
        const [flooded, forwarded] = await Promise.all([
          (routers[1] as Host).capture("eth0", "icmp or icmp6"),
          far.capture("icmp or icmp6"),
        ]);
        for (const target of ["10.0.9.9", "2001:db8:9::9"]) {
          const { received, duplicates } = await client.ping(target, { count: 20 });
          assert.deepEqual([target, received, duplicates], [target, 20, 0]);
        }
        const requests = (frames: readonly Frame[]) =>
          frames.filter(({ icmp }) => icmp?.type === 8 || icmp?.type === 128).length;
        const sent = requests(await flooded.stop());
        assert.ok(sent >= 40);
        assert.equal(requests(await forwarded.stop()), sent);
      } finally {
        far.destroy();
      }
    }));
});

describe("lladdr", () => {
  const BY_HAND = "02:11:22:33:44:55";

  test("set by hand, is the MAC of the device, of announcements and advertisements, and part of the digest", () =>
    onNetwork(async (lan) => {
      const [a, b, client] = await Promise.all([
        lan.host("a", ownAddresses(2)),
        lan.host("b", ownAddresses(3)),
        lan.host("c", ownAddresses(9)),
      ]);
      await Promise.all([a.startEngine(), b.startEngine()]);
      const wire = await lan.capture();
      await configure(a, "advbase", "1", "lladdr", BY_HAND);
      await configure(b, "advskew", "100", "lladdr", BY_HAND);
      await becomeMaster(a);
      assert.equal(await a.mac("carp0"), BY_HAND);
      for (const address of SHARED) {
        assertAnnouncement(await wire.waitFor((frame) => isAnnouncement(frame, address)), {
          address,
          mac: BY_HAND,
        });
      }
      await assertReaches(client, ...SHARED);
      for (const address of SHARED) assert.equal(await neighbour(client, address), BY_HAND);
      const packetSources = await Promise.all([a.mac(), b.mac()]);

      // With the same MAC on both hosts advertisements are accepted, with different MACs discarded.
      await advertisementsFrom(wire, 2, wire.frames.length);
      assert.equal(await badAuthentications(b), 0);
      for (const other of [["lladdr", "02:11:22:33:44:66"], ["-lladdr"], ["lladdr", await b.mac()]]) {
        const [before, from] = [await badAuthentications(b), b.engine.log.length];
        await b.command("carp0", ...other);
        await b.engine.waitForLog(/vhid 1: incorrect hash from/, { from });
        assert.ok((await badAuthentications(b)) > before, other.join(" "));
      }
      assertOnlyVirtualMac(await wire.stop(), { addresses: SHARED, mac: BY_HAND, packetSources });
    }));

  test("the carpdev's own: the addresses are on the carpdev, move with their MAC, and leave its own addresses alone", () =>
    onNetwork(async (lan) => {
      const [a, b, client] = await Promise.all([
        lan.host("a", ownAddresses(2)),
        lan.host("b", ownAddresses(3)),
        lan.host("c", ownAddresses(9)),
      ]);
      const hosts = [a, b];
      const [macA, macB] = [await a.mac(), await b.mac()];
      const before = await Promise.all(hosts.map(addressing));
      const wire = await lan.capture();
      await Promise.all(hosts.map((host) => host.startEngine()));
      await configure(a, "advbase", "1", "lladdr", macA);
      await becomeMaster(a);
      // Their MACs differ, and neither is part of the digest: each accepts the other's advertisements.
      await configure(b, "advskew", "100", "lladdr", macB);
      await advertisementsFrom(wire, 2, wire.frames.length);
      assert.deepEqual([await badAuthentications(b), await b.engine.state("carp0")], [0, "BACKUP"]);
      await eventuallyEqual(
        async () => (await a.addresses("eth0")).sort(),
        ["10.0.0.1/24", "10.0.0.2/24", "2001:db8::1/64", "2001:db8::2/64"],
      );
      await b.waitForAddresses("eth0", ["10.0.0.3/24", "2001:db8::3/64"]);
      for (const host of hosts)
        await assert.rejects(host.run("ip", "link", "show", "carp0"), /does not exist/);
      await assertReaches(client, ...SHARED, "10.0.0.2", "2001:db8::2");
      for (const address of SHARED) assert.equal(await neighbour(client, address), macA);

      const taken = await a.engine.log.length;
      await a.run("ip", "address", "delete", "10.0.0.1/24", "dev", "eth0");
      await a.engine.waitForLog(/repaired: address 10.0.0.1 was removed/, { from: taken });
      await assertReaches(client, "10.0.0.1");
      const moving = wire.frames.length;

      // The client does not ask again: the announcements alone correct its cache.
      await a.command("carp0", "down");
      await b.waitForState("carp0", "MASTER");
      for (const address of SHARED) {
        const isNews = (frame: Frame) => isAnnouncement(frame, address) && frame.ethernetSource === macB;
        assertAnnouncement(await wire.waitFor(isNews, { from: moving }), { address, mac: macB });
      }
      await assertReaches(client, ...SHARED, "10.0.0.2", "2001:db8::2", "10.0.0.3", "2001:db8::3");
      for (const address of SHARED) assert.equal(await neighbour(client, address), macB);
      await a.waitForAddresses("eth0", ["10.0.0.2/24", "2001:db8::2/64"]);
      await assertReachesFrom("10.0.0.3", b, "10.0.0.9");

      await Promise.all(hosts.map((host) => host.engine.stop()));
      assert.deepEqual(await Promise.all(hosts.map(addressing)), before);
      await assertReaches(client, "10.0.0.2", "2001:db8::2", "10.0.0.3", "2001:db8::3");
      const frames = await wire.stop();
      assertOnlyVirtualMac(frames.slice(0, moving), { addresses: SHARED, mac: macA });
      assertOnlyVirtualMac(frames, { addresses: ["10.0.0.2", "2001:db8::2"], mac: macA });
      assertOnlyVirtualMac(frames, { addresses: ["10.0.0.3", "2001:db8::3"], mac: macB });
    }));
});

test("a command that changes everything is sent as a whole: a bow-out of the old vhid, then only the new one", () =>
  onNetwork(async (lan) => {
    const [a, b] = await Promise.all([lan.host("a", ownAddresses(2)), lan.host("b", ownAddresses(3))]);
    await Promise.all([a.startEngine(), b.startEngine()]);
    await configure(a, "pass", "old");
    await becomeMaster(a);
    const wire = await lan.capture();
    const mac = "02:11:22:33:44:55";
    const fresh = [
      "inet",
      "10.0.0.51/24",
      "inet6",
      "2001:db8::51/64",
      "vhid",
      "7",
      "pass",
      "new",
      "lladdr",
      mac,
    ];
    // Counts every advertisement that is not all new.
    await b.command("carp0", ...fresh, "carpdev", "eth0", "advbase", "60", "advskew", "9");
    const changed = wire.frames.length;
    await a.command(
      "carp0",
      ...fresh,
      "-inet6",
      "inet6",
      "2001:db8::51/64",
      "advbase",
      "1",
      "state",
      "master",
    );
    await wire.waitFor((frame) => isAnnouncement(frame, "2001:db8::51"), { from: changed });
    await advertisementsFrom(wire, 3, wire.frames.length);
    const frames = (await wire.stop()).slice(changed);

    const sent = frames.filter(({ carp, ipv4 }) => carp && ipv4).map(({ carp }) => carp);
    assert.deepEqual([sent[0]?.vhid, sent[0]?.advbase, sent[0]?.advskew], [1, 255, 255]);
    assert.deepEqual(new Set(sent.slice(1).map((each) => each?.vhid)), new Set([7]));
    assert.equal(await badAuthentications(b), 0);
    await eventuallyEqual(
      async () => (await a.addresses("carp0")).sort(),
      ["10.0.0.51/24", "2001:db8::51/64"],
    );
    for (const address of SHARED) assert.ok(!frames.some((frame) => isAnnouncement(frame, address)), address);
    assertOnlyVirtualMac(frames, {
      addresses: ["10.0.0.51", "2001:db8::51"],
      mac,
      packetSources: [await a.mac()],
    });
  }));

/** Resolves when that many advertisements of one family have passed from the `from`th frame on. */
async function advertisementsFrom(wire: Capture, count: number, from: number): Promise<void> {
  let seen = 0;
  await wire.waitFor(
    ({ carp, ipv4 }) => {
      if (carp && ipv4) seen += 1;
      return seen >= count;
    },
    { from },
  );
}

async function badAuthentications(host: Host): Promise<number> {
  return (await host.engine.request("statistics", {})).badAuthentication;
}

/** Addresses, routes and ARP settings of a host: everything that carp may change. */
async function addressing(host: Host): Promise<string> {
  const commands = ["ip -o address", "ip route", "ip -6 route", "grep -r . /proc/sys/net/ipv4/conf"];
  return host.run("sh", "-c", commands.join("; "));
}
