/** The carpdev's own MAC as `lladdr`: carp follows the carpdev when that gets another MAC. */

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { createNetwork, eventuallyEqual, type Host, type Network } from "../hosts/index.ts";

const SHARED = ["10.0.0.1", "2001:db8::1"] as const;
const OWN = ["10.0.0.2/24", "2001:db8::2/64"] as const;

describe("an interface with its carpdev's MAC, which changes", () => {
  let lan: Network;
  let a: Host;
  let b: Host;
  let client: Host;

  before(async () => {
    lan = await createNetwork();
    [a, b, client] = await Promise.all([
      lan.host("a", { addresses: OWN }),
      lan.host("b", { addresses: ["10.0.0.3/24", "2001:db8::3/64"] }),
      lan.host("c", { addresses: ["10.0.0.9/24", "2001:db8::9/64"] }),
    ]);
    await Promise.all([a.startEngine(), b.startEngine()]);
    for (const [host, advskew] of [
      [a, "0"],
      [b, "100"],
    ] as const) {
      const words = ["carpdev", "eth0", "vhid", "1", "pass", "sesame", "advskew", advskew];
      const addresses = ["inet", `${SHARED[0]}/24`, "inet6", `${SHARED[1]}/64`];
      await host.command("carp0", ...addresses, ...words, "lladdr", await host.mac());
      await host.command("sysctl", "net.inet.carp.preempt=1");
    }
    await a.command("carp0", "state", "master");
    await served();
    for (const address of SHARED) assert.equal((await client.ping(address)).received, 3);
  });
  after(() => lan.destroy());

  const macAt = async (address: string) =>
    / lladdr (\S+) /.exec(await client.run("ip", "neighbour", "show", address))?.[1];

  /** a is MASTER with its MAC, b is BACKUP and believes it, and the client, which does not ask, knows. */
  async function served(): Promise<void> {
    await Promise.all([a.waitForState("carp0", "MASTER"), b.waitForState("carp0", "BACKUP")]);
    const { sentIpv4, sentIpv6 } = await b.engine.request("statistics", {});
    const mac = await a.mac();
    for (const address of SHARED)
      if ((await macAt(address)) !== undefined) await eventuallyEqual(() => macAt(address), mac);
    await eventuallyEqual(
      async () => (await a.addresses()).sort(),
      [...OWN, "10.0.0.1/24", "2001:db8::1/64"].sort(),
    );
    for (const address of SHARED) assert.equal((await client.ping(address)).received, 3);
    const seen = await b.engine.request("statistics", {});
    assert.deepEqual([seen.badAuthentication, seen.sentIpv4, seen.sentIpv6], [0, sentIpv4, sentIpv6]);
    assert.equal(await b.engine.state("carp0"), "BACKUP");
    await assert.rejects(a.run("ip", "link", "show", "carp0"), /does not exist/);
    assert.match((await a.command("carp0")).stdout, new RegExp(`^\tlladdr ${mac}$`, "m"));
  }

  test("while it is MASTER: it stays MASTER", async () => {
    const { transitions } = a.engine;
    await a.run("ip", "link", "set", "eth0", "address", "02:00:00:00:77:01");
    await served();
    assert.deepEqual(a.engine.transitions, transitions);
  });

  test("while its engine is stopped: the next one follows", async () => {
    await a.engine.kill("SIGKILL");
    await a.run("ip", "link", "set", "eth0", "address", "02:00:00:00:77:02");
    await a.startEngine();
    await served();
  });

  test("since the carpdev is another device", async () => {
    await a.run("ip", "link", "delete", "eth0");
    await a.waitForState("carp0", "INIT");
    await lan.attach(a, { interface: "eth0", addresses: OWN });
    await served();
  });

  test("after which `dump` names the carpdev, and the files with the first MAC and of the dump change nothing", async () => {
    const { stdout } = await a.command("dump", "carp0");
    assert.match(stdout, /^lladdr carpdev$/m);
    const from = a.engine.log.length;
    for (const lladdr of ["carpdev", "02:00:00:00:77:01"]) {
      const file = join(a.etcDirectory, "hostname.carp0");
      writeFileSync(file, stdout.replace("lladdr carpdev", `lladdr ${lladdr}`), { mode: 0o640 });
      await a.command("netstart");
      await served();
    }
    assert.deepEqual(
      a.engine.log.lines.slice(from).filter(({ text }) => text.includes("state transition")),
      [],
    );
  });
});
