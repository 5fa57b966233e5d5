/**
 * What `carpctl plan` predicts: for some by a table, and for clusters drawn at random compared with who
 * must be master by the protocol's rules, written down anew here.
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { compareHosts } from "../../../src/cluster/comparison.ts";
import type { Failure } from "../../../src/cluster/plan/failures.ts";
import { type Planned, plan, tooLarge } from "../../../src/cluster/plan/plan.ts";
import { type Cluster, compared, PUBLISHED } from "./clusters.ts";

const SECOND = 1_000_000;

function failureText({ failure, isOver }: Pick<Planned, "failure" | "isOver">): string {
  const over = isOver ? ", over" : "";
  if (failure.kind === "split")
    return `${failure.carpdev} ${failure.parts.map((hosts) => hosts.join("+")).join("|")}${over}`;
  const what = failure.kind === "loses" ? `loses ${failure.carpdev}` : failure.kind;
  return `${failure.host} ${what}${over}`;
}

/** Those that change a master: `a dies: 1 a>b 4.2, 2 a>b 0.0`, with the seconds in which none answered, rounded up. */
async function changesOf(cluster: Cluster): Promise<string[]> {
  return plan(await compared(cluster)).flatMap((planned) => {
    const changes = planned.changes
      .filter(({ before, after }) => before.join() !== after.join())
      .map(({ virtualHost, before, after, silentUs }) => {
        const seconds = Math.ceil(silentUs / 100_000) / 10;
        return `${virtualHost.vhid} ${before.join("+")}>${after.join("+")} ${seconds.toFixed(1)}`;
      });
    return changes.length === 0 ? [] : `${failureText(planned)}: ${changes.join(", ")}`;
  });
}

test("the shares of balanced hosts", async () => {
  const [dies] = plan(await compared(PUBLISHED.balanced as Cluster));
  assert.deepEqual(
    [...(dies?.shares ?? [])],
    [
      ["web1", 0],
      ["web2", 1 / 3],
      ["web3", 2 / 3],
    ],
  );
});

test("without preempt nothing comes back; an interface in no group stays where it is", async () => {
  const files = (skew: number) => ({
    "hostname.carp0": `carpdev eth0 vhid 1 pass x advskew ${skew}\n10.0.0.1/24\n-group carp\n`,
    "hostname.carp1": `carpdev eth1 vhid 2 pass x advskew ${skew}\n10.0.1.1/24\n-group carp\n`,
    "carp/sysctl.conf": "net.inet.carp.ifdown_demotion_factor=0\nnet.inet.carp.senderr_demotion_factor=0\n",
  });
  assert.deepEqual(await changesOf({ a: files(0), b: files(100) }), [
    "a dies: 1 a>b 4.2, 2 a>b 4.2",
    "a loses eth0: 1 a>b 4.2",
    "a loses eth1: 2 a>b 4.2",
    "a demoted: 1 a>b 0.0, 2 a>b 0.0",
    "a maintained: 1 a>b 0.0, 2 a>b 0.0",
    "eth0 a|b: 1 a>a+b 4.2",
    "eth0 a|b, over: 1 a+b>a 0.0",
    "eth1 a|b: 2 a>a+b 4.2",
    "eth1 a|b, over: 2 a+b>a 0.0",
  ]);
});

test("a preemption delay keeps the host that is back from its addresses, and they return after it", async () => {
  const files = (skew: number) => ({
    "hostname.carp0": `carpdev eth0 vhid 1 pass x advskew ${skew} preemptdelay 60\n10.0.0.1/24\n`,
    "carp/sysctl.conf": "net.inet.carp.preempt=1\n",
  });
  const planned = plan(await compared({ a: files(0), b: files(100) }));
  const back = planned.find(({ failure, isOver }) => failure.kind === "dies" && isOver);
  const [change] = back?.changes ?? [];
  assert.deepEqual([change?.before, change?.after, change?.silentUs], [["b"], ["a"], 0]);
  assert.ok((change?.settledUs ?? 0) >= 60 * SECOND, String(change?.settledUs));
});

test("an interface without a carpdev, of both families, with a forced state and an unknown pass", async () => {
  const files = (skew: number) => ({
    "hostname.carp0": `vhid 1 passfile /root/pass advskew ${skew} state master\n10.0.0.1/24\ninet6 2001:db8::1\n`,
  });
  assert.deepEqual(await changesOf({ a: files(0), b: files(100) }), [
    "a dies: 1 a>b 4.2",
    "a loses segment0: 1 a>b 4.2",
    "a demoted: 1 a>b 0.0",
    "a maintained: 1 a>b 0.0",
    "segment0 a|b: 1 a>a+b 4.2",
    "segment0 a|b, over: 1 a+b>a 0.0",
  ]);
});

test("a cluster whose failures would take hours is refused", async () => {
  const lines = Array.from({ length: 200 }, (_, n) => [
    `hostname.carp${n}`,
    `carpdev eth${n} vhid 1\n10.0.${n}.1/24\n`,
  ]);
  const host = Object.fromEntries(lines);
  assert.match(
    tooLarge(await compared({ a: host, b: host })) ?? "",
    /^too large to simulate: \d+ advertisements in 606 failures, and at most 1500000$/,
  );
  assert.equal(tooLarge(compareHosts([])), undefined);
});

/** Hosts on some segments, each with a rank of its own, with preempt. */
const drawnCluster = fc
  .record({
    hosts: fc.integer({ min: 2, max: 4 }),
    segments: fc.array(
      fc.record({
        ranks: fc.uniqueArray(fc.integer({ min: 0, max: 200 }), { minLength: 4, maxLength: 4 }),
        nodes: fc.integer({ min: 1, max: 3 }),
        inet6: fc.boolean(),
        unicast: fc.boolean(),
      }),
      { minLength: 1, maxLength: 2 },
    ),
  })
  .map(({ hosts, segments }) => ({ hosts, segments }));

type Drawn = typeof drawnCluster extends fc.Arbitrary<infer T> ? T : never;

/** The advskew of a host for a node: each node prefers the next host. */
function skewOf({ ranks }: Drawn["segments"][number], host: number, node: number, hosts: number): number {
  return ranks[(host + node) % hosts] ?? 0;
}

function clusterOf({ hosts, segments }: Drawn): Cluster {
  return Object.fromEntries(
    Array.from({ length: hosts }, (_, host) => {
      const files = segments.map((segment, at) => {
        const nodes = Array.from(
          { length: segment.nodes },
          (_, node) => `${node + 1}:${skewOf(segment, host, node, hosts)}`,
        );
        const peers = Array.from({ length: hosts }, (_, n) => `10.${at}.0.${n + 10}`);
        const lines = [
          `carpdev eth${at} carpnodes ${nodes.join()} pass x`,
          `inet 10.${at}.0.1 255.255.255.0`,
          ...(segment.inet6 && !segment.unicast ? [`inet6 2001:db8:${at}::1`] : []),
          ...(segment.unicast ? [`carppeer ${peers.join()}`] : []),
        ];
        return [`hostname.carp${at}`, `${lines.join("\n")}\n`];
      });
      return [`h${host}`, { ...Object.fromEntries(files), "carp/sysctl.conf": "net.inet.carp.preempt=1\n" }];
    }),
  );
}

/** Who must be master of a node: of the hosts that can be the least demoted one, and of these the quickest. */
function masterOf(
  { segments }: Drawn,
  { at, node, hosts: count }: { readonly at: number; readonly node: number; readonly hosts: number },
  isOut: (host: string) => boolean,
  isDemoted: (host: string) => boolean,
): string[] {
  const segment = segments[at];
  assert.ok(segment);
  const ranked = Array.from({ length: count }, (_, host) => ({
    name: `h${host}`,
    skew: skewOf(segment, host, node, count),
  })).filter(({ name }) => !isOut(name));
  ranked.sort((a, b) => Number(isDemoted(a.name)) - Number(isDemoted(b.name)) || a.skew - b.skew);
  return ranked.slice(0, 1).map(({ name }) => name);
}

/** The masters of a node during a failure (undefined: without one), one for each part of its segment. */
function mastersOf(drawn: Drawn, at: number, node: number, failure: Failure | undefined): string[] {
  const where = { at, node, hosts: drawn.hosts };
  if (failure?.kind === "split") {
    const parts = failure.segment === at ? failure.parts : [failure.parts.flat()];
    return parts
      .flatMap((part) =>
        masterOf(
          drawn,
          where,
          (host) => !part.includes(host),
          () => false,
        ),
      )
      .sort();
  }
  return masterOf(
    drawn,
    where,
    (host) =>
      failure?.host === host &&
      (failure.kind === "dies" || (failure.kind === "loses" && failure.carpdev === `eth${at}`)),
    (host) => failure?.host === host,
  );
}

/** Whether the hosts of a segment, or some of them, have to notice that they hear the master no more. */
function isUnheard(failure: Failure, at: number, before: readonly string[]): boolean {
  if (failure.kind === "split") return failure.segment === at;
  const leaves = failure.kind === "dies" || (failure.kind === "loses" && failure.carpdev === `eth${at}`);
  return leaves && before[0] === failure.host;
}

test("random clusters: the master of every node before, during and after each failure is the one the rules say", async () => {
  await fc.assert(
    fc.asyncProperty(drawnCluster, async (drawn) => {
      const planned = plan(await compared(clusterOf(drawn)), undefined, 0);
      const splits = 2 ** (drawn.hosts - 1) - 1;
      assert.equal(
        planned.length,
        2 * (drawn.hosts * (3 + drawn.segments.length) + splits * drawn.segments.length),
      );
      for (const { failure, isOver, changes, shares } of planned) {
        for (const { virtualHost, before, after, silentUs } of changes) {
          const at = Number(virtualHost.addresses[0]?.split(".")[1]);
          const masters = (during: boolean) =>
            mastersOf(drawn, at, virtualHost.vhid - 1, during ? failure : undefined);
          const what = `${failureText({ failure, isOver })}, vhid ${virtualHost.vhid}`;
          assert.deepEqual([before, after], [masters(isOver), masters(!isOver)], what);
          // The master-down time of the slowest host at most, since its last advertisement arrived, and nothing where a host
          // gives way by itself.
          const mostUs = !isOver && isUnheard(failure, at, before) ? 3 * (1 + 200 / 256) * SECOND + 2_000 : 0;
          assert.ok(silentUs <= mostUs, `${what}: ${silentUs}`);
        }
        const sum = [...shares.values()].reduce((all, each) => all + each, 0);
        const isSplit = failure.kind === "split" && !isOver;
        assert.ok(isSplit ? sum > 1 : Math.abs(sum - 1) < 1e-9, String(sum));
      }
    }),
    { numRuns: 50, seed: 20260101 },
  );
});
