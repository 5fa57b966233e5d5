/** The examples of OpenBSD's carp(4), typed literally, with `carpctl` for `ifconfig`. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createNetwork, echo, type Host, type Network } from "../hosts/index.ts";
import { nodeIndex } from "../oracle/load-sharing.ts";
import { givenMac, MODES } from "./balanced-hosts.ts";
import { assertNothingLost } from "./carp-hosts.ts";

/** Types a command as a manual shows it. */
function type(host: Host, line: string) {
  const [command, ...words] = line.split(" ");
  return command === "ifconfig" ? host.carpctl(...words) : host.carpctl(command as string, ...words);
}

async function onNetworks(count: number, scene: (lans: readonly Network[]) => Promise<void>): Promise<void> {
  const lans: Network[] = [];
  try {
    for (let n = 0; n < count; n += 1) lans.push(await createNetwork());
    await scene(lans);
  } finally {
    for (const lan of lans) lan.destroy();
  }
}

/** A host with a running engine, and em0 and em1 on the networks with its own addresses. */
async function physicalHost(lans: readonly Network[], name: string, digit: number): Promise<Host> {
  const [first, second] = lans as readonly [Network, Network?];
  const host = await first.host(name, { interface: "em0", addresses: [`192.168.1.${digit}/24`] });
  await second?.attach(host, { interface: "em1", addresses: [`192.168.2.${digit}/24`] });
  await host.startEngine();
  await echo.number(host, digit, "em0");
  return host;
}

async function areIn(host: Host, state: "MASTER" | "BACKUP", interfaces: readonly string[]): Promise<void> {
  for (const name of interfaces) await host.waitForState(name, state);
}

const SHARED = "192.168.1.10";
const questions = Array.from({ length: 60 }, (_, n) => ({ source: `192.168.1.${100 + n}`, target: SHARED }));

/** Checks that every source is answered once, by the host (named by its digit) that holds its node. */
async function assertShared(client: Host, holders: readonly number[]): Promise<void> {
  await echo.reach(client, questions[0] as echo.Question);
  for (const { source, by } of await echo.ask(client, questions, { protocols: ["icmp"] }))
    assert.deepEqual(by, [holders[nodeIndex(source, SHARED, holders.length)]], source);
}

const clientOf = (lan: Network) =>
  lan.host("client", { addresses: questions.map(({ source }) => `${source}/24`) });

describe("carp(4)'s examples", { concurrency: true }, () => {
  test("two firewalls on two networks: A is the preferred master, and they fail over together", async () => {
    await onNetworks(2, async (lans) => {
      const [a, b] = await Promise.all([physicalHost(lans, "a", 2), physicalHost(lans, "b", 3)]);
      const [inside, outside] = await Promise.all(
        lans.map((lan, n) => lan.host(`client${n}`, { addresses: [`192.168.${n + 1}.99/24`] })),
      );
      await type(a, "sysctl net.inet.carp.preempt=1");
      await type(b, "sysctl net.inet.carp.preempt=1");
      await type(a, "ifconfig carp0 192.168.1.1/24 carpdev em0 vhid 1");
      await type(a, "ifconfig carp1 192.168.2.1/24 carpdev em1 vhid 2");
      await type(b, "ifconfig carp0 192.168.1.1/24 carpdev em0 vhid 1 advskew 100");
      await type(b, "ifconfig carp1 192.168.2.1/24 carpdev em1 vhid 2 advskew 100");
      const both = ["carp0", "carp1"];
      const answered = async () =>
        assertNothingLost([
          await (inside as Host).ping("192.168.1.1"),
          await (outside as Host).ping("192.168.2.1"),
        ]);
      await areIn(a, "MASTER", both);
      await areIn(b, "BACKUP", both);
      await answered();
      // When one interface fails, both addresses move.
      await a.pullCable("em0");
      await areIn(b, "MASTER", both);
      await areIn(a, "BACKUP", ["carp1"]);
      await answered();
      await a.plugCable("em0");
      await areIn(a, "MASTER", both);
      await areIn(b, "BACKUP", both);
      await answered();
    });
  });

  for (const mode of MODES)
    test(`a load balanced virtual host, balancing ${mode}`, async () => {
      await onNetworks(1, async ([lan]) => {
        if (mode === "ip-unicast") await (lan as Network).flood();
        const hosts = [
          physicalHost([lan as Network], "a", 2),
          physicalHost([lan as Network], "b", 3),
        ] as const;
        const [a, b, client] = await Promise.all([...hosts, clientOf(lan as Network)]);
        for (const host of [a, b]) await type(host, "sysctl net.inet.carp.preempt=1");
        await type(a, `ifconfig carp0 192.168.1.10 carpdev em0 carpnodes 1:0,2:100 balancing ${mode}`);
        await type(b, `ifconfig carp0 192.168.1.10 carpdev em0 carpnodes 1:100,2:0 balancing ${mode}`);
        await a.waitForState("carp0", "MASTER", 1);
        await a.waitForState("carp0", "BACKUP", 2);
        await b.waitForState("carp0", "MASTER", 2);
        await b.waitForState("carp0", "BACKUP", 1);
        await assertShared(client, [2, 3]);
        // Each is the designated backup of the other.
        await b.engine.kill("SIGKILL");
        await a.waitForState("carp0", "MASTER", 2);
        await assertShared(client, [2, 2]);
      });
    });

  test("a group of three nodes: the advskews set the shares, and the last host takes over when the others have failed", async () => {
    await onNetworks(1, async ([lan]) => {
      const hosts = [physicalHost([lan as Network], "a", 2), physicalHost([lan as Network], "b", 3)] as const;
      const [a, b, client] = await Promise.all([...hosts, clientOf(lan as Network)]);
      for (const host of [a, b]) await type(host, "sysctl net.inet.carp.preempt=1");
      await type(a, "ifconfig carp0 carpnodes 3:0,4:0,6:100");
      const shown = (await type(a, "ifconfig carp0")).stdout;
      for (const line of [
        `lladdr ${givenMac("ip", 3)}`,
        "carp: carpdev none advbase 1 balancing ip",
        "\tstate INIT vhid 3 advskew 0",
        "\tstate INIT vhid 4 advskew 0",
        "\tstate INIT vhid 6 advskew 100",
      ])
        assert.ok(shown.includes(`\n\t${line}\n`), `${line} in\n${shown}`);
      await type(a, "ifconfig carp0 192.168.1.10 carpdev em0");
      await type(b, "ifconfig carp0 192.168.1.10 carpdev em0 carpnodes 3:100,4:100,6:0");
      for (const [vhid, own] of [
        [3, a],
        [4, a],
        [6, b],
      ] as const) {
        await own.waitForState("carp0", "MASTER", vhid);
        await (own === a ? b : a).waitForState("carp0", "BACKUP", vhid);
      }
      await assertShared(client, [2, 2, 3]);
      await type(b, "ifconfig carp0 down");
      await a.waitForState("carp0", "MASTER", 6);
      await assertShared(client, [2, 2, 2]);
    });
  });
});
