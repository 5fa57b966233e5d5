/**
 * The lease: a host whose engine does not run, or cannot be heard, stops answering when its peers may take
 * over.
 */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Frame, type Host, isAnnouncement } from "../hosts/index.ts";
import {
  advertises,
  assertHolder,
  assertNothingLost,
  Client,
  claimsOf,
  configure,
  IPV4,
  IPV6,
  isClaim,
  isFrom,
  MAC,
  onCarpHosts,
  statesEntered,
} from "./carp-hosts.ts";

/** At an advbase of 1. */
const LEASE_US = 3_000_000;

/** Configures two hosts of which the first is MASTER and preferred. */
async function masterAndBackup(hosts: readonly Host[], advbase = 1): Promise<[Host, Host]> {
  const [a, b] = hosts as [Host, Host];
  await configure(a, { advbase });
  await a.command("carp0", "state", "master");
  await configure(b, { advbase, advskew: 50 });
  await b.waitForState("carp0", "BACKUP");
  return [a, b];
}

/** Does the frame use a shared address or its MAC? Advertisements do not count. */
const usesTheAddress = (frame: Frame) =>
  frame.carp === undefined &&
  (frame.ethernetSource === MAC ||
    [frame.ipv4?.source, frame.ipv6?.source].some((source) => source === IPV4 || source === IPV6) ||
    isAnnouncement(frame, IPV4) ||
    isAnnouncement(frame, IPV6));

describe("a MASTER's lease", () => {
  test("outlives its engine: the next one goes on as MASTER without a lost packet", async () => {
    await onCarpHosts({ count: 2 }, async ({ hosts, client, wire }) => {
      // A lease of 12 s, in which an engine starts again on a busy machine too.
      const [a, b] = await masterAndBackup(hosts, 4);
      const pings = [IPV4, IPV6].map((address) => client.startPing(address, { intervalMs: 1.1 }));
      for (const ping of pings) await ping.waitForReply();
      await advertises(wire, a, 1);
      await a.engine.kill("SIGKILL");
      await a.startEngine();
      await advertises(wire, a, 2);
      assertNothingLost(await Promise.all(pings.map((ping) => ping.stop())));
      assert.deepEqual(statesEntered(a.engine), ["MASTER"]);
      assert.deepEqual(statesEntered(b.engine), ["BACKUP"]);
      await assertHolder(a, [b]);
    });
  });

  test("expires when its engine is gone: the kernel stops answering, and a late engine begins as BACKUP", async () => {
    await onCarpHosts({ count: 2 }, async ({ hosts, client, wire }) => {
      const [a, b] = await masterAndBackup(hosts);
      const served = await Client.start(client);
      await advertises(wire, a, 1);
      const sent = await a.capture("eth0", "outbound");
      await a.engine.kill("SIGKILL");
      await b.waitForState("carp0", "MASTER");
      await served.isServed(100);
      const [first] = wire.frames.filter(await isFrom(b));
      assert.ok(first);
      const frames = await sent.stop();
      assert.deepEqual(
        frames.filter((frame) => frame.timeUs > first.timeUs && usesTheAddress(frame)),
        [],
      );
      assert.ok(frames.some(usesTheAddress), "until then it answered");
      await a.startEngine();
      await a.waitForState("carp0", "BACKUP");
      await advertises(wire, b, 3);
      await served.stop();
      assert.deepEqual(statesEntered(a.engine), ["BACKUP"]);
      await assertHolder(b, [a]);
    });
  });

  test("expires when its engine is stopped; on SIGCONT the engine gives way without a claim", async () => {
    await onCarpHosts({ count: 2 }, async ({ hosts, client, wire }) => {
      const [a, b] = await masterAndBackup(hosts);
      const served = await Client.start(client);
      await advertises(wire, a, 1);
      const sent = await a.capture("eth0", "outbound");
      const since = a.engine.log.length;
      a.engine.signal("SIGSTOP");
      await b.waitForState("carp0", "MASTER");
      await advertises(wire, b, 10);
      // Both kernels receive the requests for the addresses.
      await client.run("ip", "neighbour", "flush", "dev", "eth0");
      await served.isServed(100);
      // The lease begins with the last advertisement that was sent.
      const last = wire.frames.findLast(await isFrom(a));
      const latest = wire.frames.findLast(await isFrom(b));
      assert.ok(last && latest && latest.timeUs - last.timeUs > 10_000_000, "stopped for ten seconds");
      const claims = await claimsOf(a);
      a.engine.signal("SIGCONT");
      await a.engine.waitForLog(/MASTER -> BACKUP/, { from: since });
      await advertises(wire, b, 3);
      await served.stop();
      assert.deepEqual((await claims.stop()).filter(isClaim), []);
      const late = (await sent.stop()).filter((frame) => frame.timeUs > last.timeUs + LEASE_US);
      assert.deepEqual(late.filter(usesTheAddress), []);
      assert.deepEqual(statesEntered(b.engine), ["BACKUP", "MASTER"]);
      await assertHolder(b, [a]);
    });
  });

  test("expires when its advertisements do not leave the host", async () => {
    await onCarpHosts({ count: 2 }, async ({ hosts, client, wire }) => {
      const [a, b] = await masterAndBackup(hosts);
      const served = await Client.start(client);
      await advertises(wire, a, 1);
      await a.run(
        "nft",
        "add table netdev t; add chain netdev t out { type filter hook egress device eth0 priority 0; }; " +
          "add rule netdev t out ip protocol 112 drop; add rule netdev t out ip6 nexthdr 112 drop",
      );
      const sent = await a.capture("eth0", "outbound");
      await b.waitForState("carp0", "MASTER");
      await a.waitForState("carp0", "BACKUP");
      await advertises(wire, b, 3);
      await served.isServed(100);
      await served.stop();
      const [first] = wire.frames.filter(await isFrom(b));
      assert.ok(first);
      const late = (await sent.stop()).filter((frame) => frame.timeUs > first.timeUs);
      assert.deepEqual(late.filter(usesTheAddress), []);
      await assertHolder(b, [a]);
    });
  });
});
