/** Demotion: which host gives way, at once. Every advbase here is so long that no timer causes a takeover. */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { createNetwork, type Host, type Network } from "../hosts/index.ts";

const SLOW = ["advbase", "60"];

describe("demotion", () => {
  const networks: Network[] = [];
  let a: Host;
  let b: Host;

  /** Two firewalls between two networks; a is preferred and MASTER of both addresses. */
  before(async () => {
    const [outside, inside] = await Promise.all([createNetwork(), createNetwork()]);
    networks.push(outside, inside);
    [a, b] = await Promise.all([
      outside.host("a", { addresses: ["10.0.0.2/24"] }),
      outside.host("b", { addresses: ["10.0.0.3/24"] }),
    ]);
    await inside.attach(a, { addresses: ["10.0.1.2/24"] });
    await inside.attach(b, { addresses: ["10.0.1.3/24"] });
    await Promise.all([a.startEngine(), b.startEngine()]);
    for (const host of [a, b]) await host.command("sysctl", "net.inet.carp.preempt=1");
    for (const [host, advskew] of [
      [a, "10"],
      [b, "100"],
    ] as const) {
      for (const n of [0, 1]) {
        const words = ["carpdev", `eth${n}`, "vhid", String(n + 1), "pass", "sesame", "advskew", advskew];
        await host.command(`carp${n}`, `10.0.${n}.1/24`, ...words, ...SLOW);
        if (host === a) await a.command(`carp${n}`, "state", "master");
      }
    }
    await at(a, b);
  });
  after(() => {
    for (const network of networks) network.destroy();
  });

  const at = async (one: Host, other: Host, names = ["carp0", "carp1"]) => {
    await Promise.all(names.map((name) => one.waitForState(name, "MASTER")));
    await Promise.all(names.map((name) => other.waitForState(name, "BACKUP")));
  };

  test("a group's carpdemote moves its addresses at once, and taking it back brings them back", async () => {
    const begin = a.engine.log.length;
    const advertised = await b.capture("eth0", "ip proto 112");
    await a.command("-g", "carp", "carpdemote", "3");
    const demoted = await advertised.waitFor(({ carp }) => carp?.vhid === 1 && carp.demote === 3);
    assert.deepEqual([demoted.ipv4?.source, demoted.carp?.advskew], ["10.0.0.2", 10]);
    await at(b, a);
    assert.equal((await a.command("-g", "carp")).stdout, "carp: carp demote count 3\n");
    assert.match((await a.command("status")).stdout, /^group carp: carp demote count 3$/m);
    await a.engine.waitForLog(/^<3>carpctl demoted group carp by 3 to 3 \(carpdemote\)$/, { from: begin });

    await a.command("-g", "carp", "-carpdemote", "2");
    assert.equal((await a.command("-g", "carp")).stdout, "carp: carp demote count 1\n");
    await a.command("-g", "carp", "-carpdemote");
    await a.engine.waitForLog(/^<3>carpctl promoted group carp by 1 to 0 \(carpdemote\)$/, { from: begin });
    await advertised.stop();
    await returnsToA();
  });

  test("a group of one interface moves that one alone", async () => {
    await a.command("carp1", "group", "inside");
    await a.command("-g", "inside", "carpdemote");
    await at(b, a, ["carp1"]);
    assert.equal(await a.engine.state("carp0"), "MASTER");
    await a.command("-g", "inside", "-carpdemote");
    await a.command("carp1", "-group", "inside");
    await returnsToA();
  });

  test("the global counter moves everything at once, and shows in advskew", async () => {
    const advertised = await b.capture("eth0", "ip proto 112");
    await a.command("sysctl", "net.inet.carp.demotion=50");
    const demoted = await advertised.waitFor(({ carp }) => carp?.demote === 50);
    assert.deepEqual([demoted.ipv4?.source, demoted.carp?.advskew], ["10.0.0.2", 60]);
    await at(b, a);
    const { stdout } = await a.command("sysctl", "net.inet.carp.demotion=-50");
    assert.equal(stdout, "net.inet.carp.demotion: 50 -> 0\n");
    await advertised.stop();
    await returnsToA();
  });

  for (const [lost, other] of [
    [0, 1],
    [1, 0],
  ] as const)
    test(`the cable of eth${lost} is pulled: both addresses move; plugged in again: both return`, async () => {
      const begin = a.engine.log.length;
      await a.pullCable(`eth${lost}`);
      await a.waitForState(`carp${lost}`, "INIT");
      await b.waitForState(`carp${other}`, "MASTER");
      await a.waitForState(`carp${other}`, "BACKUP");
      for (const line of [
        new RegExp(`^<3>carp${lost} demoted group carp by 1 to 1 \\(carpdev\\)$`),
        /^<3>demoted by 240 to 240 \(interface down\)$/,
      ])
        await a.engine.waitForLog(line, { from: begin });
      assert.equal((await a.command("sysctl", "-n", "net.inet.carp.demotion")).stdout, "240\n");
      assert.match(
        (await a.command("status")).stdout,
        new RegExp(`^carp${lost}: carpdev eth${lost} has no carrier \\[no-carrier\\]$`, "m"),
      );
      // On the network that was cut off only a timer would make b take over; this is quicker.
      await b.command(`carp${lost}`, "state", "master");
      await b.waitForState(`carp${lost}`, "MASTER");

      await a.plugCable(`eth${lost}`);
      for (const line of [
        /^<3>carp\d promoted group carp by 1 to 0 \(carpdev\)$/,
        /^<3>promoted by 240 to 0 /,
      ])
        await a.engine.waitForLog(line, { from: begin });
      await a.waitForState(`carp${lost}`, "BACKUP");
      await returnsToA();
      await a.waitForAddresses(`carp${lost}`, [`10.0.${lost}.1/24`]);
      await b.waitForAddresses(`carp${lost}`, []);
    });

  /**
   * A BACKUP that preempts has to hear the MASTER: with this advbase it waits a second instead of a minute.
   */
  async function returnsToA(names = ["carp0", "carp1"]): Promise<void> {
    const advertise = async (advbase: number, hosts = [a, b]) => {
      for (const host of hosts)
        for (const name of names) await host.engine.request("change", { name, change: { advbase } });
    };
    await advertise(1);
    await at(a, b, names);
    // The other way round b would preempt a.
    await advertise(60, [b, a]);
  }
});

describe("demotion for send errors", () => {
  let lan: Network;
  let a: Host;
  before(async () => {
    lan = await createNetwork();
    a = await lan.host("a", { addresses: ["10.0.0.2/24"] });
    await a.startEngine();
  });
  after(() => lan.destroy());

  test("three sends in a row that fail demote, three that succeed take it back", async () => {
    const words = ["carpdev", "eth0", "vhid", "1", "pass", "sesame", "advbase", "0", "advskew", "20"];
    await a.command("carp0", "10.0.0.1/24", ...words);
    await a.waitForState("carp0", "MASTER");
    const begin = a.engine.log.length;
    // A queue without room: every send fails with ENOBUFS.
    await a.run("tc", "qdisc", "add", "dev", "eth0", "root", "pfifo", "limit", "0");
    await a.engine.waitForLog(/^<3>carp0 demoted group carp by 1 to 1 \(> snderrors\)$/, { from: begin });
    await a.engine.waitForLog(/^<3>demoted by 240 to 240 \(> snderrors\)$/, { from: begin });
    assert.ok((await a.engine.request("statistics", {})).sendFailed >= 3);
    assert.match((await a.command("netstat")).stdout, /^\t\t\d+ send failed due to mbuf memory error$/m);

    await a.run("tc", "qdisc", "delete", "dev", "eth0", "root");
    await a.engine.waitForLog(/^<3>carp0 promoted group carp by 1 to 0 \(< snderrors\)$/, { from: begin });
    await a.engine.waitForLog(/^<3>promoted by 240 to 0 \(< snderrors\)$/, { from: begin });
    await a.waitForState("carp0", "MASTER");
  });

  test("a send that fails lets no older advertisement of another vhid leave after a newer one", async () => {
    for (const n of [1, 2]) {
      const words = ["carpdev", "eth0", "vhid", String(n + 10), ...SLOW, "state", "master"];
      await a.command(`carp${n}`, `10.0.0.1${n}/24`, ...words);
    }
    const wire = await lan.capture("ip proto 112");
    const others = () => wire.frames.flatMap(({ carp }) => (carp?.vhid === 12 ? [carp] : []));
    // The second byte of an advertisement is its vhid.
    const drop =
      "table netdev f { chain o { type filter hook egress device eth0 priority 0; meta l4proto 112 @th,8,8 11 drop; }; }";
    await a.run("nft", drop);
    // Each advertises both, vhid 11 first; the third failure demotes the host.
    for (let by = 1; by <= 4; by++) {
      const from = wire.frames.length;
      await a.command("-g", "carp", "carpdemote");
      await wire.waitFor(({ carp }) => carp?.vhid === 12, { from });
    }
    await wire.waitFor(({ carp }) => carp?.vhid === 12 && carp.demote > 240);
    await a.run("nft", "delete table netdev f");
    const counters = others().map(({ counter }) => counter);
    assert.ok(
      counters.every((each, at) => at === 0 || each > (counters[at - 1] ?? 0n)),
      `${counters}`,
    );
  });
});
