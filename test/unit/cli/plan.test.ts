/** `carpctl plan`: what it prints, and its exit status. What it predicts is tried in test/unit/cluster. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { type Cluster, PUBLISHED, written } from "../cluster/clusters.ts";
import { called } from "./called.ts";

async function plan(cluster: Cluster, ...options: string[]) {
  const base = written(cluster);
  return called(["plan", ...options, ...Object.keys(cluster).map((name) => `${name}=${join(base, name)}`)]);
}

const README = PUBLISHED["README's pair"] as Cluster;

test("a table with a row for each failure and its end, exit 0", async () => {
  const { status, err, out } = await plan(README);
  assert.deepEqual([status, err], [0, ""]);
  assert.equal(
    out,
    `FAILURE            ADDRESS  VHID MASTER     NONE FOR SETTLED IN SHARES
fw1 dies           10.0.0.1 1    fw1 -> fw2 4.2s     4.2s       fw1 0%, fw2 100%
fw1 is back        10.0.0.1 1    fw2 -> fw1 -        0.3s       fw1 100%, fw2 0%
fw1 loses eth0     10.0.0.1 1    fw1 -> fw2 4.2s     4.2s       fw1 0%, fw2 100%
fw1 has eth0 again 10.0.0.1 1    fw2 -> fw1 -        0.3s       fw1 100%, fw2 0%
fw1 is demoted     10.0.0.1 1    fw1 -> fw2 -        0.1s       fw1 0%, fw2 100%
fw1 is promoted    10.0.0.1 1    fw2 -> fw1 -        1.4s       fw1 100%, fw2 0%
fw2 dies                         unchanged  -        -          fw1 100%, fw2 0%
fw2 is back                      unchanged  -        -          fw1 100%, fw2 0%
fw2 loses eth0                   unchanged  -        -          fw1 100%, fw2 0%
fw2 has eth0 again               unchanged  -        -          fw1 100%, fw2 0%
fw2 is demoted                   unchanged  -        -          fw1 100%, fw2 0%
fw2 is promoted                  unchanged  -        -          fw1 100%, fw2 0%
`,
  );
});

test("two interfaces: a row for each, and the shares below the last", async () => {
  const { out } = await plan(PUBLISHED["the firewall pair of OpenBSD's FAQ"] as Cluster);
  assert.deepEqual(out.split("\n").slice(1, 4), [
    "fw1 dies           192.0.2.100   1     fw1 -> fw2  4.5s      4.5s",
    "                   172.16.0.100  2     fw1 -> fw2  4.5s      4.5s",
    "  fw1 0%, fw2 100%",
  ]);
});

test("--json: every virtual host of every failure", async () => {
  const { status, out } = await plan(README, "--json");
  assert.equal(status, 0);
  const { failures } = JSON.parse(out);
  assert.equal(failures.length, 12);
  const { virtualHosts, ...loses } = failures[2];
  assert.deepEqual(loses, {
    failure: "loses",
    host: "fw1",
    carpdev: "eth0",
    isOver: false,
    shares: { fw1: 0, fw2: 1 },
  });
  const [{ noneSeconds, settledSeconds, ...others }] = virtualHosts;
  assert.deepEqual(others, { vhid: 1, addresses: ["10.0.0.1"], before: ["fw1"], after: ["fw2"] });
  // The master-down time of fw2.
  for (const seconds of [noneSeconds, settledSeconds])
    assert.ok(seconds > 4 && seconds <= 3 * (1 + 100 / 256), String(seconds));
  assert.deepEqual(failures[11].virtualHosts[0].before, ["fw1"]);
});

test("files with errors are refused: one line, exit 1", async () => {
  const fw2 = { "hostname.carp0": "vhid 1 carpdev eth0 pass other advskew 100\n10.0.0.1/24\nfrob\n" };
  const { status, err, out } = await plan({ fw1: README.fw1 ?? {}, fw2 });
  assert.deepEqual([status, out], [1, ""]);
  assert.equal(err, "carpctl: the files have 1 error: 'carpctl check' names them\n");
});
