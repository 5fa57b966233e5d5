/**
 * What `carpctl plan` predicts: for the published clusters by a table, and for clusters drawn at random compared with
 * who must be master by the protocol's rules, written down anew here.
 */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { compareHosts } from "../../../src/cluster/comparison.ts";
import { type Failure, type Planned, plan, tooLarge } from "../../../src/cluster/plan/plan.ts";
import { type Cluster, compared, PUBLISHED } from "./clusters.ts";

const SECOND = 1_000_000;

function failureText({ failure, isOver }: Pick<Planned, "failure" | "isOver">): string {
  const what = failure.kind === "loses" ? `loses ${failure.carpdev}` : failure.kind;
  return `${failure.host} ${what}${isOver ? ", over" : ""}`;
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

const EXPECTED: Readonly<Record<string, readonly string[]>> = {
  "the firewall pair of OpenBSD's FAQ": [
    "fw1 dies: 1 fw1>fw2 4.5, 2 fw1>fw2 4.5",
    "fw1 dies, over: 1 fw2>fw1 0.0, 2 fw2>fw1 0.0",
    "fw1 loses em0: 1 fw1>fw2 4.5, 2 fw1>fw2 0.0",
    "fw1 loses em0, over: 1 fw2>fw1 0.0, 2 fw2>fw1 0.0",
    "fw1 loses em1: 1 fw1>fw2 0.0, 2 fw1>fw2 4.5",
    "fw1 loses em1, over: 1 fw2>fw1 0.0, 2 fw2>fw1 0.0",
    "fw1 demoted: 1 fw1>fw2 0.0, 2 fw1>fw2 0.0",
    "fw1 demoted, over: 1 fw2>fw1 0.0, 2 fw2>fw1 0.0",
  ],
  "three balanced nodes": ["web1", "web2", "web3"].flatMap((host, at) => {
    const heir = ["web3", "web1", "web2"][at];
    return ["dies", "loses eth0", "demoted"].flatMap((what) => [
      `${host} ${what}: ${at + 1} ${host}>${heir} ${what === "demoted" ? "0.0" : "4.2"}`,
      `${host} ${what}, over: ${at + 1} ${heir}>${host} 0.0`,
    ]);
  }),
  "a pair with unicast peers in a cloud, as ucarp's users have it": [
    "a dies: 42 a>b 3.6",
    "a loses ens5: 42 a>b 3.6",
    "a demoted: 42 a>b 0.0",
  ],
  "README's pair": [
    "fw1 dies: 1 fw1>fw2 4.2",
    "fw1 dies, over: 1 fw2>fw1 0.0",
    "fw1 loses eth0: 1 fw1>fw2 4.2",
    "fw1 loses eth0, over: 1 fw2>fw1 0.0",
    "fw1 demoted: 1 fw1>fw2 0.0",
    "fw1 demoted, over: 1 fw2>fw1 0.0",
  ],
};

describe("published clusters", () => {
  for (const [name, expected] of Object.entries(EXPECTED))
    test(name, async () => assert.deepEqual(await changesOf(PUBLISHED[name] as Cluster), expected));
});

test("the shares of balanced hosts", async () => {
  const [dies] = plan(await compared(PUBLISHED["three balanced nodes"] as Cluster));
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
    /^too large to simulate: \d+ advertisements in 404 failures, and at most 1000000$/,
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
  { hosts, segments }: Drawn,
  at: number,
  node: number,
  failure: Failure | undefined,
): string {
  const segment = segments[at];
  assert.ok(segment);
  const ranked = Array.from({ length: hosts }, (_, host) => {
    const name = `h${host}`;
    const fails = failure?.host === name;
    const isOut =
      fails && (failure.kind === "dies" || (failure.kind === "loses" && failure.carpdev === `eth${at}`));
    return { name, isOut, isDemoted: fails, skew: skewOf(segment, host, node, hosts) };
  }).filter(({ isOut }) => !isOut);
  ranked.sort((a, b) => Number(a.isDemoted) - Number(b.isDemoted) || a.skew - b.skew);
  return ranked[0]?.name ?? "";
}

test("random clusters: the master of every node before, during and after each failure is the one the rules say", async () => {
  await fc.assert(
    fc.asyncProperty(drawnCluster, async (drawn) => {
      const planned = plan(await compared(clusterOf(drawn)));
      assert.equal(planned.length, 2 * drawn.hosts * (2 + drawn.segments.length));
      for (const { failure, isOver, changes, shares } of planned) {
        for (const { virtualHost, before, after, silentUs } of changes) {
          const at = Number(virtualHost.addresses[0]?.split(".")[1]);
          const master = (during: boolean) => [
            masterOf(drawn, at, virtualHost.vhid - 1, during ? failure : undefined),
          ];
          const what = `${failureText({ failure, isOver })}, vhid ${virtualHost.vhid}`;
          assert.deepEqual([before, after], [master(isOver), master(!isOver)], what);
          // Two master-down times of the slowest host at most, and nothing where a host gives way by itself.
          const isLost = !isOver && failure.kind !== "demoted" && before[0] === failure.host;
          const hasLink = failure.kind !== "loses" || failure.carpdev === `eth${at}`;
          assert.ok(
            silentUs <= (isLost && hasLink ? 3 * (1 + 200 / 256) * SECOND + 2_000 : 0),
            `${what}: ${silentUs}`,
          );
        }
        const sum = [...shares.values()].reduce((all, each) => all + each, 0);
        assert.ok(Math.abs(sum - 1) < 1e-9);
      }
    }),
    { numRuns: 100, seed: 20260101 },
  );
});
