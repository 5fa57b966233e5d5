/** The data path's programs run before those of other owners, which could end the chain for a packet. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { nativeBpf } from "../../../src/kernel/data-path/native-bpf.ts";
import { attachForeign } from "../../hosts/foreign-program.ts";
import { makeDirectory, removeDirectory } from "../../hosts/resources.ts";
import { Carpdev, OF_TCX, tc } from "./carpdev.ts";
import { enterNamespace } from "./namespace.ts";

enterNamespace(import.meta.url);

const carpdev = new Carpdev();

for (const direction of ["ingress", "egress"] as const)
  test(`a TCX program put before ours on ${direction} is preceded again, and stays`, OF_TCX, async () => {
    const isIngress = direction === "ingress";
    const dataPath = carpdev.start();
    dataPath.configure(carpdev.plain());
    const [ours] = carpdev.byTcx(isIngress);
    attachForeign("eth0", direction);
    const [foreign] = carpdev.byTcx(isIngress);
    const what = `program ${foreign} before carp's on ${direction}`;
    assert.deepEqual(dataPath.overruled(carpdev.index), { before: [what], xdp: 0 });
    assert.deepEqual(await dataPath.repair(), [{ carpdev: "eth0", what }]);
    assert.deepEqual(carpdev.byTcx(isIngress), [ours, foreign]);
    assert.equal(carpdev.byTcx(!isIngress).length, 1);
    assert.deepEqual(await dataPath.repair(), []);
    assert.deepEqual(dataPath.overruled(carpdev.index), { before: [], xdp: 0 });
    nativeBpf.detachTcx(foreign ?? 0, carpdev.index, isIngress);
  });

test("a program that was there before an engine's is preceded by the next engine too", OF_TCX, async () => {
  const first = carpdev.start();
  first.configure(carpdev.plain());
  attachForeign("eth0", "ingress");
  const [foreign] = carpdev.byTcx(true);
  carpdev.die(first);
  const second = carpdev.start();
  second.configure(carpdev.plain());
  assert.equal((await second.repair()).length, 1);
  assert.equal(carpdev.byTcx(true)[1], foreign);
  nativeBpf.detachTcx(foreign ?? 0, carpdev.index, true);
});

test(
  "a program put before ours again and again is complained of, and preceded less often",
  OF_TCX,
  async (t) => {
    // However long it takes to attach one.
    t.mock.method(performance, "now", () => 1000);
    const complaints: string[] = [];
    const dataPath = carpdev.start(carpdev.runDir, "tcx", (text) => complaints.push(text));
    dataPath.configure(carpdev.plain());
    let repaired = 0;
    for (let times = 0; times < 7; times++) {
      attachForeign("eth0", "egress");
      repaired += (await dataPath.repair()).length;
    }
    assert.equal(repaired, 5);
    const [complaint, ...more] = complaints;
    assert.match(
      complaint ?? "",
      /^eth0: changed again \(program \d+ before carp's on egress\) after 5 repairs/,
    );
    assert.deepEqual(more, []);
    for (const id of carpdev.byTcx(false)) nativeBpf.detachTcx(id, carpdev.index, false);
  },
);

for (const hook of ["tcx", "clsact"] as const)
  test(
    `the programs of two engines on one carpdev keep their order by ${hook}`,
    hook === "tcx" ? OF_TCX : {},
    async () => {
      const other = makeDirectory("other");
      const mine = carpdev.start(carpdev.runDir, hook);
      mine.configure(carpdev.plain());
      const theirs = carpdev.start(other, hook);
      theirs.configure(carpdev.plain({ mac: "00:00:5e:00:01:0b", vhids: [11], addresses: [] }));
      assert.deepEqual([await mine.repair(), await theirs.repair()], [[], []]);
      carpdev.stop(theirs);
      removeDirectory(other);
    },
  );

for (const { what, prio, told } of [
  { what: "of the same preference", prio: 1, told: "preference 1" },
  { what: "that is met first since ours had to go behind another", prio: 7, told: "preference 7" },
])
  test(`without TCX a filter ${what} is preceded again`, async () => {
    if (prio !== 1) {
      tc("qdisc add dev eth0 clsact");
      tc("filter add dev eth0 ingress prio 1 protocol ip u32 match u32 0 0 flowid 1:1");
    }
    const dataPath = carpdev.start(carpdev.runDir, "clsact");
    dataPath.configure(carpdev.plain());
    if (prio !== 1) tc("filter delete dev eth0 ingress prio 1");
    const filter = `filter add dev eth0 ingress prio ${prio} protocol all bpf bytecode`.split(" ");
    execFileSync("tc", [...filter, "1,6 0 0 4294967295,", "flowid", "1:1"]);
    const [repaired, ...more] = await dataPath.repair();
    assert.deepEqual(more, []);
    assert.equal(repaired?.what, `a filter (bpf, ${told}) before carp's on ingress`);
    assert.deepEqual(dataPath.overruled(carpdev.index).before, []);
    assert.deepEqual(carpdev.count("clsact"), [1, 1]);
    assert.deepEqual(await dataPath.repair(), []);
  });

test("without TCX a filter that nothing can precede is told of once, and left alone", async () => {
  tc("qdisc add dev eth0 clsact");
  tc("filter add dev eth0 egress prio 1 protocol ip u32 match u32 0 0 flowid 1:1");
  const complaints: string[] = [];
  const dataPath = carpdev.start(carpdev.runDir, "clsact", (text) => complaints.push(text));
  dataPath.configure(carpdev.plain());
  const before = carpdev.filters("egress");
  for (let times = 0; times < 20; times++) assert.deepEqual(await dataPath.repair(), []);
  assert.deepEqual(complaints, [
    "eth0: a filter (u32, preference 1) before carp's on egress cannot be preceded:" +
      " it may decide about packets against the leases",
  ]);
  assert.equal(carpdev.filters("egress"), before);
  assert.equal(dataPath.overruled(carpdev.index).before.length, 1);
});

test("filters of another chain do not run before ours", () => {
  tc("qdisc add dev eth0 clsact");
  tc("filter add dev eth0 ingress chain 7 prio 1 protocol ip u32 match u32 0 0 flowid 1:1");
  const dataPath = carpdev.start(carpdev.runDir, "clsact");
  dataPath.configure(carpdev.plain());
  assert.deepEqual(dataPath.overruled(carpdev.index).before, []);
});
