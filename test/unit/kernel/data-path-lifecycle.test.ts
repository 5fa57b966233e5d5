/** The data path across engines: which leases and counts outlive one, and hosts that have no data path. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { dataPathObstacle } from "../../../src/kernel/data-path/data-path.ts";
import { DataPathLayout, VARIABLES } from "../../../src/kernel/data-path/layout.ts";
import { nativeBpf } from "../../../src/kernel/data-path/native-bpf.ts";
import type { DataPathInterface } from "../../../src/kernel/kernel.ts";
import { Carpdev, HOOK, OF_TCX, soonUs, tc } from "./carpdev.ts";
import { enterNamespace } from "./namespace.ts";
import { DROP, PASS } from "./programs.ts";

enterNamespace(import.meta.url);

const LOOPBACK = 1;
const carpdev = new Carpdev();

test("leases of an engine that died are in force, and known to the next one", () => {
  const first = carpdev.start();
  first.configure(carpdev.plain());
  const untilUs = soonUs();
  first.lease("carp0", 10, untilUs);
  carpdev.die(first);
  assert.equal(carpdev.verdict(), PASS);

  const second = carpdev.start();
  assert.equal(second.leaseUntilUs("carp0", 10), untilUs);
  assert.equal(carpdev.verdict(), PASS);
  assert.equal(second.configure(carpdev.plain()), undefined);
  assert.equal(second.leaseUntilUs("carp0", 10), untilUs);
  assert.equal(carpdev.verdict(), PASS);
  second.lease("carp0", 10, 0);
  assert.equal(carpdev.verdict(), DROP);
});

test("what the engine after it does not configure is forgotten", () => {
  const first = carpdev.start();
  first.configure(carpdev.plain());
  first.configure(carpdev.plain({ name: "carp1", mac: "00:00:5e:00:01:0b", vhids: [11], addresses: [] }));
  first.lease("carp0", 10, soonUs());
  first.lease("carp1", 11, soonUs());
  carpdev.die(first);

  const second = carpdev.start();
  second.configure(carpdev.plain());
  second.lease("carp0", 10, 0);
  assert.equal(carpdev.verdict("00:00:5e:00:01:0b"), PASS);
  second.lease("carp1", 11, 0);
  assert.equal(carpdev.verdict("00:00:5e:00:01:0b"), DROP);
  second.removeLeftovers();
  assert.equal(second.leaseUntilUs("carp1", 11), 0);
  assert.equal(second.counts("carp1"), undefined);
  // No interface's any more.
  assert.equal(carpdev.verdict("00:00:5e:00:01:0b"), PASS);
  assert.equal(carpdev.verdict(), DROP);
});

test("the carpdev of what is forgotten is left as it was found", () => {
  const first = carpdev.start();
  first.configure(carpdev.plain());
  carpdev.die(first);
  assert.deepEqual(carpdev.count(HOOK), [1, 1]);
  carpdev.start().removeLeftovers();
  assert.deepEqual(carpdev.count(HOOK), [0, 0]);
  assert.equal(carpdev.hasClsact, false);
});

const changes: [string, Partial<DataPathInterface>, boolean][] = [
  ["an address", { addresses: [{ family: 4, address: "10.0.0.2", prefixLength: 24 }] }, true],
  ["the carpdev's own MAC", { carpdevMac: "02:00:00:00:00:77" }, true],
  ["a node", { vhids: [10, 11], balancing: "ip-unicast" }, false],
  ["the MAC that is given out", { mac: "02:5e:00:00:00:01" }, false],
  ["real MAC", { mac: "02:00:00:00:00:01", realMac: true }, false],
];
for (const [what, change, keeps] of changes) {
  test(`leases ${keeps ? "outlast" : "end with"} a change of ${what}`, () => {
    const dataPath = carpdev.start();
    dataPath.configure(carpdev.plain());
    const untilUs = soonUs();
    dataPath.lease("carp0", 10, untilUs);
    assert.equal(dataPath.configure(carpdev.plain(change)), undefined);
    assert.equal(dataPath.leaseUntilUs("carp0", 10), keeps ? untilUs : 0);
    if (!keeps && !change.realMac) assert.equal(carpdev.verdict(change.mac), DROP);
    // Nothing leads where it led before.
    if (change.mac !== undefined) assert.equal(carpdev.verdict(), PASS);
    // And back again.
    dataPath.configure(carpdev.plain());
    dataPath.lease("carp0", 10, untilUs);
    assert.equal(carpdev.verdict(), PASS);
    dataPath.lease("carp0", 10, 0);
    assert.equal(carpdev.verdict(), DROP);
  });
}

test("two interfaces that answer under the carpdev's own MAC are judged each by its own lease", () => {
  const dataPath = carpdev.start();
  const mac = "02:00:00:00:00:01";
  const second = [{ family: 4, address: "10.0.0.2", prefixLength: 24 }] as const;
  dataPath.configure(carpdev.plain({ mac, realMac: true }));
  dataPath.configure(carpdev.plain({ name: "carp1", mac, realMac: true, vhids: [11], addresses: second }));
  dataPath.lease("carp1", 11, soonUs());
  assert.equal(carpdev.verdict(mac), DROP);
  dataPath.remove("carp1");
  assert.equal(carpdev.verdict(mac), DROP);
  dataPath.remove("carp0");
  assert.equal(carpdev.verdict(mac), PASS);
});

test("a carpdev that is gone is told, and nothing is left to be judged by", () => {
  const dataPath = carpdev.start();
  assert.match(
    dataPath.configure(carpdev.plain({ carpdev: 9999 })) ?? "",
    /^interface 9999: .*: (ENODEV|EINVAL)$/,
  );
  assert.equal(dataPath.counts("carp0"), undefined);
});

test("what another version left is replaced, its carpdevs given back", () => {
  const first = carpdev.start();
  first.configure(carpdev.plain());
  carpdev.die(first);
  const path = join(carpdev.runDir, "programs.json");
  const record = readFileSync(path, "utf8");
  writeFileSync(path, record.replaceAll(/"version":"[^"]*"/g, '"version":"older"'));
  const second = carpdev.start();
  assert.equal(second.leaseUntilUs("carp0", 10), 0);
  assert.deepEqual(carpdev.count(HOOK), [1, 1]);
  second.removeLeftovers();
  assert.equal(carpdev.hasClsact, false);
});

test(
  "until an interface is configured, programs of another version go on judging by the leases they know",
  OF_TCX,
  () => {
    const first = carpdev.start();
    first.configure(carpdev.plain());
    const left = [carpdev.byTcx(true), carpdev.byTcx(false)];
    carpdev.die(first);
    const path = join(carpdev.runDir, "programs.json");
    const record = readFileSync(path, "utf8");
    writeFileSync(path, record.replaceAll(/"version":"[^"]*"/g, '"version":"older"'));
    const second = carpdev.start();
    assert.deepEqual([carpdev.byTcx(true), carpdev.byTcx(false)], left);
    second.configure(carpdev.plain());
    assert.deepEqual(carpdev.count("tcx"), [1, 1]);
    assert.notDeepEqual([carpdev.byTcx(true), carpdev.byTcx(false)], left);
    second.removeLeftovers();
    assert.equal(carpdev.verdict(), DROP);
  },
);

test("until an interface is configured, filters of an engine whose record is lost go on judging", () => {
  const first = carpdev.start(carpdev.runDir, "clsact");
  first.configure(carpdev.plain());
  const left = carpdev.filters("ingress");
  carpdev.die(first);
  rmSync(join(carpdev.runDir, "programs.json"));
  const second = carpdev.start(carpdev.runDir, "clsact");
  assert.equal(carpdev.filters("ingress"), left);
  second.configure(carpdev.plain());
  assert.notEqual(carpdev.filters("ingress"), left);
  assert.deepEqual(carpdev.count("clsact"), [1, 1]);
  assert.equal(carpdev.verdict(), DROP);
});

test("where eBPF is withheld the reason is told in words, and nothing is left", () => {
  const program = `
    import { createDataPath } from ${JSON.stringify(join(import.meta.dirname, "../../../src/kernel/data-path/data-path.ts"))};
    const dataPath = createDataPath({ runDir: ${JSON.stringify(carpdev.runDir)}, record: { write() {} }, complain: () => {} });
    console.log(dataPath.obstacle);
    console.log(dataPath.configure({}), String(dataPath.leaseUntilUs("carp0", 1)));
  `;
  const node = [process.execPath, "--input-type=module", "--eval", program];
  const { stdout } = spawnSync("setpriv", ["--bounding-set=-bpf,-sys_admin", ...node], { encoding: "utf8" });
  const reason =
    "this process may not use eBPF: it needs CAP_BPF and CAP_NET_ADMIN, which containers often withhold";
  assert.equal(stdout, `${reason}\n${reason} 0\n`);
  assert.deepEqual(readdirSync(carpdev.runDir), []);
});

test("asking whether there could be a data path disturbs none and leaves nothing", () => {
  assert.equal(dataPathObstacle(), undefined);
  assert.equal(tc("qdisc show dev lo").includes("clsact"), false);
  if (HOOK === "tcx") assert.deepEqual(nativeBpf.listTcx(LOOPBACK, true), []);
  const dataPath = carpdev.start();
  dataPath.configure(carpdev.plain());
  dataPath.lease("carp0", 10, soonUs());
  assert.equal(dataPathObstacle(), undefined);
  assert.equal(carpdev.verdict(), PASS);
  assert.deepEqual(carpdev.count(HOOK), [1, 1]);
});

test("MACs that share a hint are told apart, and one that is left is still found", () => {
  const dataPath = carpdev.start();
  const twins = ["00:00:5e:00:01:0a", "02:00:00:00:00:0a"];
  for (const [n, mac] of twins.entries())
    dataPath.configure(carpdev.plain({ name: `carp${n}`, mac, vhids: [10 + n], addresses: [] }));
  dataPath.lease("carp0", 10, soonUs());
  assert.deepEqual(
    [...twins, "02:00:00:00:77:0a"].map((mac) => carpdev.verdict(mac)),
    [PASS, DROP, PASS],
  );
  dataPath.remove("carp0");
  assert.deepEqual(
    [...twins, "02:00:00:00:77:0a"].map((mac) => carpdev.verdict(mac)),
    [PASS, DROP, PASS],
  );
  dataPath.remove("carp1");
  assert.equal(carpdev.verdict(twins[1]), PASS);
});

/** Puts a slot without leases beside that of carp0, as an engine does that is killed while it moves it. */
function writeSecondSlot(wanted: DataPathInterface, beside: number): void {
  const read = nativeBpf.bpfLayout();
  assert.ok(!("error" in read));
  const layout = new DataPathLayout(read);
  const object = new nativeBpf.BpfObject();
  const [{ id }] = JSON.parse(readFileSync(join(carpdev.runDir, "programs.json"), "utf8")).programs;
  assert.equal(object.load([[id, layout.maps]]), undefined);
  assert.equal(object.share(VARIABLES), 0);
  object.write(layout.slotOffset(layout.bestSlot(wanted) + beside), layout.slotHeader(wanted, 500));
  object.close();
}

for (const beside of [-1, 1])
  test(`an interface whose engine was killed while it moved it has its leases, and one slot (${beside})`, () => {
    const first = carpdev.start();
    const wanted = carpdev.plain();
    first.configure(wanted);
    const untilUs = soonUs();
    first.lease("carp0", 10, untilUs);
    carpdev.die(first);
    writeSecondSlot(wanted, beside);

    const second = carpdev.start();
    assert.equal(second.leaseUntilUs("carp0", 10), untilUs);
    assert.equal(second.configure(wanted), undefined);
    assert.equal(second.leaseUntilUs("carp0", 10), untilUs);
    assert.equal(carpdev.verdict(), PASS);
    // With the second slot gone, nothing of carp0 is left to find.
    second.configure(carpdev.plain({ name: "carp1", mac: "00:00:5e:00:01:0b", vhids: [11], addresses: [] }));
    second.remove("carp0");
    carpdev.die(second);
    const third = carpdev.start();
    assert.equal(third.counts("carp0"), undefined);
    assert.notEqual(third.counts("carp1"), undefined);
  });
