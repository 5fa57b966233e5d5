/** Elections: which host is MASTER at first, after failures, after partitions, and when `state` forces it. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  assertAnnouncement,
  assertOnlyVirtualMac,
  createNetwork,
  eventuallyEqual,
  type Frame,
  type Host,
  isAnnouncement,
} from "../hosts/index.ts";
import {
  advertises,
  assertHolder,
  assertNothingLost,
  type CarpHosts,
  Client,
  configure,
  IPV4,
  IPV6,
  isAdvertisement,
  isClaim,
  isFrom,
  MAC,
  onCarpHosts,
  type Settings,
  statesEntered,
  statesOf,
} from "./carp-hosts.ts";

/** An advbase with which no host takes over by a timer within the time of a test. */
const NEVER = 60;

/** Makes the first host MASTER; then configures the others, which hear it. */
async function settle({ hosts, wire }: CarpHosts, settings: readonly Settings[]): Promise<void> {
  const [first, ...others] = hosts as [Host, ...Host[]];
  await configure(first, settings[0]);
  await first.command("carp0", "state", "master");
  await first.waitForState("carp0", "MASTER");
  await Promise.all(others.map((host, n) => configure(host, settings[n + 1])));
  await Promise.all(others.map((host) => host.waitForState("carp0", "BACKUP")));
  if (settings[0]?.advbase !== NEVER) await advertises(wire, first, 1);
}

describe("hosts that share addresses", { concurrency: 4 }, () => {
  for (const addresses of [[IPV4], [IPV6], [IPV4, IPV6]]) {
    test(`two that share ${addresses.join(" and ")} elect one master, which announces them`, async () => {
      await onCarpHosts({ count: 2, addresses }, async (network) => {
        const { hosts, client, wire } = network;
        const [a, b] = hosts as [Host, Host];
        // Without preempt the host that begins first is master, if its lead exceeds the difference of their
        // skews.
        await configure(a, { addresses });
        await configure(b, { addresses, advskew: 100 });
        await a.waitForState("carp0", "MASTER");
        const claimed = Promise.all([advertises(wire, a, 5), b.waitForState("carp0", "BACKUP")]);
        for (const address of addresses) assert.equal((await client.ping(address)).received, 3);
        await claimed;

        await assertHolder(a, [b], addresses);
        assert.deepEqual(statesEntered(b.engine), ["BACKUP"]);
        const claims = wire.frames.filter(isClaim);
        assert.deepEqual(claims.filter(await isFrom(b)), []);
        assert.deepEqual(order(claims, addresses).slice(0, 6), [
          ...["advertises", "announces", "advertises", "announces", "advertises", "advertises"],
        ]);
        for (const frame of claims) {
          assert.equal(frame.ethernetSource, MAC);
          for (const address of addresses)
            if (isAnnouncement(frame, address)) assertAnnouncement(frame, { address, mac: MAC });
        }
      });
    });
  }

  test("equals settle on one master, and nothing changes afterwards", async () => {
    await onCarpHosts({ count: 2 }, async ({ hosts, wire }) => {
      await Promise.all(hosts.map((host) => configure(host)));
      await Promise.any(hosts.map((host) => host.waitForState("carp0", "MASTER")));
      // Both may have become MASTER at the same moment: the next advertisement decides.
      const count = new Map<string, number>();
      const repeated = await wire.waitFor((frame) => {
        if (!isAdvertisement(frame) || !frame.ipv4) return false;
        const times = (count.get(frame.ipv4.source) ?? 0) + 1;
        count.set(frame.ipv4.source, times);
        return times === 2;
      });
      const winner = hosts.find((_, n) => repeated.ipv4?.source === `10.0.0.${11 + n}`) as Host;
      const loser = hosts.find((host) => host !== winner) as Host;
      const from = wire.frames.length;
      await advertises(wire, winner, 6);
      assert.deepEqual(wire.frames.slice(from).filter(await isFrom(loser)), []);
      await assertHolder(winner, [loser]);
      assert.deepEqual(statesEntered(winner.engine), ["BACKUP", "MASTER"]);
      assert.ok(["BACKUP", "BACKUP,MASTER,BACKUP"].includes(statesEntered(loser.engine).join()));
    });
  });

  test("of three hosts the next in line takes over, and with preempt the first takes the address back", async () => {
    await onCarpHosts({ count: 3 }, async (network) => {
      const { hosts, client, wire } = network;
      const [a, b, c] = hosts as [Host, Host, Host];
      const advskews = [0, 40, 80];
      await settle(
        network,
        advskews.map((advskew) => ({ advskew, preempt: true })),
      );
      const served = await Client.start(client);

      await a.pullCable();
      await b.waitForState("carp0", "MASTER");
      await served.isServed();
      await assertHolder(b, [a, c]);
      await eventuallyEqual(() => statesOf(hosts), ["INIT", "MASTER", "BACKUP"]);

      await b.silence();
      await c.waitForState("carp0", "MASTER");
      await served.isServed();
      await eventuallyEqual(() => statesOf(hosts), ["INIT", "MASTER", "MASTER"]);

      await b.unsilence();
      await c.waitForState("carp0", "BACKUP");
      await a.plugCable();
      await a.waitForState("carp0", "MASTER");
      await b.waitForState("carp0", "BACKUP");
      await advertises(wire, a, 2);
      await served.isServed();
      await served.stop();
      await assertHolder(a, [b, c]);
      assert.deepEqual(statesEntered(a.engine), ["BACKUP", "MASTER", "INIT", "BACKUP", "MASTER"]);
      assert.deepEqual(statesEntered(b.engine), ["BACKUP", "MASTER", "BACKUP"]);
      assert.deepEqual(statesEntered(c.engine), ["BACKUP", "MASTER", "BACKUP"]);
    });
  });

  for (const preempt of [false, true]) {
    const then = preempt ? "takes it again, with preempt" : "leaves it where it is, without preempt";
    test(`a master whose cable is pulled loses the address, and ${then}`, async () => {
      await onCarpHosts({ count: 2 }, async (network) => {
        const { hosts, client, wire } = network;
        const [a, b] = hosts as [Host, Host];
        await settle(network, [
          { preempt, advskew: 0 },
          { preempt, advskew: 40 },
        ]);
        const served = await Client.start(client);
        const pulled = wire.frames.length;
        await a.pullCable();
        await a.waitForState("carp0", "INIT");
        await b.waitForState("carp0", "MASTER");
        await served.isServed();
        await assertHolder(b, [a]);
        await wire.waitFor((frame) => isAnnouncement(frame, IPV4), { from: pulled });
        await wire.waitFor((frame) => isAnnouncement(frame, IPV6), { from: pulled });

        const plugged = wire.frames.length;
        await a.plugCable();
        if (preempt) {
          await Promise.all([a.waitForState("carp0", "MASTER"), b.waitForState("carp0", "BACKUP")]);
          await advertises(wire, a, 2);
          await assertHolder(a, [b]);
        } else {
          await a.waitForState("carp0", "BACKUP");
          await advertises(wire, b, 4);
          await assertHolder(b, [a]);
          assert.deepEqual(wire.frames.slice(plugged).filter(await isFrom(a)), []);
          assert.deepEqual(statesEntered(a.engine), ["BACKUP", "MASTER", "INIT", "BACKUP"]);
        }
        await served.isServed();
        await served.stop();
      });
    });
  }

  test("a master cut off behind a live carrier loses the address; after the partition the faster stays MASTER", async () => {
    await onCarpHosts({ count: 2 }, async (network) => {
      const { hosts, client, wire } = network;
      const [a, b] = hosts as [Host, Host];
      await settle(network, [{ advskew: 0 }, { advskew: 40 }]);
      const served = await Client.start(client);
      await a.silence();
      await b.waitForState("carp0", "MASTER");
      await served.isServed();
      await eventuallyEqual(() => statesOf(hosts), ["MASTER", "MASTER"]);
      await a.unsilence();
      await b.waitForState("carp0", "BACKUP");
      await advertises(wire, a, 2);
      await served.isServed();
      await served.stop();
      await assertHolder(a, [b]);
      assert.deepEqual(statesEntered(a.engine), ["BACKUP", "MASTER"]);
      assert.deepEqual(statesEntered(b.engine), ["BACKUP", "MASTER", "BACKUP"]);
    });
  });

  for (const [was, cutOff] of [
    ["lower", 0],
    ["higher", 1],
  ] as const) {
    test(`after a partition of equals the lower address stays MASTER without an outage, the ${was} having been first`, async () => {
      await onCarpHosts({ count: 2 }, async (network) => {
        // The client reaches both hosts, whichever port a switch would have learned for the virtual MAC.
        await network.lan.flood();
        const [lower, higher] = network.hosts as [Host, Host];
        const hosts = [network.hosts[cutOff], network.hosts[1 - cutOff]] as [Host, Host];
        await settle({ ...network, hosts }, [{}, {}]);
        await hosts[0].silence();
        await hosts[1].waitForState("carp0", "MASTER");
        const served = await Client.start(network.client);
        await advertises(network.wire, hosts[1], 1);
        await hosts[0].unsilence();
        await higher.waitForState("carp0", "BACKUP");
        await advertises(network.wire, lower, 2);
        await served.isServed();
        assertNothingLost(await served.stop());

        assert.deepEqual(statesEntered(lower.engine), ["BACKUP", "MASTER"]);
        assert.deepEqual(statesEntered(higher.engine), ["BACKUP", "MASTER", "BACKUP"]);
        await assertHolder(lower, [higher]);
      });
    });
  }

  test("`state backup` hands the address to another host without a timer", async () => {
    await onCarpHosts({ count: 2 }, async (network) => {
      const [a, b] = network.hosts as [Host, Host];
      await settle(network, [{ advbase: NEVER }, { advbase: NEVER, advskew: 100 }]);
      const served = await Client.start(network.client);
      await a.command("carp0", "state", "backup");
      await b.waitForState("carp0", "MASTER");
      await served.isServed();
      await served.stop();
      await assertHolder(b, [a]);
      assert.deepEqual(statesEntered(a.engine), ["BACKUP", "MASTER", "BACKUP"]);
    });
  });

  test("`state master` takes the address from a slower master for good, from a faster one until it advertises", async () => {
    await onCarpHosts({ count: 2 }, async (network) => {
      const { hosts, client, wire } = network;
      const [fast, slow] = hosts as [Host, Host];
      await settle({ ...network, hosts: [slow, fast] }, [{ advskew: 100 }, {}]);
      await eventuallyEqual(() => statesOf(hosts), ["BACKUP", "MASTER"]);
      const served = await Client.start(client);
      await fast.command("carp0", "state", "master");
      await slow.waitForState("carp0", "BACKUP");
      await assertHolder(fast, [slow]);
      const from = slow.engine.log.length;
      await slow.command("carp0", "state", "master");
      await slow.engine.waitForLog(/MASTER -> BACKUP/, { from });
      await advertises(wire, fast, 2);
      await served.isServed();
      await served.stop();
      await assertHolder(fast, [slow]);
      assert.deepEqual(statesEntered(fast.engine), ["BACKUP", "MASTER"]);
    });
  });

  test("`state` is refused where nothing runs, and changes nothing", async () => {
    await onCarpHosts({ count: 1 }, async (network) => {
      const [a] = network.hosts as [Host];
      await settle(network, [{ advbase: NEVER }]);
      const served = await Client.start(network.client);
      await served.stop();
      await a.command("carp0", "down");
      for (const state of ["master", "backup"]) {
        const { exitCode, stderr } = await a.tryCarpctl("carp0", "state", state);
        assert.equal(exitCode, 1);
        assert.match(stderr, new RegExp(`^carpctl: state ${state}: carp0 does not run: it is down\n$`));
      }
      await eventuallyEqual(() => statesOf([a]), ["INIT"]);
    });
  });
});

test("assertOnlyVirtualMac fails for hosts that pair a shared address with their own MACs", async () => {
  const lan = await createNetwork();
  try {
    const a = await lan.host("a", { addresses: [`${IPV4}/24`, `${IPV6}/64`] });
    const client = await lan.host("client", { addresses: ["10.0.0.99/24", "2001:db8::99/64"] });
    for (const address of [IPV4, IPV6]) {
      const wire = await lan.capture();
      await client.ping(address);
      const frames = await wire.stop();
      const shared = { addresses: [address], mac: MAC };
      assertOnlyVirtualMac(frames, { ...shared, mac: await a.mac() });
      assert.throws(() => assertOnlyVirtualMac(frames, shared), /is at/);
      const tells = frames.filter(
        ({ arp, nd }) => arp?.operation === "reply" || nd?.type === "advertisement",
      );
      assert.throws(() => assertOnlyVirtualMac(tells, { ...shared, packetSources: [] }), /is at/);
      assert.throws(() => assertOnlyVirtualMac([], shared), /no frame/);
    }
  } finally {
    lan.destroy();
  }
});

/** The order of advertisements and announcements: one word for both families, one for all addresses. */
function order(claims: readonly Frame[], addresses: readonly string[]): string[] {
  const words: string[] = [];
  let announced: string[] = [];
  let families = new Set<number>();
  for (const frame of claims) {
    const address = addresses.find((each) => isAnnouncement(frame, each));
    if (address !== undefined) {
      announced.push(address);
      assert.equal(new Set(announced).size, announced.length);
      if (announced.length < addresses.length) continue;
      words.push("announces");
      announced = [];
    } else {
      families.add(frame.etherType);
      const expected = new Set<number>(addresses.map((each) => (each.includes(":") ? 0x86dd : 0x0800)));
      assert.ok(expected.has(frame.etherType));
      if (families.size < expected.size) continue;
      words.push("advertises");
      families = new Set();
    }
  }
  return words;
}
