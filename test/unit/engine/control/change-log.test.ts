/** The log's record of changes: who made them and what they are, without a pass. */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Method, Params, Results } from "../../../../src/control/messages.ts";
import { changeLine } from "../../../../src/engine/control/change-log.ts";

const NONE = 4_294_967_000;
const line = <M extends Method>(method: M, params: Params<M>, result: unknown = {}, uid = 0) =>
  changeLine(method, params, result as Results[M], uid);

test("every kind of change, in the words of the commands", () => {
  const added = (n: number) =>
    ({ family: 4, address: `10.0.0.${n}`, prefixLength: 24, alias: true }) as const;
  const change = {
    advskew: 9,
    carppeer: null,
    carppeer6: ["fe80::3", "fe80::4"],
    up: false,
    description: "web",
    addAddresses: [added(1), added(2)],
    removeFamilies: [6 as const],
    joinGroups: ["www"],
    leaveGroups: ["dmz"],
    carpnodes: [
      { vhid: 1, advskew: 0 },
      { vhid: 2, advskew: 100 },
    ],
  };
  assert.equal(
    line("change", { name: "carp0", change }),
    "carp0: changed by root: advskew 9, -carppeer, carppeer6 fe80::3,fe80::4, down, description web, 10.0.0.1/24 added, 10.0.0.2/24 added, " +
      "-inet6, group www, -group dmz, carpnodes 1:0,2:100",
  );
  assert.equal(line("change", { name: "carp0", change: {} }), "carp0: changed by root: nothing");
  const on = { carpdev: "eth0", change: { vhid: 1, state: "master" as const } };
  const changed = { name: "carp3", destroyed: false };
  assert.equal(line("change-on", on, changed), "carp3: changed by root: vhid 1, state master");
  assert.equal(line("change-on", on, { ...changed, destroyed: true }), "carp3: destroyed by root");
  assert.equal(line("create", {}, { name: "carp4" }), "carp4: created by root");
  assert.equal(line("destroy", { name: "carp4" }), "carp4: destroyed by root");
  const changes = [
    { name: "net.inet.carp.preempt", from: 0, to: 1 },
    { name: "net.inet.carp.log", from: 2, to: 7 },
  ];
  assert.equal(
    line("sysctl-set", { writes: [] }, changes),
    "variables: changed by root: net.inet.carp.preempt: 0 -> 1, net.inet.carp.log: 2 -> 7",
  );
  assert.equal(
    line("demote-group", { group: "carp", by: 1 }),
    "group carp: carp demote count changed by root: +1",
  );
  assert.equal(line("demote", { reason: "disk", by: 5 }), "demotion: changed by root: demote disk 5");
  assert.equal(line("promote", { reason: "disk" }), "demotion: changed by root: promote disk");
  assert.equal(line("maintenance", { on: true }), "demotion: changed by root: maintenance on");
});

test("a replacement is told of when it changed something", () => {
  const params = { name: "carp0", change: { vhid: 1 } };
  assert.equal(line("replace", params, { changed: true }), "carp0: configured anew by root: vhid 1");
  assert.equal(line("replace", params, { changed: false }), undefined);
  assert.equal(line("replace", { ...params, dryRun: true }, { changed: true }), undefined);
  const together = {
    replacements: ["carp0", "carp1", "carp2", "carp3"].map((name) => ({ ...params, name })),
  };
  const replaced = [
    { name: "carp0", changed: true },
    { name: "carp1", changed: false },
    { name: "carp2", error: "vhid 1 is already used by carp0 on eth0" },
    { name: "carp3", changed: true },
  ];
  const logged = "carp0: configured anew by root: vhid 1; carp3: configured anew by root: vhid 1";
  assert.equal(line("replace-all", together, replaced), logged);
  assert.equal(line("replace-all", together, replaced.slice(1, 3)), undefined);
});

test("a pass is not told", () => {
  const change = { pass: "sesame", advskew: 1 };
  assert.equal(line("change", { name: "carp0", change }), "carp0: changed by root: pass, advskew 1");
});

test("thousands of addresses are a number", () => {
  const change = { removeAddresses: Array.from({ length: 256 }, (_, n) => `10.0.0.${n}`) };
  assert.equal(line("change", { name: "carp0", change }), "carp0: changed by root: 256 addresses removed");
});

test("users have their names where /etc/passwd has them", () => {
  assert.equal(line("create", {}, { name: "carp0" }, 1), "carp0: created by daemon (uid 1)");
  assert.equal(line("create", {}, { name: "carp0" }, NONE), `carp0: created by uid ${NONE}`);
});

test("questions are not told of", () => {
  for (const method of ["hello", "monitor", "interfaces", "doctor", "service-status"] as const)
    assert.equal(line(method, {}), undefined);
});
