/** Two hosts that share the load of one address, configured as carp(4) shows it, in each mode. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { nodeIndex } from "../../src/protocol/load-sharing.ts";
import { createNetwork, type Frame, virtualMac } from "../hosts/index.ts";

const SHARED = "10.0.0.1";
const SOURCES = Array.from({ length: 40 }, (_, n) => `10.0.0.${100 + n}`);

const isReply = ({ icmp, ipv4 }: Frame) => ipv4 !== undefined && icmp?.type === 0;

describe("carpnodes 1:0,2:100 and 1:100,2:0", () => {
  for (const mode of ["ip", "ip-unicast", "ip-stealth"] as const)
    test(`balancing ${mode}: every source is answered once, from the right MAC`, async () => {
      const lan = await createNetwork();
      try {
        await lan.flood();
        const a = await lan.host("a", { addresses: ["10.0.0.2/24"] });
        const b = await lan.host("b", { addresses: ["10.0.0.3/24"] });
        const client = await lan.host("client", { addresses: SOURCES.map((source) => `${source}/24`) });
        for (const [host, carpnodes] of [
          [a, "1:0,2:100"],
          [b, "1:100,2:0"],
        ] as const) {
          await host.startEngine();
          await host.carpctl("sysctl", "net.inet.carp.preempt=1");
          const words = ["carpdev", "eth0", "carpnodes", carpnodes, "balancing", mode, "pass", "sesame"];
          await host.carpctl("carp0", `${SHARED}/24`, ...words);
        }
        await a.waitForState("carp0", "MASTER", 1);
        await b.waitForState("carp0", "MASTER", 2);
        await a.waitForState("carp0", "BACKUP", 2);
        await b.waitForState("carp0", "BACKUP", 1);
        for (const host of [a, b]) await host.waitForAddresses("carp0", [`${SHARED}/24`]);

        const wire = await lan.capture("icmp");
        for (const source of SOURCES)
          await client.run("ping", "-n", "-c", "1", "-W", "5", "-I", source, SHARED);
        const replies = (await wire.stop()).filter(isReply);
        const answered = replies.map(({ ipv4 }) => ipv4?.destination ?? "");
        assert.deepEqual(answered, SOURCES);
        // In mode ip-unicast both speak from the shared MAC: on the wire nobody can tell which of them it was.
        const macs = [await a.mac(), await b.mac()];
        const expected = answered.map((source) =>
          mode === "ip-unicast" ? virtualMac(1) : macs[nodeIndex(source, SHARED, 2)],
        );
        assert.deepEqual(
          replies.map(({ ethernetSource }) => ethernetSource),
          expected,
        );
      } finally {
        lan.destroy();
      }
    });
});
