/** The data path's programs on a carpdev: attached by TCX or clsact beside other programs, found and replaced. */

import assert from "node:assert/strict";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { openDocument } from "../../../src/engine/state/document.ts";
import { createDataPath } from "../../../src/kernel/data-path/data-path.ts";
import { nativeBpf } from "../../../src/kernel/data-path/native-bpf.ts";
import { makeDirectory, removeDirectory } from "../../hosts/resources.ts";
import { Carpdev, HOOK, OF_TCX, soonUs, tc } from "./carpdev.ts";
import { enterNamespace } from "./namespace.ts";
import { DROP, PASS } from "./programs.ts";

enterNamespace(import.meta.url);

const carpdev = new Carpdev();

test("without TCX other people's filters stay, and keep their place", () => {
  tc("qdisc add dev eth0 clsact");
  tc("filter add dev eth0 ingress prio 1 protocol ip u32 match u32 0 0 flowid 1:1");
  tc("filter add dev eth0 egress prio 7 protocol ip u32 match u32 0 0 flowid 1:1");
  const before = [carpdev.filters("ingress"), carpdev.filters("egress")];
  const dataPath = carpdev.start(carpdev.runDir, "clsact");
  assert.equal(dataPath.configure(carpdev.plain()), undefined);
  assert.deepEqual(carpdev.count("clsact"), [1, 1]);
  dataPath.configure(carpdev.plain());
  assert.deepEqual(carpdev.count("clsact"), [1, 1]);
  dataPath.remove("carp0");
  assert.deepEqual([carpdev.filters("ingress"), carpdev.filters("egress")], before);
});

test("without TCX a qdisc that was there stays, one of our own goes, unless others use it by then", () => {
  const dataPath = carpdev.start(carpdev.runDir, "clsact");
  dataPath.configure(carpdev.plain());
  dataPath.remove("carp0");
  assert.equal(carpdev.hasClsact, false);
  dataPath.configure(carpdev.plain());
  tc("filter add dev eth0 ingress prio 5 protocol ip u32 match u32 0 0 flowid 1:1");
  dataPath.remove("carp0");
  assert.equal(carpdev.hasClsact, true);
  tc("qdisc delete dev eth0 clsact");
  tc("qdisc add dev eth0 clsact");
  dataPath.configure(carpdev.plain());
  dataPath.remove("carp0");
  assert.equal(carpdev.hasClsact, true);
});

test("other people's programs and filters are left alone by TCX, and asked after ours", OF_TCX, () => {
  tc("qdisc add dev eth0 clsact");
  tc("filter add dev eth0 ingress prio 1 protocol ip u32 match u32 0 0 flowid 1:1");
  const before = carpdev.filters("ingress");
  const other = makeDirectory("other");
  const theirs = carpdev.start(other);
  theirs.configure(carpdev.plain({ mac: "00:00:5e:00:01:0b", vhids: [11], addresses: [] }));
  const [their] = carpdev.byTcx(true);
  const mine = carpdev.start();
  mine.configure(carpdev.plain());
  assert.equal(carpdev.byTcx(true)[1], their);
  mine.remove("carp0");
  assert.deepEqual(carpdev.byTcx(true), [their]);
  assert.equal(carpdev.filters("ingress"), before);
  carpdev.stop(theirs);
  removeDirectory(other);
});

test("the next engine's programs take the very place of its predecessor's", OF_TCX, () => {
  const first = carpdev.start();
  first.configure(carpdev.plain());
  const before = carpdev.byTcx(true);
  const other = makeDirectory("other");
  const theirs = carpdev.start(other);
  theirs.configure(carpdev.plain({ mac: "00:00:5e:00:01:0b", vhids: [11], addresses: [] }));
  const [their] = carpdev.byTcx(true);
  carpdev.die(first);
  carpdev.start();
  const [still, mine, ...more] = carpdev.byTcx(true);
  assert.equal(still, their);
  assert.notEqual(mine, before[0]);
  assert.deepEqual(more, []);
  const { programs } = JSON.parse(readFileSync(join(carpdev.runDir, "programs.json"), "utf8"));
  assert.deepEqual(programs.length, 2);
  carpdev.stop(theirs);
  removeDirectory(other);
});

for (const [from, to] of [
  ["clsact", "tcx"],
  ["tcx", "clsact"],
] as const) {
  test(`what an engine left by ${from} the next one replaces by ${to}, with the leases`, OF_TCX, () => {
    const first = carpdev.start(carpdev.runDir, from);
    first.configure(carpdev.plain());
    const untilUs = soonUs();
    first.lease("carp0", 10, untilUs);
    assert.deepEqual(
      [carpdev.count(from), carpdev.count(to)],
      [
        [1, 1],
        [0, 0],
      ],
    );
    carpdev.die(first);
    const second = carpdev.start(carpdev.runDir, to);
    assert.deepEqual(
      [carpdev.count(from), carpdev.count(to)],
      [
        [0, 0],
        [1, 1],
      ],
    );
    assert.equal(carpdev.hasClsact, to === "clsact");
    assert.equal(second.leaseUntilUs("carp0", 10), untilUs);
    assert.equal(carpdev.verdict(), PASS);
    second.removeLeftovers();
    assert.deepEqual(
      [carpdev.count(from), carpdev.count(to)],
      [
        [0, 0],
        [0, 0],
      ],
    );
    assert.equal(carpdev.hasClsact, false);
  });
}

test("two engines on one carpdev do not disturb each other", () => {
  const other = makeDirectory("other");
  const mine = carpdev.start();
  const theirs = carpdev.start(other);
  mine.configure(carpdev.plain());
  theirs.configure(carpdev.plain({ mac: "00:00:5e:00:01:0b", vhids: [11], addresses: [] }));
  mine.lease("carp0", 10, soonUs());
  assert.deepEqual([carpdev.verdict(), carpdev.verdict("00:00:5e:00:01:0b", other)], [PASS, DROP]);
  assert.deepEqual(carpdev.count(HOOK), [2, 2]);
  carpdev.stop(theirs);
  assert.equal(carpdev.verdict(), PASS);
  assert.deepEqual(carpdev.count(HOOK), [1, 1]);
  removeDirectory(other);
});

const damages = {
  tcx: [
    () => nativeBpf.detachTcx(carpdev.byTcx(false)[0] ?? 0, carpdev.index, false),
    () => nativeBpf.detachTcx(carpdev.byTcx(true)[0] ?? 0, carpdev.index, true),
  ],
  clsact: [() => tc("filter delete dev eth0 egress"), () => tc("qdisc delete dev eth0 clsact")],
};
for (const hook of ["tcx", "clsact"] as const) {
  test(
    `programs that another program took off the carpdev are attached again by ${hook}`,
    hook === "tcx" ? OF_TCX : {},
    async () => {
      const dataPath = carpdev.start(carpdev.runDir, hook);
      dataPath.configure(carpdev.plain());
      assert.deepEqual(await dataPath.repair(), []);
      for (const damage of damages[hook]) {
        damage();
        assert.deepEqual(await dataPath.repair(), [{ carpdev: "eth0", what: "eBPF programs were removed" }]);
        assert.deepEqual(carpdev.count(hook), [1, 1]);
        assert.deepEqual(await dataPath.repair(), []);
      }
    },
  );
}

for (const hook of ["tcx", "clsact"] as const) {
  test(`a clean stop leaves nothing by ${hook}: no program, no file`, hook === "tcx" ? OF_TCX : {}, () => {
    const dataPath = carpdev.start(carpdev.runDir, hook);
    dataPath.configure(carpdev.plain());
    carpdev.stop(dataPath);
    assert.deepEqual(readdirSync(carpdev.runDir), []);
    assert.deepEqual(carpdev.count("tcx"), [0, 0]);
    assert.equal(carpdev.hasClsact, false);
    assert.equal(tc("qdisc show dev lo").includes("clsact"), false);
  });
}

test(
  "what was recorded before the machine was started anew names other people's programs by now",
  OF_TCX,
  () => {
    const other = makeDirectory("other");
    const theirs = carpdev.start(other);
    theirs.configure(carpdev.plain());
    const record = JSON.parse(readFileSync(join(other, "programs.json"), "utf8"));
    const before = { ...record, boot: "3f0c5d0e-0000-4000-8000-000000000000" };
    writeFileSync(join(carpdev.runDir, "programs.json"), JSON.stringify(before));
    carpdev.start().removeLeftovers();
    assert.deepEqual(carpdev.count("tcx"), [1, 1]);
    writeFileSync(join(carpdev.runDir, "programs.json"), JSON.stringify(record));
    carpdev.start().removeLeftovers();
    assert.deepEqual(carpdev.count("tcx"), [0, 0]);
    carpdev.stop(theirs);
    removeDirectory(other);
  },
);

test("where nothing can be recorded, programs are put there as filters", OF_TCX, () => {
  mkdirSync(join(carpdev.runDir, "programs.json.new"));
  const complaints: string[] = [];
  const dataPath = createDataPath({
    runDir: carpdev.runDir,
    record: openDocument(join(carpdev.runDir, "programs.json")),
    complain: (text) => complaints.push(text),
  });
  dataPath.configure(carpdev.plain());
  assert.deepEqual(
    [carpdev.count("tcx"), carpdev.count("clsact")],
    [
      [0, 0],
      [1, 1],
    ],
  );
  assert.match(complaints.join(), /the ids of programs on devices cannot be recorded: EISDIR/);
  dataPath.shutdown();
});
