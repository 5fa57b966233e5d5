/**
 * Changes of balancing mode and nodes while clients ask: the former MAC, filters and announcements are gone.
 */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { echo, summary } from "../hosts/index.ts";
import * as packet from "../unit/kernel/packets.ts";
import {
  assertAnswered,
  assertSentAs,
  type BalancedHosts,
  balance,
  createBalancedHosts,
  givenMac,
  HOLDERS,
  MODES,
  type Mode,
  questions4,
  questions6,
  SHARED,
  SHARED6,
  settle,
} from "./balanced-hosts.ts";

interface Change {
  /** For each host. */
  readonly words: readonly string[];
  readonly mode: Mode | "none";
  readonly vhids: readonly number[];
  /** The host of each node, as an index of hosts. */
  readonly holders: readonly number[];
}

const questions = [...questions4.slice(0, 40), ...questions6.slice(0, 40)];

/**
 * Checks that no host answers packets to the former MAC or to the broadcast MAC: Linux would, on every host
 * that has the address.
 */
async function assertForgotten({ hosts, client }: BalancedHosts, formerMac: string): Promise<void> {
  // Pings: the kernel answers in the order in which it is asked.
  const captures = await Promise.all(
    hosts.map((host) => host.capture("eth0", "outbound and (icmp or icmp6)")),
  );
  const [{ source }, { source: source6 }] = [questions4[1], questions6[1]] as [echo.Question, echo.Question];
  const ping = packet.ipv4(source, SHARED, 1, packet.icmp(8));
  const ping6 = packet.ipv6(source6, SHARED6, 58, packet.icmp6(source6, SHARED6, 128, Buffer.alloc(4)));
  const mac = await client.mac();
  const frames = [formerMac, "ff:ff:ff:ff:ff:ff"].flatMap((to) => [
    packet.ethernet(to, mac, packet.IPV4, ping),
    packet.ethernet(to, mac, packet.IPV6, ping6),
  ]);
  await client.injectAll("eth0", frames);
  for (const each of [questions4, questions6]) await echo.reach(client, each[0] as echo.Question);
  for (const capture of captures) {
    const answers = (await capture.stop()).filter(({ ipv4, ipv6 }) =>
      [source, source6].includes((ipv4 ?? ipv6)?.destination ?? ""),
    );
    assert.deepEqual(answers.map(summary), []);
  }
}

async function takeOn(balanced: BalancedHosts, change: Change, formerMac: string): Promise<string> {
  const { hosts, client, sent } = balanced;
  const { words, mode, vhids, holders } = change;
  await Promise.all(hosts.map((host, n) => host.command("carp0", ...(words[n] as string).split(" "))));
  await settle(hosts, holders, vhids);
  const settledUs = Date.now() * 1000;
  // The client forgets what the change itself announced.
  await client.run("ip", "neighbour", "flush", "dev", "eth0");
  for (const each of [questions4, questions6]) await echo.reach(client, each[0] as echo.Question);
  assertAnswered(await echo.ask(client, questions), holders);
  const mac = givenMac(mode, vhids[0]);
  // In mode ip the devices have the same MAC without its multicast bit.
  if (mac.replace(/^01/, "00") !== formerMac && mac !== formerMac) await assertForgotten(balanced, formerMac);
  const since = sent.map(({ frames }) => frames.filter(({ timeUs }) => timeUs > settledUs));
  for (const [n, frames] of since.entries()) {
    const host = hosts[n] as (typeof hosts)[0];
    const made = assertSentAs(mode, await host.mac(), frames, vhids[0]);
    assert.equal(made > 0, holders[0] === n);
    const shown = (await host.command("carp0")).stdout;
    assert.match(shown, new RegExp(`^\tlladdr ${mac}$`, "m"));
    if (mode !== "none") assert.match(shown, new RegExp(`^\tcarp: .* balancing ${mode}$`, "m"));
  }
  return mac;
}

describe("hosts that balance", { concurrency: true }, () => {
  test("change to every mode from every other and leave nothing of the one before", async () => {
    const balanced = await createBalancedHosts();
    try {
      await balanced.lan.flood();
      await balance(balanced, "ip");
      const to = (mode: Mode): Change => ({
        words: HOLDERS.map(() => `balancing ${mode}`),
        mode,
        vhids: [1, 2, 3],
        holders: HOLDERS,
      });
      const failover: Change = {
        words: [0, 100, 200].map((advskew) => `vhid 1 advskew ${advskew} balancing none`),
        mode: "none",
        vhids: [1],
        holders: [0],
      };
      const again: Change = {
        ...to("ip"),
        words: ["1:0,2:200,3:100", "1:100,2:0,3:200", "1:200,2:100,3:0"].map((each) => `carpnodes ${each}`),
      };
      let mac = givenMac("ip");
      for (const change of [...MODES.toReversed().slice(0, 2).map(to), failover, again])
        mac = await takeOn(balanced, change, mac);
    } finally {
      balanced.lan.destroy();
    }
  });

  test("take more nodes, fewer nodes, and another leader", async () => {
    const balanced = await createBalancedHosts();
    try {
      await balance(balanced, "ip");
      const changes: Change[] = [
        {
          words: ["1:0,2:200,3:100,9:0", "1:100,2:0,3:200,9:100", "1:200,2:100,3:0,9:200"],
          vhids: [1, 2, 3, 9],
          holders: [0, 1, 2, 0],
          mode: "ip",
        },
        { words: ["1:0,2:100", "1:100,2:0", "1:200,2:200"], vhids: [1, 2], holders: [0, 1], mode: "ip" },
        { words: ["2:200,9:0", "2:100,9:100", "2:0,9:200"], vhids: [2, 9], holders: [2, 0], mode: "ip" },
      ];
      let mac = givenMac("ip");
      for (const change of changes) {
        const words = change.words.map((nodes) => `carpnodes ${nodes}`);
        mac = await takeOn(balanced, { ...change, words }, mac);
      }
    } finally {
      balanced.lan.destroy();
    }
  });
});
