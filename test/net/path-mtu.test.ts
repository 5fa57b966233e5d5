/**
 * Path MTU discovery of balanced hosts: the ICMP error about a packet that is too big for a router's link
 * reaches the balanced host that sent the packet.
 */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createNetwork, type Frame, type Host, type Network } from "../hosts/index.ts";
import { nodeIndex } from "../oracle/load-sharing.ts";
import { answer, fetchAll } from "./conversations.ts";
import { balance, MODES } from "./shared-load.ts";

const IPV4 = "10.0.0.1";
const IPV6 = "2001:db8::1";
const SOURCES = Array.from({ length: 12 }, (_, n) => `10.2.0.${100 + n}`);
const SOURCES6 = Array.from({ length: 12 }, (_, n) => `2001:db8:2::${(100 + n).toString(16)}`);
const NARROW_MTU = 1300;
const BYTES = 60_000;

interface Behind {
  readonly lan: Network;
  readonly hosts: readonly Host[];
  readonly client: Host;
}

async function behindNarrowLink(test: (network: Behind) => Promise<void>): Promise<void> {
  const lan = await createNetwork();
  const far = await createNetwork();
  try {
    await lan.flood();
    const router = await lan.host("router", { addresses: ["10.0.0.254/24", "2001:db8::254/64"] });
    await far.attach(router, { addresses: ["10.2.0.254/24", "2001:db8:2::254/64"] });
    await router.becomeRouter();
    await router.setMtu(NARROW_MTU, "eth1");
    const client = await far.host("client", {
      addresses: [...SOURCES.map((each) => `${each}/24`), ...SOURCES6.map((each) => `${each}/64`)],
    });
    await client.namespace.ip(["route add default via 10.2.0.254", "route add default via 2001:db8:2::254"]);
    const plugIn = async (name: string, n: number) => {
      const host = await lan.host(name, { addresses: [`10.0.0.${2 + n}/24`, `2001:db8::${2 + n}/64`] });
      await host.namespace.ip(["route add default via 10.0.0.254", "route add default via 2001:db8::254"]);
      await Promise.all([host.startEngine(), answer(host)]);
      return host;
    };
    await test({ lan, hosts: await Promise.all(["a", "b"].map(plugIn)), client });
  } finally {
    lan.destroy();
    far.destroy();
  }
}

/** The destination of the packet that an ICMP error is about. */
function aboutDestination({ ipv4, ipv6 }: Frame): string {
  const bytes = ipv4 ? ipv4.payload.subarray(8 + 16, 8 + 20) : (ipv6?.payload.subarray(8 + 24, 8 + 40) ?? []);
  return Buffer.from(bytes).toString("hex");
}

const hexOf = (address: string) =>
  address.includes(":")
    ? `20010db80002${address.split("::")[1]?.padStart(20, "0")}`
    : Buffer.from(address.split(".").map(Number)).toString("hex");

describe("clients behind a narrow link", { concurrency: true }, () => {
  for (const mode of MODES)
    test(`balancing ${mode}: each gets large answers, and one answer to a ping`, async () => {
      await behindNarrowLink(async ({ lan, hosts, client }) => {
        await balance(hosts, { addresses: [`${IPV4}/24`, `${IPV6}/64`], mode });
        const errors = await lan.capture("icmp[0] == 3 or (icmp6 and ip6[40] == 2)");
        for (const [target, sources] of [
          [IPV4, SOURCES],
          [IPV6, SOURCES6],
        ] as const) {
          const nodes = new Set(sources.map((source) => nodeIndex(source, target, 2)));
          assert.equal(nodes.size, 2, "both hosts are asked");
          const got = await fetchAll(client, target, BYTES, sources);
          assert.deepEqual(got, new Map(sources.map((source) => [source, BYTES])));
        }
        // Each connection has its own destination, for which no path MTU is known yet.
        const told = new Set((await errors.stop()).map(aboutDestination));
        assert.deepEqual([...told].sort(), [...SOURCES, ...SOURCES6].map(hexOf).sort());

        const replies = await client.capture("eth0", "icmp[0] == 0 or (icmp6 and ip6[40] == 129)");
        const ping = (source: string, target: string) =>
          client.run("ping", "-n", "-c", "1", "-W", "10", "-I", source, target);
        await Promise.all([
          ...SOURCES.map((source) => ping(source, IPV4)),
          ...SOURCES6.map((source) => ping(source, IPV6)),
        ]);
        const answered = (await replies.stop()).map(({ ipv4, ipv6 }) => (ipv4 ?? ipv6)?.destination ?? "");
        assert.deepEqual(answered.sort(), [...SOURCES, ...SOURCES6].sort());
      });
    });
});
