/**
 * One of three balanced hosts leaves and comes back: its node moves, and packets of other nodes are not lost.
 */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { echo, type Host } from "../hosts/index.ts";
import { nodeIndex } from "../oracle/load-sharing.ts";
import {
  assertAnswered,
  assertSentAs,
  balance,
  createBalancedHosts,
  HEIRS,
  HOLDERS,
  holds,
  MODES,
  questions4,
  questions6,
  whoHas,
} from "./balanced-hosts.ts";

/** Packets of any node. */
async function accepted(host: Host): Promise<number> {
  const [packets] = await host.engine.request("packets", {});
  return (packets?.nodes ?? []).reduce((sum, { accepted }) => sum + accepted, 0);
}

const nameOf = ({ source, target, protocol, sequence }: echo.Asked) =>
  [source, target, protocol, sequence].join(" ");
const following = (asked: echo.Asked) => ({ ...asked, sequence: asked.sequence + 1 });

describe("the leader's host leaves and comes back", () => {
  for (const mode of MODES)
    test(`balancing ${mode}: its node moves, and packets of other nodes are not lost`, async () => {
      const balanced = await createBalancedHosts();
      try {
        if (mode === "ip-unicast") await balanced.lan.flood();
        await balance(balanced, mode);
        for (const [question] of [questions4, questions6])
          await echo.reach(balanced.client, question as echo.Question);
        const { hosts, client } = balanced;
        const [a] = hosts;
        const claims = await Promise.all(
          hosts.map((host) => host.capture("eth0", "outbound and (arp or icmp6)")),
        );
        const asking = new echo.Asking(client, [...questions4.slice(0, 30), ...questions6.slice(0, 30)]);
        const steady: [number, number, readonly number[]][] = [[0, await asking.rounds(1), HOLDERS]];
        // The last questions of a round may be on their way when it ends: what comes next waits for another one.
        await asking.rounds(0);
        const holdersWithout = [HEIRS[0] as number, ...HOLDERS.slice(1)];
        for (const [word, holders, gone] of [
          ["down", holdersWithout, 0],
          ["up", HOLDERS, undefined],
        ] as const) {
          await a.command("carp0", word);
          const atOnce = word === "down" ? await accepted(a) : undefined;
          await holds(hosts, holders, { gone });
          const settled = await asking.rounds(0);
          await whoHas(balanced, mode);
          steady.push([settled + 1, await asking.rounds(1), holders]);
          await asking.rounds(0);
          // Later packets for the shared MAC are ignored, IPv6 as well.
          if (atOnce !== undefined) assert.equal(await accepted(a), atOnce);
        }
        const asked = await asking.stop();
        const [others, own] = [true, false].map((isOthers) =>
          asked.filter(({ source, target }) => (nodeIndex(source, target, 3) !== 0) === isOthers),
        ) as [echo.Asked[], echo.Asked[]];
        assertAnswered(others);
        for (const [from, to, holders] of steady)
          assertAnswered(
            own.filter(({ sequence }) => sequence >= from && sequence <= to),
            holders,
          );
        // While both have the node, both may answer. A packet that reaches the heir just before it has the
        // node and the leaving host just after it had it is lost; the next one is not.
        const unanswered = new Set(own.filter(({ by }) => by.length === 0).map(nameOf));
        assert.deepEqual(
          own.filter((each) => unanswered.has(nameOf(each)) && unanswered.has(nameOf(following(each)))),
          [],
        );
        for (const [n, capture] of claims.entries()) {
          const made = assertSentAs(mode, await (hosts[n] as Host).mac(), await capture.stop());
          // The last in line may have had the node until it heard the heir.
          if (n < 2) assert.ok(made > 0);
        }
      } finally {
        balanced.lan.destroy();
      }
    });
});
