/** Three hosts in three networks, with two routers between them and the same list of unicast peers. */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { createNetwork, eventually, type Host, type Network } from "../hosts/index.ts";

const PEERS = "10.0.1.2,10.0.2.2,10.0.3.2";
const PEERS6 = "2001:db8:1::2,2001:db8:2::2,2001:db8:3::2";

describe("three hosts across two routers", () => {
  const networks: Network[] = [];
  const hosts: Host[] = [];

  before(async () => {
    for (let n = 1; n <= 3; n++) networks.push(await createNetwork());
    for (const [at, network] of networks.entries()) {
      const n = at + 1;
      const host = await network.host(`h${n}`, { addresses: [`10.0.${n}.2/24`, `2001:db8:${n}::2/64`] });
      hosts.push(host);
    }
    const [first, second, third] = networks as [Network, Network, Network];
    const routers: Host[] = [];
    for (const [n, near, far] of [
      [1, first, second],
      [2, second, third],
    ] as const) {
      const router = await near.host(`r${n}`, { addresses: [`10.0.${n}.1/24`, `2001:db8:${n}::1/64`] });
      await far.attach(router, { addresses: [`10.0.${n + 1}.254/24`, `2001:db8:${n + 1}::fe/64`] });
      await router.becomeRouter();
      routers.push(router);
    }
    const [r1, r2] = routers as [Host, Host];
    const [a, b, c] = hosts as [Host, Host, Host];
    await Promise.all([
      r1.namespace.ip(["route add 10.0.3.0/24 via 10.0.2.1", "route add 2001:db8:3::/64 via 2001:db8:2::1"]),
      r2.namespace.ip([
        "route add 10.0.1.0/24 via 10.0.2.254",
        "route add 2001:db8:1::/64 via 2001:db8:2::fe",
      ]),
      a.namespace.ip(["route add default via 10.0.1.1", "route add ::/0 via 2001:db8:1::1"]),
      b.namespace.ip([
        "route add 10.0.1.0/24 via 10.0.2.254",
        "route add 2001:db8:1::/64 via 2001:db8:2::fe",
        "route add 10.0.3.0/24 via 10.0.2.1",
        "route add 2001:db8:3::/64 via 2001:db8:2::1",
      ]),
      c.namespace.ip(["route add default via 10.0.3.254", "route add ::/0 via 2001:db8:3::fe"]),
      ...hosts.map((host) => host.startEngine()),
    ]);
  });
  after(() => {
    for (const network of networks) network.destroy();
  });

  const states = () => Promise.all(hosts.map((host) => host.engine.state("carp0")));
  const become = (wanted: string) =>
    eventually(states, (now) => now.map((state) => state?.[0] ?? "-").join("") === wanted);

  test("elect the preferred one, from the same line of configuration", async () => {
    const warned = await Promise.all(
      hosts.map(async (host, at) => {
        await host.carpctl("sysctl", "net.inet.carp.preempt=1");
        return host.tryCarpctl(
          ...["carp0", "inet", "192.0.2.1/32", "inet6", "2001:db8:99::1/128", "carpdev", "eth0", "vhid", "5"],
          ...["pass", "sesame", "advbase", "0", "advskew", String(64 * (at + 1))],
          ...["carppeer", PEERS, "carppeer6", PEERS6],
        );
      }),
    );
    for (const [at, { stderr, exitCode }] of warned.entries()) {
      const n = at + 1;
      assert.equal(
        stderr,
        `carpctl: warning: carppeer 10.0.${n}.2: skipped, it is this host (eth0)\n` +
          `carpctl: warning: carppeer6 2001:db8:${n}::2: skipped, it is this host (eth0)\n`,
      );
      assert.equal(exitCode, 0);
    }
    await become("MBB");
    for (const host of hosts) {
      const { badTtl, badVhid, badAuthentication } = await host.engine.request("statistics", {});
      assert.deepEqual([badTtl, badVhid, badAuthentication], [0, 0, 0]);
      const { stdout } = await host.carpctl("carp0");
      assert.ok(stdout.includes(` carppeer ${PEERS} carppeer6 ${PEERS6}\n`), stdout);
    }
  });

  test("each is told, and none by multicast nor by itself", async () => {
    const [a, b, c] = hosts as [Host, Host, Host];
    const [atA, atB, atC] = await Promise.all(
      [a, b, c].map((host) => host.capture("eth0", "ip proto 112 or ip6 proto 112")),
    );
    for (const [capture, to] of [
      [atB, "10.0.2.2"],
      [atB, "2001:db8:2::2"],
      [atC, "10.0.3.2"],
      [atC, "2001:db8:3::2"],
    ] as const)
      await capture?.waitFor(({ ipv4, ipv6 }) => (ipv4 ?? ipv6)?.destination === to);
    const sent = (await atA?.stop()) ?? [];
    await Promise.all([atB?.stop(), atC?.stop()]);
    const destinations = new Set(sent.map(({ ipv4, ipv6 }) => (ipv4 ?? ipv6)?.destination));
    assert.deepEqual([...destinations].sort(), ["10.0.2.2", "10.0.3.2", "2001:db8:2::2", "2001:db8:3::2"]);
  });

  test("fail over to the next, and to the last", async () => {
    const [a, b] = hosts as [Host, Host, Host];
    await a.pullCable();
    await eventually(states, ([, second, third]) => second === "MASTER" && third === "BACKUP");
    await b.pullCable();
    await eventually(states, ([, , third]) => third === "MASTER");
  });

  test("preempt when the preferred one is back", async () => {
    const [a, b] = hosts as [Host, Host, Host];
    await b.plugCable();
    await eventually(states, ([, second, third]) => second === "MASTER" && third === "BACKUP");
    await a.plugCable();
    await become("MBB");
  });

  test("have the same lists after a restart of an engine", async () => {
    const c = hosts[2] as Host;
    const before = (await c.carpctl("dump", "carp0")).stdout;
    assert.ok(before.includes(`carppeer ${PEERS} carppeer6 ${PEERS6}\n`), before);
    await c.engine.kill("SIGKILL");
    await c.startEngine();
    assert.equal((await c.carpctl("dump", "carp0")).stdout, before);
    await become("MBB");
  });
});
