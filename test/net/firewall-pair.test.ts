/**
 * Two stateful firewalls that balance the traffic between an inside and an outside network, with a carp
 * interface on each. Their connection tracking is not synchronised: a connection works only if both its
 * directions pass one firewall.
 */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createNetwork, type Host, type Network } from "../hosts/index.ts";
import { nodeIndex } from "../oracle/load-sharing.ts";
import { answer, Conversations } from "./conversations.ts";
import { balance, MODES, type Mode, vhidOf } from "./shared-load.ts";

const FLOWS = 16;
const last = (n: number) => 100 + n;
const clients = Array.from({ length: FLOWS }, (_, n) => `10.1.0.${last(n)}`);
const clients6 = Array.from({ length: FLOWS }, (_, n) => `2001:db8:1::${last(n).toString(16)}`);
const OUTSIDE = "10.0.0.99";
const OUTSIDE6 = "2001:db8::99";
const LEGS = [
  { name: "carp0", carpdev: "eth0", addresses: ["10.0.0.1/24", "2001:db8::1/64"] },
  { name: "carp1", carpdev: "eth1", addresses: ["10.1.0.1/24", "2001:db8:1::1/64"] },
];

/**
 * Packets from the inside may begin a connection; all others must belong to one. Counts the packets that
 * pass.
 */
const RULES = `
add table inet firewall
add set inet firewall passed { type ipv4_addr . ipv4_addr; flags dynamic; }
add set inet firewall passed6 { type ipv6_addr . ipv6_addr; flags dynamic; }
add set inet firewall refused { type inet_proto . iface_index; flags dynamic; }
add chain inet firewall accepted
add rule inet firewall accepted meta nfproto ipv4 update @passed { ip saddr . ip daddr }
add rule inet firewall accepted meta nfproto ipv6 update @passed6 { ip6 saddr . ip6 daddr }
add rule inet firewall accepted accept
add chain inet firewall forward { type filter hook forward priority 0; policy drop; }
add rule inet firewall forward iifname { "carp1", "eth1" } ct state new jump accepted
add rule inet firewall forward ct state established,related jump accepted
add rule inet firewall forward update @refused { meta l4proto . iif } drop
`;

interface Pair {
  readonly outside: Network;
  readonly inside: Network;
  readonly firewalls: readonly [Host, Host];
  readonly client: Host;
}

async function onFirewallPair(test: (pair: Pair) => Promise<void>): Promise<void> {
  const outside = await createNetwork();
  const inside = await createNetwork();
  try {
    await Promise.all([outside.flood(), inside.flood()]);
    const firewall = async (name: string, n: number) => {
      const host = await outside.host(name, { addresses: [`10.0.0.${n}/24`, `2001:db8::${n}/64`] });
      await inside.attach(host, { addresses: [`10.1.0.${n}/24`, `2001:db8:1::${n}/64`] });
      await host.becomeRouter();
      await host.run("nft", RULES);
      await host.startEngine();
      return host;
    };
    const [server, client, ...firewalls] = await Promise.all([
      outside.host("server", { addresses: [`${OUTSIDE}/24`, `${OUTSIDE6}/64`] }),
      inside.host("client", {
        addresses: [...clients.map((each) => `${each}/24`), ...clients6.map((each) => `${each}/64`)],
      }),
      firewall("a", 2),
      firewall("b", 3),
    ]);
    await server.namespace.ip([
      "route add 10.1.0.0/24 via 10.0.0.1",
      "route add 2001:db8:1::/64 via 2001:db8::1",
    ]);
    await client.namespace.ip([
      "route add 10.0.0.0/24 via 10.1.0.1",
      "route add 2001:db8::/64 via 2001:db8:1::1",
    ]);
    await answer(server);
    await test({ outside, inside, firewalls: firewalls as [Host, Host], client });
  } finally {
    outside.destroy();
    inside.destroy();
  }
}

async function balanceBothLegs(firewalls: readonly Host[], mode: Mode): Promise<void> {
  await Promise.all(LEGS.map((leg) => balance(firewalls, { ...leg, mode })));
}

/** Makes a connection from every address that goes on for a while. */
async function converse(client: Host): Promise<void> {
  const talks = [new Conversations(client, OUTSIDE, clients), new Conversations(client, OUTSIDE6, clients6)];
  for (const talk of talks) await talk.answered();
  for (const talk of talks) await talk.goesOn();
  for (const talk of talks)
    for (const [source, { answeredBy }] of await talk.stop())
      assert.deepEqual(answeredBy, ["server"], `${source}: one connection, never lost`);
}

/** "source > destination" of all that a firewall let pass since the last call, and all that it refused. */
async function takeAccount(firewall: Host): Promise<{ passed: string[]; refused: number }> {
  const sets: Record<string, unknown[]> = {};
  for (const name of ["passed", "passed6", "refused"]) {
    const { nftables } = JSON.parse(await firewall.run("nft", "-j", "list", "set", "inet", "firewall", name));
    sets[name] = nftables.flatMap((each: { set?: { elem?: unknown[] } }) => each.set?.elem ?? []);
    await firewall.run("nft", "flush", "set", "inet", "firewall", name);
  }
  const pairs = [...(sets.passed ?? []), ...(sets.passed6 ?? [])] as { concat: [string, string] }[];
  return { passed: pairs.map(({ concat }) => concat.join(" > ")).sort(), refused: sets.refused?.length ?? 0 };
}

/** Both directions of every connection that belongs to one of these nodes. */
function bothDirections(nodes: readonly number[]): string[] {
  const flows = [
    ...clients.map((client) => [client, OUTSIDE] as const),
    ...clients6.map((client) => [client, OUTSIDE6] as const),
  ];
  return flows
    .filter(([client, server]) => nodes.includes(nodeIndex(client, server, 2)))
    .flatMap(([client, server]) => [`${client} > ${server}`, `${server} > ${client}`])
    .sort();
}

describe("two firewalls", { concurrency: true }, () => {
  for (const mode of MODES)
    test(`balancing ${mode}: both directions of each connection pass the same firewall, also when one has failed`, async () => {
      await onFirewallPair(async ({ firewalls, client }) => {
        const [a, b] = firewalls;
        await balanceBothLegs(firewalls, mode);
        await converse(client);
        for (const [node, firewall] of firewalls.entries()) {
          const { passed, refused } = await takeAccount(firewall);
          assert.deepEqual(passed, bothDirections([node]), firewall.name);
          assert.equal(refused, 0);
        }
        assert.ok(
          [0, 1].every((node) => bothDirections([node]).length > FLOWS / 2),
          "neither has all",
        );

        await Promise.all([b.engine.kill("SIGKILL"), b.silence("eth0"), b.silence("eth1")]);
        for (const { name } of LEGS) await a.waitForState(name, "MASTER", vhidOf(1));
        await converse(client);
        const { passed, refused } = await takeAccount(a);
        assert.deepEqual([passed, refused], [bothDirections([0, 1]), 0]);
      });
    });
});
