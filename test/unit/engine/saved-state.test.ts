/** Saved-state files that no engine writes: they are not used. */

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { StateFile } from "../../../src/engine/state/saved-state.ts";
import { makeDirectory, removeDirectory } from "../../hosts/resources.ts";

const directory = makeDirectory("state");
after(() => removeDirectory(directory));

async function refusal(changed: object): Promise<string> {
  const path = join(directory, "state.json");
  const counters = { upTo: "0", atUs: 0 };
  const nothing = { format: 1, counters, interfaces: [], sysctl: [], groups: [], reasons: [] };
  writeFileSync(path, JSON.stringify({ ...nothing, ...changed }), { mode: 0o600 });
  const loaded = await new StateFile(directory).load();
  assert.ok(loaded !== undefined);
  return "unusable" in loaded ? loaded.unusable.slice(path.length + 2) : "it is used";
}

test("a file with an unknown, duplicate or out-of-range variable is not used", async () => {
  const dscp = { name: "net.inet.carp.dscp", value: 63 };
  assert.equal(await refusal({ sysctl: [dscp] }), "it is used");
  assert.equal(await refusal({ sysctl: [{ ...dscp, value: 64 }] }), "net.inet.carp.dscp 64: must be 0..63");
  assert.equal(await refusal({ sysctl: [{ ...dscp, value: -1 }] }), "net.inet.carp.dscp -1: must be 0..63");
  assert.equal(await refusal({ sysctl: [{ name: "net.inet.carp.dscq", value: 1 }] }), "unknown variable");
  assert.equal(await refusal({ sysctl: [dscp, dscp] }), "duplicate variable");
});

test("a grace is restored, its passes too, and not when it is garbled", async () => {
  const former = { pass: "old", addresses: ["10.0.0.1", "fe80::1"], untilUs: 5 };
  const grace = { interface: "carp0", formers: [former], signs: 0, changesOverUs: 3 };
  assert.equal(await refusal({ graces: [grace] }), "it is used");
  assert.equal(await refusal({ graces: [grace, grace] }), "duplicate grace");
  const garbled = { ...grace, formers: [{ ...former, addresses: ["10.0.0"] }] };
  assert.equal(await refusal({ graces: [garbled] }), "garbled address");
});

test("a file with a duplicate reason or group is not used", async () => {
  const reason = { reason: "maintenance", by: 240 };
  const group = { name: "carp", carpDemoteCount: 1 };
  assert.equal(await refusal({ reasons: [reason], groups: [group] }), "it is used");
  assert.equal(await refusal({ reasons: [reason, reason] }), "duplicate reason");
  assert.equal(await refusal({ groups: [group, group] }), "duplicate group");
});

test("unicast peers are read as a list, and as the one address that earlier versions wrote", async () => {
  const saved = {
    name: "carp0",
    up: true,
    nodes: [],
    advbase: 1,
    pass: "",
    balancing: "none",
    groups: [],
    addresses: [],
  };
  const peersOf = async (peers: object) => {
    const used = await refusal({ interfaces: [{ ...saved, ...peers }] });
    const loaded = await new StateFile(directory).load();
    if (loaded === undefined || "unusable" in loaded) return used;
    const [{ carppeer, carppeer6 } = {}] = loaded.configuration.interfaces;
    return [carppeer, carppeer6];
  };
  assert.deepEqual(await peersOf({}), [undefined, undefined]);
  assert.deepEqual(await peersOf({ carppeer: "10.0.0.3", carppeer6: "2001:db8::3" }), [
    ["10.0.0.3"],
    ["2001:db8::3"],
  ]);
  assert.deepEqual(await peersOf({ carppeer: ["10.0.0.3", "10.0.0.2"] }), [
    ["10.0.0.3", "10.0.0.2"],
    undefined,
  ]);
  assert.equal(await peersOf({ carppeer: [] }), "carppeer: expected 1..31 addresses");
  assert.equal(await peersOf({ carppeer: "fe80::3" }), "carppeer fe80::3: not an IPv4 address");
  assert.equal(
    await peersOf({ carppeer: ["10.0.0.3", "10.0.0.3"] }),
    "carppeer 10.0.0.3,10.0.0.3: duplicate 10.0.0.3",
  );
});
