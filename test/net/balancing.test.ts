/** Two hosts that balance one address, configured as in carp(4), in each mode. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createNetwork, type Frame, virtualMac } from "../hosts/index.ts";
import { nodeIndex } from "../oracle/load-sharing.ts";

const SHARED = "10.0.0.1";
const SOURCES = Array.from({ length: 40 }, (_, n) => `10.0.0.${100 + n}`);

interface NodePackets {
  readonly accepted: number;
  readonly droppedByHash: number;
}

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
          await host.command("sysctl", "net.inet.carp.preempt=1");
          const words = ["carpdev", "eth0", "carpnodes", carpnodes, "balancing", mode, "pass", "sesame"];
          await host.command("carp0", `${SHARED}/24`, ...words);
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
        // In mode ip-unicast both send from the shared MAC: a frame does not show which host it came from.
        const macs = [await a.mac(), await b.mac()];
        const expected = answered.map((source) =>
          mode === "ip-unicast" ? virtualMac(1) : macs[nodeIndex(source, SHARED, 2)],
        );
        assert.deepEqual(
          replies.map(({ ethernetSource }) => ethernetSource),
          expected,
        );

        // The statistics of each host: packets it answered, and packets it left to the other.
        const mine = [1, 2].map(
          (vhid) => answered.filter((source) => nodeIndex(source, SHARED, 2) === vhid - 1).length,
        );
        for (const [host, own] of [
          [a, 0],
          [b, 1],
        ] as const) {
          const { interfaces } = JSON.parse((await host.command("status", "--json")).stdout);
          const nodes: NodePackets[] = interfaces[0].nodes.map(
            ({ packets }: { packets: NodePackets }) => packets,
          );
          const other = 1 - own;
          assert.equal(nodes[own]?.accepted, mine[own]);
          assert.equal(nodes[other]?.accepted, 0);
          assert.equal(nodes[own]?.droppedByHash, 0);
          // A switch that has learned a port for the shared MAC delivers the other host's share there as
          // well.
          if (mode === "ip") assert.equal(nodes[other]?.droppedByHash, mine[other]);
          const { stdout } = await host.command("status");
          assert.match(stdout, new RegExp(`^carp0 +${own + 1} +${mine[own]} +\\d+% +0$`, "m"));
          assert.match(stdout, new RegExp(`^carp0: ${mine[own]} of \\d+ packets accepted here`, "m"));
          const netstat = (await host.command("netstat", "-I", "carp0")).stdout;
          assert.match(netstat, new RegExp(`^\t${mine[own]} packets accepted for vhid ${own + 1}$`, "m"));
        }
      } finally {
        lan.destroy();
      }
    });
});
