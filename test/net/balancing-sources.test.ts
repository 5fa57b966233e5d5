/** Three hosts with real engines that balance addresses of both families, in each mode. */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { type Capture, echo, type Frame, type Host } from "../hosts/index.ts";
import { nodeIndex } from "../oracle/load-sharing.ts";
import {
  assertAnswered,
  assertSentAs,
  type BalancedHosts,
  balance,
  createBalancedHosts,
  givenMac,
  HOLDERS,
  isClaim,
  MODES,
  questions4,
  questions6,
  SHARED,
  SHARED6,
  VIRTUAL,
  vectors,
  whoHas,
} from "./balanced-hosts.ts";

/** Packets that each node accepted, and dropped because another host takes them. */
async function counted(host: Host): Promise<readonly (readonly [number, number])[]> {
  const [packets] = await host.engine.request("packets", {});
  return packets?.nodes.map(({ accepted, droppedByHash }) => [accepted, droppedByHash] as const) ?? [];
}

const questions = [...questions4, ...questions6, ...vectors];

// The hosts wait most of the time.
describe("three hosts", { concurrency: true }, () => {
  for (const mode of MODES)
    describe(`balancing ${mode}`, { concurrency: 1 }, () => {
      let balanced: BalancedHosts;

      before(async () => {
        balanced = await createBalancedHosts();
        if (mode === "ip-unicast") await balanced.lan.flood();
        await balance(balanced, mode);
      });
      after(() => balanced.lan.destroy());

      test("every source is answered and counted by the one host that its hash selects", async () => {
        const { client, hosts } = balanced;
        for (const target of VIRTUAL)
          await echo.reach(client, questions.find((question) => question.target === target) as echo.Question);
        const before = await Promise.all(hosts.map(counted));
        const asked = await echo.ask(client, questions);
        assertAnswered(asked);
        for (const { source, target, node } of vectors) {
          const of = asked.filter((each) => each.source === source && each.target === target);
          assert.deepEqual(
            of.map(({ by }) => by),
            [[HOLDERS[node]], [HOLDERS[node]]],
          );
        }
        const after = await Promise.all(hosts.map(counted));
        const shares = HOLDERS.map(
          (_, node) => asked.filter(({ source, target }) => nodeIndex(source, target, 3) === node).length,
        );
        const since = after.map((nodes, n) =>
          nodes.map((counts, node) =>
            counts.map((count, which) => count - (before[n]?.[node]?.[which] ?? 0)),
          ),
        );
        const expected = HOLDERS.map((_, n) =>
          shares.map((share, node) => (HOLDERS[node] === n ? [share, 0] : [0, share])),
        );
        assert.deepEqual(since, expected);
      });

      test("one host answers ARP and ND requests, no host announces, and every frame has the MACs of the mode", async () => {
        const { hosts, sent, client } = balanced;
        const [wire] = sent as [Capture];
        const from = wire.frames.length;
        await whoHas(balanced, mode);
        for (const isOf of [({ arp }: Frame) => arp, ({ nd }: Frame) => nd])
          for (let n = 0, at = from; n < 2; n++) {
            const answer = await wire.waitFor((frame) => isClaim(frame) && isOf(frame) !== undefined, {
              from: at,
            });
            at = wire.frames.indexOf(answer) + 1;
          }
        const neighbours: { dst: string; lladdr: string }[] = JSON.parse(
          await client.run("ip", "-json", "neighbour", "show", "dev", "eth0"),
        );
        const known = neighbours.filter(({ dst }) => dst === SHARED || dst === SHARED6);
        assert.deepEqual(new Set(known.map(({ lladdr }) => lladdr)), new Set([givenMac(mode)]));
        assert.equal(known.length, 2);
        const frames = await Promise.all(sent.map((capture) => capture.stop()));
        const claims = await Promise.all(
          hosts.map(async (host, n) => assertSentAs(mode, await host.mac(), frames[n] as Frame[])),
        );
        assert.ok((claims[0] as number) >= 6);
        assert.deepEqual(claims.slice(1), [0, 0]);
        for (const each of frames) {
          assert.ok(each.some(({ carp }) => carp));
          for (const address of [SHARED, SHARED6])
            assert.ok(each.some(({ ipv4, ipv6 }) => (ipv4 ?? ipv6)?.source === address));
        }
      });
    });
});
