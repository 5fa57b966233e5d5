/** The text format: escapes, numbers, histograms; what an engine exports, as promtool reads it. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { Host } from "../../../../src/core/host.ts";
import { Delays } from "../../../../src/engine/metrics/delays.ts";
import { Exposition, labels } from "../../../../src/engine/metrics/exposition.ts";
import { FAMILIES, type Family } from "../../../../src/engine/metrics/families.ts";
import { type Measured, readMetrics } from "../../../../src/engine/metrics/samples.ts";
import { promtool } from "../../promtool.ts";

const CHECK = {
  name: "web",
  path: "/etc/carp/service_status.d/web",
  file: "/etc/carp/service_status.d/web",
  outcome: "failed",
  output: "",
  count: 2,
  counts: { passed: 5, failed: 3, refused: 0 },
  durationSeconds: 0.012,
  ageSeconds: 4.5,
  demotes: true,
  timeout: 10,
  fall: 1,
  rise: 1,
  demote: 50,
} as const;
const NOW = { us: 10_000_000, epochUs: 1_700_000_010_000_000 };

function engine(interfaces: number, description = "www"): Measured & { host: Host } {
  const host = new Host({ balancing: true });
  const link = { name: "eth0", index: 2, mac: "02:00:00:00:00:10", mtu: 1500, up: true, carrier: true };
  host.handle({ kind: "link", link: { ...link, addresses: [] } }, NOW);
  for (let n = 0; n < interfaces; n++)
    host.command(
      {
        kind: "change",
        name: `carp${n}`,
        change: {
          carpdev: "eth0",
          vhid: 1 + n,
          description,
          state: n === 0 ? "master" : "backup",
          addAddresses: [{ family: 4, address: `10.0.0.${1 + n}`, prefixLength: 24, alias: true }],
        },
      },
      NOW,
    );
  return {
    version: "1.2.3",
    host,
    catchUp: () => {},
    now: () => NOW,
    startedUs: 4_000_000,
    delays: new Delays(),
    dataPathObstacle: undefined,
    leaseUntilUs: () => NOW.us + 2_500_000,
    packetCounts: (name) => ({
      nodes: [{ vhid: 1 + Number(name.slice(4)), accepted: 3, droppedByHash: 4 }],
      droppedByLease: 5,
      malformed: 6,
      withheld: 7,
    }),
    checks: [CHECK],
  };
}

const noTurn = () => Promise.resolve();
const exported = async (of: Measured) => (await readMetrics(of, noTurn)).toString();

test("label values may be any text", () => {
  const exposition = new Exposition();
  exposition.add(1, labels({ description: 'a "b" \\ c\nd é\u{1f600}', other: "" }));
  assert.equal(exposition.text.toString(), '{description="a \\"b\\" \\\\ c\\nd é\u{1f600}",other=""} 1\n');
});

test("numbers are written whole, however many there are", () => {
  const exposition = new Exposition();
  exposition.begin("carp_demotion");
  const values = [0, 9, 10, -240, 0.25, 1e21, 1e-7, 2 ** 53];
  for (let n = 0; n < 1000; n++) for (const value of values) exposition.add(value);
  const lines = exposition.text.toString().split("\n").slice(2, -1);
  assert.equal(lines.length, 8000);
  for (const [at, line] of lines.entries()) assert.equal(line, `carp_demotion ${values[at % 8]}`);
});

test("every metric of the table is exported, with its help, its type and its labels, and no other", async () => {
  const of = engine(2);
  of.host.command({ kind: "demote", reason: "disk", by: 5 }, NOW);
  const text = await exported(of);
  for (const [name, { help, type, labels: of }] of Object.entries<Family>(FAMILIES)) {
    assert.ok(text.includes(`# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`), name);
    if (name === "carp_virtual_host_heard_age_seconds") continue;
    const [, found = ""] = new RegExp(`^${name}(?:_bucket)?(?:\\{(.*)\\})? `, "m").exec(text) ?? [];
    const own = [...found.matchAll(/(\w+)="/g)].map(([, label]) => label).filter((label) => label !== "le");
    assert.deepEqual(own, of, name);
  }
  const names = new Set([...text.matchAll(/^(carp_\w+)/gm)].map(([, name = ""]) => name));
  for (const name of names) assert.ok(name.replace(/_(bucket|sum|count)$/, "") in FAMILIES, name);
});

test("the values are the engine's", async () => {
  const of = engine(2);
  of.host.command({ kind: "demote", reason: "disk", by: 5 }, NOW);
  of.host.handle({ kind: "stray", device: "eth1", family: 6 }, NOW);
  const text = await exported(of);
  const ofCheck = `{check="web",file="${CHECK.file}"}`;
  for (const line of [
    'carp_build_info{version="1.2.3"} 1',
    "carp_engine_start_time_seconds 1700000004",
    "carp_demotion 5",
    'carp_demotion_part{kind="named",reason="disk",interface=""} 5',
    'carp_group_demotion{group="carp"} 0',
    'carp_advertisements_received_total{family="ipv6"} 1',
    'carp_advertisements_refused_total{cause="bad_interface"} 1',
    'carp_virtual_host_state{interface="carp0",vhid="1",state="master"} 1',
    'carp_virtual_host_state{interface="carp1",vhid="2",state="master"} 0',
    'carp_virtual_host_state{interface="carp1",vhid="2",state="backup"} 1',
    'carp_virtual_host_lease_seconds{interface="carp0",vhid="1"} 2.5',
    'carp_virtual_host_demotion{interface="carp0",vhid="1"} 5',
    'carp_virtual_host_packets_accepted_total{interface="carp0",vhid="1"} 3',
    'carp_virtual_host_packets_left_total{interface="carp0",vhid="1"} 4',
    'carp_interface_packets_dropped_total{interface="carp0",cause="no_lease"} 5',
    'carp_interface_packets_dropped_total{interface="carp0",cause="malformed"} 6',
    'carp_interface_packets_withheld_total{interface="carp1"} 7',
    'carp_interface_nodes_held_ratio{interface="carp0"} 1',
    `carp_service_check_passed${ofCheck} 0`,
    `carp_service_check_refused${ofCheck} 0`,
    `carp_service_check_demotes${ofCheck} 1`,
    `carp_service_check_results_total{check="web",file="${CHECK.file}",outcome="failed"} 3`,
    `carp_service_check_consecutive_results${ofCheck} 2`,
    `carp_service_check_duration_seconds${ofCheck} 0.012`,
    `carp_service_check_age_seconds${ofCheck} 4.5`,
  ])
    assert.ok(text.includes(`\n${line}\n`), `${line}\n${text}`);
});

test("without a data path there are no leases and no packet counts", async () => {
  const of = { ...engine(1), dataPathObstacle: "no eBPF", packetCounts: () => undefined };
  const text = await exported(of);
  assert.match(text, /^carp_engine_leases_enforced 0$/m);
  assert.doesNotMatch(text, /^carp_(virtual_host_lease_seconds|\w+_packets_\w+)\{/m);
});

test("promtool finds nothing to complain about", async () => {
  const { status, output } = promtool(["check", "metrics"], await exported(engine(3, 'a "b" \\ c')));
  assert.deepEqual([status, output], [0, ""]);
});

test("thousands of interfaces are read in turns, and one may go meanwhile", async () => {
  const of = engine(250);
  let turns = 0;
  const text = await readMetrics(of, async () => {
    if (turns++ === 0) of.host.command({ kind: "destroy", name: "carp249" }, NOW);
  });
  assert.ok(turns >= 3, `${turns} turns`);
  assert.equal(text.toString().match(/^carp_interface_info\{/gm)?.length, 249);
});

test("delays are counted up to each bound", () => {
  let nowUs = 0;
  const rings: (() => void)[] = [];
  const delays = new Delays();
  const alarms = delays.observing(
    {
      set: (_, ring) => {
        rings.push(ring);
        return () => {};
      },
    },
    { now: () => ({ us: nowUs, epochUs: 0 }) },
  );
  let rung = 0;
  for (const lateUs of [-5, 0, 1500, 30_000, 20_000_000]) {
    alarms.set(1_000_000, () => rung++);
    nowUs = 1_000_000 + lateUs;
    rings.pop()?.();
  }
  assert.equal(rung, 5);
  assert.deepEqual(delays.counts, [2, 3, 3, 3, 3, 4, 4, 4, 4, 4, 4, 4, 5]);
  assert.ok(Math.abs(delays.sum - 20.0315) < 1e-9);
});
