/** What of the data path outlives an engine, what does not, and how it lives beside others on the same device. */

import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { createClock } from "../../../src/kernel/clock.ts";
import { createDataPath, dataPathObstacle } from "../../../src/kernel/data-path.ts";
import type { DataPath, DataPathInterface } from "../../../src/kernel/kernel.ts";
import { native } from "../../../src/kernel/native.ts";
import { makeDirectory, removeDirectory } from "../../hosts/resources.ts";
import { cable, type End, enterNamespace, ip } from "./namespace.ts";
import * as packet from "./packets.ts";
import { DROP, PASS, Programs } from "./programs.ts";

enterNamespace(import.meta.url);

const clock = createClock();
const SHARED_MAC = "00:00:5e:00:01:0a";

let runDir: string;
let eth0: End;
let open: DataPath[];

beforeEach(() => {
  runDir = makeDirectory("run");
  [eth0] = cable("eth0", "peer");
  open = [];
});

afterEach(() => {
  for (const each of open) each.shutdown();
  ip("link delete eth0");
  removeDirectory(runDir);
});

function start(directory = runDir, hook?: "tcx" | "clsact"): DataPath {
  const dataPath = createDataPath({
    runDir: directory,
    complain: (text) => assert.fail(text),
    ...(hook && { hook }),
  });
  assert.equal(dataPath.obstacle, undefined);
  open.push(dataPath);
  return dataPath;
}

/** As when its process is gone. */
function die(dataPath: DataPath): void {
  dataPath.close();
  open = open.filter((each) => each !== dataPath);
}

function plain(change: Partial<DataPathInterface> = {}): DataPathInterface {
  return {
    name: "carp0",
    carpdev: eth0.index,
    carpdevMac: "02:00:00:00:00:01",
    mac: SHARED_MAC,
    realMac: false,
    balancing: "none",
    vhids: [10],
    addresses: [{ family: 4, address: "10.0.0.1", prefixLength: 24 }],
    ...change,
  };
}

const soonUs = () => clock.now().us + 60_000_000;

/** What becomes of a packet for the virtual address. */
function verdict(mac = SHARED_MAC, directory = runDir): number {
  const programs = new Programs(directory);
  const payload = packet.ipv4("10.0.0.9", "10.0.0.1", 17, packet.udp());
  const { verdict } = programs.ingress(
    packet.ethernet(mac, "02:00:00:00:00:09", packet.IPV4, payload),
    eth0.index,
  );
  programs.close();
  return verdict;
}

function tc(words: string): string {
  return execFileSync("tc", words.split(" "), { encoding: "utf8" });
}

const filters = (direction: "ingress" | "egress") => tc(`filter show dev eth0 ${direction}`);
const ourFilters = (direction: "ingress" | "egress") => filters(direction).match(/ carp_\w+:\[\d+\] /g) ?? [];
const byTcx = (ingress: boolean) => {
  const ids = native.listTcx(eth0.index, ingress);
  return typeof ids === "number" ? [] : ids;
};
/** How many programs are on the carpdev: for what comes in and for what goes out. */
const counts = {
  tcx: () => [byTcx(true).length, byTcx(false).length],
  clsact: () => [ourFilters("ingress").length, ourFilters("egress").length],
};
const mountsBelow = (directory: string) =>
  readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .filter((line) => line.includes(directory));

test("leases of an engine that died are in force, and known to the next one", () => {
  const first = start();
  first.configure(plain());
  const untilUs = soonUs();
  first.lease("carp0", 10, untilUs);
  die(first);
  assert.equal(verdict(), PASS);

  const second = start();
  assert.equal(second.leaseUntilUs("carp0", 10), untilUs);
  assert.equal(verdict(), PASS);
  assert.equal(second.configure(plain()), undefined);
  assert.equal(second.leaseUntilUs("carp0", 10), untilUs);
  assert.equal(verdict(), PASS);
  second.lease("carp0", 10, 0);
  assert.equal(verdict(), DROP);
});

test("what the engine after it does not configure is forgotten", () => {
  const first = start();
  first.configure(plain());
  first.configure(plain({ name: "carp1", mac: "00:00:5e:00:01:0b", vhids: [11], addresses: [] }));
  first.lease("carp0", 10, soonUs());
  first.lease("carp1", 11, soonUs());
  die(first);

  const second = start();
  second.configure(plain());
  second.lease("carp0", 10, 0);
  assert.equal(verdict("00:00:5e:00:01:0b"), PASS);
  second.lease("carp1", 11, 0);
  assert.equal(verdict("00:00:5e:00:01:0b"), DROP);
  second.removeLeftovers();
  assert.equal(second.leaseUntilUs("carp1", 11), 0);
  assert.equal(second.counts("carp1"), undefined);
  // Nobody's any more.
  assert.equal(verdict("00:00:5e:00:01:0b"), PASS);
  assert.equal(verdict(), DROP);
});

test("the carpdev of what is forgotten is left as it was found", () => {
  const first = start();
  first.configure(plain());
  die(first);
  assert.deepEqual(counts.tcx(), [1, 1]);
  start().removeLeftovers();
  assert.deepEqual(counts.tcx(), [0, 0]);
  assert.equal(tc("qdisc show dev eth0").includes("clsact"), false);
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
    const dataPath = start();
    dataPath.configure(plain());
    const untilUs = soonUs();
    dataPath.lease("carp0", 10, untilUs);
    assert.equal(dataPath.configure(plain(change)), undefined);
    assert.equal(dataPath.leaseUntilUs("carp0", 10), keeps ? untilUs : 0);
    if (!keeps && !change.realMac) assert.equal(verdict(change.mac), DROP);
    // Nothing leads where it led before.
    if (change.mac !== undefined) assert.equal(verdict(), PASS);
    // And back again.
    dataPath.configure(plain());
    dataPath.lease("carp0", 10, untilUs);
    assert.equal(verdict(), PASS);
    dataPath.lease("carp0", 10, 0);
    assert.equal(verdict(), DROP);
  });
}

test("two interfaces that answer under the carpdev's own MAC are judged each by its own lease", () => {
  const dataPath = start();
  const mac = "02:00:00:00:00:01";
  const second = [{ family: 4, address: "10.0.0.2", prefixLength: 24 }] as const;
  dataPath.configure(plain({ mac, realMac: true }));
  dataPath.configure(plain({ name: "carp1", mac, realMac: true, vhids: [11], addresses: second }));
  dataPath.lease("carp1", 11, soonUs());
  assert.equal(verdict(mac), DROP);
  dataPath.remove("carp1");
  assert.equal(verdict(mac), DROP);
  dataPath.remove("carp0");
  assert.equal(verdict(mac), PASS);
});

test("without TCX other people's filters stay, and keep their place", () => {
  tc("qdisc add dev eth0 clsact");
  tc("filter add dev eth0 ingress prio 1 protocol ip u32 match u32 0 0 flowid 1:1");
  tc("filter add dev eth0 egress prio 7 protocol ip u32 match u32 0 0 flowid 1:1");
  const before = [filters("ingress"), filters("egress")];
  const dataPath = start(runDir, "clsact");
  assert.equal(dataPath.configure(plain()), undefined);
  assert.deepEqual(counts.clsact(), [1, 1]);
  dataPath.configure(plain());
  assert.deepEqual(counts.clsact(), [1, 1]);
  dataPath.remove("carp0");
  assert.deepEqual([filters("ingress"), filters("egress")], before);
});

test("without TCX a qdisc that was there stays, one of our own goes, unless others use it by then", () => {
  const dataPath = start(runDir, "clsact");
  const hasQdisc = () => tc("qdisc show dev eth0").includes("clsact");
  dataPath.configure(plain());
  dataPath.remove("carp0");
  assert.equal(hasQdisc(), false);
  dataPath.configure(plain());
  tc("filter add dev eth0 ingress prio 5 protocol ip u32 match u32 0 0 flowid 1:1");
  dataPath.remove("carp0");
  assert.equal(hasQdisc(), true);
  tc("qdisc delete dev eth0 clsact");
  tc("qdisc add dev eth0 clsact");
  dataPath.configure(plain());
  dataPath.remove("carp0");
  assert.equal(hasQdisc(), true);
});

test("other people's programs and filters are left alone by TCX, and asked after ours", () => {
  tc("qdisc add dev eth0 clsact");
  tc("filter add dev eth0 ingress prio 1 protocol ip u32 match u32 0 0 flowid 1:1");
  const before = filters("ingress");
  const other = makeDirectory("other");
  const theirs = start(other);
  theirs.configure(plain({ mac: "00:00:5e:00:01:0b", vhids: [11], addresses: [] }));
  const [their] = byTcx(true);
  const mine = start();
  mine.configure(plain());
  assert.equal(byTcx(true)[1], their);
  mine.remove("carp0");
  assert.deepEqual(byTcx(true), [their]);
  assert.equal(filters("ingress"), before);
  theirs.shutdown();
  open = [mine];
  removeDirectory(other);
});

test("the next engine's programs take the very place of its predecessor's", () => {
  const first = start();
  first.configure(plain());
  const before = byTcx(true);
  const other = makeDirectory("other");
  const theirs = start(other);
  theirs.configure(plain({ mac: "00:00:5e:00:01:0b", vhids: [11], addresses: [] }));
  const [their] = byTcx(true);
  die(first);
  start();
  const [still, mine, ...more] = byTcx(true);
  assert.equal(still, their);
  assert.notEqual(mine, before[0]);
  assert.deepEqual(more, []);
  assert.equal(readdirSync(join(runDir, "bpf", "programs")).length, 2);
  theirs.shutdown();
  open = open.filter((each) => each !== theirs);
  removeDirectory(other);
});

for (const [from, to] of [
  ["clsact", "tcx"],
  ["tcx", "clsact"],
] as const) {
  test(`what an engine left by ${from} the next one replaces by ${to}, with the leases`, () => {
    const first = start(runDir, from);
    first.configure(plain());
    const untilUs = soonUs();
    first.lease("carp0", 10, untilUs);
    assert.deepEqual(
      [counts[from](), counts[to]()],
      [
        [1, 1],
        [0, 0],
      ],
    );
    die(first);
    const second = start(runDir, to);
    assert.deepEqual(
      [counts[from](), counts[to]()],
      [
        [0, 0],
        [1, 1],
      ],
    );
    assert.equal(tc("qdisc show dev eth0").includes("clsact"), to === "clsact");
    assert.equal(second.leaseUntilUs("carp0", 10), untilUs);
    assert.equal(verdict(), PASS);
    second.removeLeftovers();
    assert.deepEqual(
      [counts[from](), counts[to]()],
      [
        [0, 0],
        [0, 0],
      ],
    );
    assert.equal(tc("qdisc show dev eth0").includes("clsact"), false);
  });
}

test("two engines on one carpdev do not disturb each other", () => {
  const other = makeDirectory("other");
  const mine = start();
  const theirs = start(other);
  mine.configure(plain());
  theirs.configure(plain({ mac: "00:00:5e:00:01:0b", vhids: [11], addresses: [] }));
  mine.lease("carp0", 10, soonUs());
  assert.deepEqual([verdict(), verdict("00:00:5e:00:01:0b", other)], [PASS, DROP]);
  assert.deepEqual(counts.tcx(), [2, 2]);
  theirs.shutdown();
  open = [mine];
  assert.equal(verdict(), PASS);
  assert.deepEqual(counts.tcx(), [1, 1]);
  removeDirectory(other);
});

const damages = {
  tcx: [
    () => native.detachTcx(byTcx(false)[0] ?? 0, eth0.index, false),
    () => native.detachTcx(byTcx(true)[0] ?? 0, eth0.index, true),
  ],
  clsact: [() => tc("filter delete dev eth0 egress"), () => tc("qdisc delete dev eth0 clsact")],
};
for (const hook of ["tcx", "clsact"] as const) {
  test(`programs that somebody took off the carpdev are put back by ${hook}`, () => {
    const dataPath = start(runDir, hook);
    dataPath.configure(plain());
    assert.deepEqual(dataPath.repair(), []);
    for (const damage of damages[hook]) {
      damage();
      assert.deepEqual(dataPath.repair(), ["eth0: somebody removed the eBPF programs: put back"]);
      assert.deepEqual(counts[hook](), [1, 1]);
      assert.deepEqual(dataPath.repair(), []);
    }
  });
}

test("a carpdev that is gone is told, and nothing is left to be judged by", () => {
  const dataPath = start();
  assert.match(dataPath.configure(plain({ carpdev: 9999 })) ?? "", /^interface 9999: .*: (ENODEV|EINVAL)$/);
  assert.equal(dataPath.counts("carp0"), undefined);
});

for (const hook of ["tcx", "clsact"] as const) {
  test(`a clean stop leaves nothing by ${hook}: no program, no mount, no directory`, () => {
    const dataPath = start(runDir, hook);
    dataPath.configure(plain());
    assert.equal(mountsBelow(runDir).length, 1);
    dataPath.shutdown();
    open = [];
    assert.deepEqual(mountsBelow(runDir), []);
    assert.equal(existsSync(join(runDir, "bpf")), false);
    assert.deepEqual(counts.tcx(), [0, 0]);
    assert.equal(tc("qdisc show dev eth0").includes("clsact"), false);
    assert.equal(tc("qdisc show dev lo").includes("clsact"), false);
  });
}

test("what another version left is replaced, its carpdevs given back", () => {
  const first = start();
  first.configure(plain());
  die(first);
  // As a version with other maps would have called them.
  const bpf = join(runDir, "bpf");
  const [version = ""] = readdirSync(bpf).filter((name) => name.startsWith("version-"));
  execFileSync("mv", [join(bpf, version), join(bpf, "version-older")]);
  const second = start();
  assert.deepEqual(
    readdirSync(bpf).filter((name) => name.startsWith("version-")),
    [version],
  );
  assert.equal(second.leaseUntilUs("carp0", 10), 0);
  assert.deepEqual(counts.tcx(), [1, 1]);
  second.removeLeftovers();
  assert.equal(tc("qdisc show dev eth0").includes("clsact"), false);
});

test("where eBPF is withheld the reason is told in words, and nothing is left", () => {
  const program = `
    import { createDataPath } from ${JSON.stringify(join(import.meta.dirname, "../../../src/kernel/data-path.ts"))};
    const dataPath = createDataPath({ runDir: ${JSON.stringify(runDir)}, complain: () => {} });
    console.log(dataPath.obstacle);
    console.log(dataPath.configure({}), dataPath.leaseUntilUs("carp0", 1));
  `;
  const node = [process.execPath, "--input-type=module", "--eval", program];
  const { stdout } = spawnSync("setpriv", ["--bounding-set=-bpf,-sys_admin", ...node], { encoding: "utf8" });
  const reason =
    "this process may not use eBPF: it needs CAP_BPF and CAP_NET_ADMIN, which containers often withhold";
  assert.equal(stdout, `${reason}\n${reason} 0\n`);
  assert.deepEqual(readdirSync(runDir), []);
});

test("asking whether there could be a data path disturbs none and leaves nothing", () => {
  assert.equal(dataPathObstacle(), undefined);
  assert.equal(tc("qdisc show dev lo").includes("clsact"), false);
  const dataPath = start();
  dataPath.configure(plain());
  dataPath.lease("carp0", 10, soonUs());
  assert.equal(dataPathObstacle(), undefined);
  assert.equal(verdict(), PASS);
  assert.deepEqual(counts.tcx(), [1, 1]);
});

test("MACs that share a hint are told apart, and one that is left is still found", () => {
  const dataPath = start();
  const twins = ["00:00:5e:00:01:0a", "02:00:00:00:00:0a"];
  for (const [n, mac] of twins.entries())
    dataPath.configure(plain({ name: `carp${n}`, mac, vhids: [10 + n], addresses: [] }));
  dataPath.lease("carp0", 10, soonUs());
  assert.deepEqual(
    [...twins, "02:00:00:00:77:0a"].map((mac) => verdict(mac)),
    [PASS, DROP, PASS],
  );
  dataPath.remove("carp0");
  assert.deepEqual(
    [...twins, "02:00:00:00:77:0a"].map((mac) => verdict(mac)),
    [PASS, DROP, PASS],
  );
  dataPath.remove("carp1");
  assert.equal(verdict(twins[1]), PASS);
});

test("a run directory that does not exist yet is made", () => {
  const directory = join(runDir, "a", "b");
  mkdirSync(join(runDir, "a"));
  const dataPath = start(directory);
  assert.equal(dataPath.configure(plain()), undefined);
  dataPath.shutdown();
  open = [];
});
