/** Handover: hosts that leave in order, engines that are killed or stopped, and their return. */

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { eventuallyEqual, type Frame, type Host } from "../hosts/index.ts";
import { runFiles } from "../hosts/run-directory.ts";
import {
  advertises,
  assertHolder,
  assertNothingLost,
  Client,
  claimsOf,
  configure,
  IPV4,
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

/** An advbase with a lease of 12 s, in which an engine starts again on a busy machine too. */
const LONG_LEASE = 4;

/** The states entered from the nth log line on. */
const statesSince = (host: Host, line: number) =>
  host.engine.log.lines
    .slice(line)
    .flatMap(({ text }) => /state transition: \w+ -> (\w+)/.exec(text)?.[1] ?? []);

const ownSetting = (host: Host) => host.run("sysctl", "-n", "net.ipv4.conf.eth0.arp_ignore");

/** Checks that no device or file of carp is left and that settings have their former values. */
async function assertClean(host: Host): Promise<void> {
  assert.equal(await host.mac("carp0").catch(() => "none"), "none");
  assert.equal(await ownSetting(host), "0\n");
  assert.deepEqual(runFiles(host), []);
}

describe("an orderly handover", () => {
  const ways = [
    {
      by: "`down`",
      leave: (host: Host) => host.command("carp0", "down"),
      comeBack: (host: Host) => host.command("carp0", "up"),
    },
    {
      by: "`state backup`",
      leave: (host: Host) => host.command("carp0", "state", "backup"),
      comeBack: () => undefined,
    },
    {
      by: "SIGTERM",
      leave: (host: Host) => host.engine.stop(),
      comeBack: async (host: Host, settings: Settings) => {
        await assertClean(host);
        await host.startEngine();
        await configure(host, settings);
      },
    },
  ];
  for (const { by, leave, comeBack } of ways)
    test(`by ${by} loses no ping, five times there and back`, async () => {
      await onCarpHosts({ count: 2 }, async ({ hosts, client, wire }) => {
        const settings = new Map(hosts.map((host, n) => [host, { advbase: NEVER, advskew: n * 100 }]));
        let [master, backup] = hosts as [Host, Host];
        for (const host of hosts) await configure(host, settings.get(host));
        await master.command("carp0", "state", "master");
        await backup.waitForState("carp0", "BACKUP");
        for (let n = 0; n < 10; n += 1) {
          const served = await Client.start(client);
          const from = wire.frames.length;
          const [exit] = await Promise.all([leave(master), backup.waitForState("carp0", "MASTER")]);
          if ("code" in exit) assert.deepEqual(exit, { code: 0, signal: null });
          await served.isServed(10);
          const report = await served.stop();
          assertNothingLost(report);
          await assertHolder(backup, [master]);

          // No frame from the virtual MAC may make the switch learn the port of the host that has left.
          const frames = wire.frames.slice(from);
          const first = frames.findIndex(await isFrom(backup));
          assert.ok(first > 0);
          const fromMaster = await isFrom(master);
          const words = frames.filter((frame) => isAdvertisement(frame) && fromMaster(frame));
          assert.ok(words.length > 0);
          for (const { carp, ethernetSource } of words) {
            assert.deepEqual([carp?.advbase, carp?.advskew], [255, 255]);
            assert.notEqual(ethernetSource, MAC);
          }
          await comeBack(master, settings.get(master) as Settings);
          await master.waitForState("carp0", "BACKUP");
          [master, backup] = [backup, master];
        }
      });
    });

  test("leaves the virtual MAC to the successor from the bow-out on, in packets of other programs too", async () => {
    await onCarpHosts({ count: 1 }, async ({ hosts, wire }) => {
      const [host] = hosts as [Host];
      await configure(host, { advbase: NEVER });
      await host.command("carp0", "state", "master");
      const client4 = "10.0.0.99";
      const pings = host.startPing(client4, { from: "carp0" });
      const isPacket = ({ icmp, ipv4 }: Frame) =>
        icmp !== undefined && ipv4?.source === IPV4 && ipv4.destination === client4;
      const before = await wire.waitFor(isPacket);
      assert.equal(before.ethernetSource, MAC);
      await pings.waitForReply();
      // No successor is heard: it sends on for the linger time.
      await host.command("carp0", "down");
      await pings.stop();
      await wire.waitFor(({ carp }) => carp?.advbase === 255);
      const bowOut = wire.frames.findIndex(({ carp }) => carp?.advbase === 255);
      await wire.waitFor(isPacket, { from: bowOut });
      const after = wire.frames.slice(bowOut).filter(isPacket);
      const own = await host.mac();
      for (const frame of after) assert.equal(frame.ethernetSource, own);
    });
  });

  for (const { what, leave, comeBack } of [
    {
      what: "comes back",
      leave: (host: Host) => host.command("carp0", "down"),
      comeBack: (host: Host) => host.command("carp0", "up"),
    },
    {
      what: "is demoted no longer",
      leave: (host: Host) => host.command("-g", "carp", "carpdemote", "1"),
      comeBack: (host: Host) => host.command("-g", "carp", "-carpdemote", "1"),
    },
  ])
    test(`to a host that ${what} and preempts loses no ping`, async () => {
      // With one family a single advertisement makes it preempt, and none follows that it could answer.
      const addresses = [IPV4];
      await onCarpHosts({ count: 2, addresses }, async ({ hosts, client, wire }) => {
        const [a, b] = hosts as [Host, Host];
        await configure(b, { addresses, advskew: 100, preempt: true });
        await b.command("carp0", "state", "master");
        await configure(a, { addresses, preempt: true });
        await a.waitForState("carp0", "MASTER");
        const served = await Client.start(client, addresses);
        for (let n = 0; n < 3; n += 1) {
          await Promise.all([leave(a), b.waitForState("carp0", "MASTER")]);
          await served.isServed(10);
          await comeBack(a);
          await Promise.all([a.waitForState("carp0", "MASTER"), b.waitForState("carp0", "BACKUP")]);
          await served.isServed(10);
        }
        assertNothingLost(await served.stop());
        await advertises(wire, a, 1);
      });
    });
});

describe("a handover with strict_replay", () => {
  /** Changes the saved state of a killed engine as if the clock had been ahead. */
  function putAhead({ runDirectory }: Host, byUs: bigint): void {
    const file = join(runDirectory, "state.json");
    const state = JSON.parse(readFileSync(file, "utf8"));
    state.counters.upTo = String(BigInt(state.counters.upTo) + byUs);
    writeFileSync(file, JSON.stringify(state));
  }

  test("between hosts whose counters are hours apart is accepted, there and back", async () => {
    await onCarpHosts({ count: 2 }, async ({ hosts, wire }) => {
      const [a, b] = hosts as [Host, Host];
      for (const host of hosts) await host.command("sysctl", "net.inet.carp.strict_replay=1");
      await configure(a);
      await a.engine.kill("SIGKILL");
      putAhead(a, 7_200_000_000n);
      await a.startEngine();
      await a.waitForState("carp0", "MASTER");
      await advertises(wire, a, 1);
      await configure(b);
      await b.waitForState("carp0", "BACKUP");
      await advertises(wire, a, 1);

      await a.engine.kill("SIGKILL");
      await b.waitForState("carp0", "MASTER");
      await advertises(wire, b, 1);
      await a.startEngine();
      await a.waitForState("carp0", "BACKUP");
      await advertises(wire, b, 2);
      await b.command("carp0", "down");
      await a.waitForState("carp0", "MASTER");
      await advertises(wire, a, 1);

      const counters = wire.frames.flatMap(({ carp, ipv4 }) => (carp && ipv4 ? [carp.counter] : []));
      assert.ok(counters.length > 6);
      assert.ok(counters.every((counter, n) => n === 0 || counter > (counters[n - 1] as bigint)));
      for (const { engine } of hosts)
        assert.deepEqual(
          engine.log.lines.filter(({ text }) => /replay(?!: 0 -> 1$)/.test(text)),
          [],
        );
      await assertHolder(a, [b]);
    });
  });
});

describe("an engine that ends or stops without a bow-out", { concurrency: 4 }, () => {
  for (const signal of ["SIGUSR2", "SIGKILL"] as const) {
    test(`by ${signal} leaves everything in place, and the next engine goes on as MASTER`, async () => {
      await onCarpHosts({ count: 2 }, async ({ hosts, client, wire }) => {
        const [a, b] = hosts as [Host, Host];
        await configure(a, { advbase: LONG_LEASE });
        await a.command("carp0", "state", "master");
        await configure(b, { advbase: LONG_LEASE, advskew: 254 });
        await b.waitForState("carp0", "BACKUP");
        const served = await Client.start(client);
        await advertises(wire, a, 1);
        const { stdout: configured } = await a.command("carp0");

        const from = wire.frames.length;
        const exit = await a.engine.kill(signal);
        assert.deepEqual(exit, signal === "SIGUSR2" ? { code: 0, signal: null } : { code: null, signal });
        await assertHolder(a, [b]);
        await a.startEngine();
        await a.waitForState("carp0", "MASTER");
        await advertises(wire, a, 2);
        await served.isServed();
        await served.stop();
        assert.equal((await a.command("carp0")).stdout, configured);
        await assertHolder(a, [b]);
        assert.deepEqual(statesEntered(b.engine), ["BACKUP"]);

        const said = wire.frames.filter(await isFrom(a));
        assert.ok(said.every(({ carp }) => carp?.advbase === LONG_LEASE));
        const counters = said.flatMap(({ carp, ipv4 }) => (carp && ipv4 ? [carp.counter] : []));
        assert.ok(counters.every((counter, n) => n === 0 || counter > (counters[n - 1] as bigint)));
        assert.ok(wire.frames.slice(from).some(await isFrom(a)));

        await Promise.all([a.engine.stop(), b.waitForState("carp0", "MASTER")]);
        await assertClean(a);
      });
    });

    test(`by ${signal}, restarted after another took over, is BACKUP and removes its addresses`, async () => {
      await onCarpHosts({ count: 2 }, async ({ hosts, client, wire }) => {
        const [a, b] = hosts as [Host, Host];
        await configure(a);
        await a.command("carp0", "state", "master");
        await configure(b);
        await b.waitForState("carp0", "BACKUP");
        await advertises(wire, a, 1);
        await a.engine.kill(signal);
        await b.waitForState("carp0", "MASTER");
        const claims = await claimsOf(a);
        await a.startEngine();
        await advertises(wire, b, 4);
        await eventuallyEqual(() => statesOf(hosts), ["BACKUP", "MASTER"]);
        await assertHolder(b, [a]);
        assert.deepEqual((await claims.stop()).filter(isClaim), []);
        assert.equal((await client.ping("10.0.0.1")).received, 3);
        await a.engine.stop();
        await assertClean(a);
      });
    });
  }

  test("stopped as MASTER for longer than its lease, is BACKUP when it goes on and claims nothing", async () => {
    await onCarpHosts({ count: 2 }, async ({ hosts, client, wire }) => {
      const [a, b] = hosts as [Host, Host];
      await configure(a);
      await a.command("carp0", "state", "master");
      await configure(b, { advskew: 20 });
      await b.waitForState("carp0", "BACKUP");
      await advertises(wire, a, 1);
      a.engine.signal("SIGSTOP");
      await b.waitForState("carp0", "MASTER");
      await advertises(wire, b, 5);

      const line = a.engine.log.length;
      const claims = await claimsOf(a);
      a.engine.signal("SIGCONT");
      await a.waitForState("carp0", "BACKUP");
      const served = await Client.start(client);
      await advertises(wire, b, 4);
      await served.isServed();
      assertNothingLost(await served.stop());
      assert.deepEqual((await claims.stop()).filter(isClaim), []);
      assert.deepEqual(statesSince(a, line), ["BACKUP"]);
      assert.deepEqual(statesEntered(b.engine), ["BACKUP", "MASTER"]);
      await assertHolder(b, [a]);
    });
  });

  test("stopped as BACKUP for any time, leaves a healthy master alone when it goes on", async () => {
    await onCarpHosts({ count: 2 }, async ({ hosts, client, wire }) => {
      const [a, b] = hosts as [Host, Host];
      await configure(a, { advskew: 100 });
      await a.command("carp0", "state", "master");
      await configure(b);
      await b.waitForState("carp0", "BACKUP");
      const served = await Client.start(client);
      const claims = await claimsOf(b);
      const line = b.engine.log.length;
      for (const times of [3, 5]) {
        b.engine.signal("SIGSTOP");
        await advertises(wire, a, times);
        b.engine.signal("SIGCONT");
        await advertises(wire, a, 3);
      }
      assert.equal(await b.engine.state("carp0"), "BACKUP");
      assertNothingLost(await served.stop());
      assert.deepEqual(statesSince(b, line), []);
      assert.deepEqual((await claims.stop()).filter(isClaim), []);
      await assertHolder(a, [b]);
    });
  });

  test("stopped as BACKUP, takes over when it goes on after the master has gone", async () => {
    await onCarpHosts({ count: 2 }, async ({ hosts, client, wire }) => {
      const [a, b] = hosts as [Host, Host];
      await configure(a);
      await a.command("carp0", "state", "master");
      await configure(b);
      await b.waitForState("carp0", "BACKUP");
      await advertises(wire, a, 2);
      b.engine.signal("SIGSTOP");
      await advertises(wire, a, 1);
      await a.pullCable();
      b.engine.signal("SIGCONT");
      await b.waitForState("carp0", "MASTER");
      const served = await Client.start(client);
      await served.stop();
      await assertHolder(b, [a]);
    });
  });
});
