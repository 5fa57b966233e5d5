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

test("a file with a duplicate reason or group is not used", async () => {
  const reason = { reason: "maintenance", by: 240 };
  const group = { name: "carp", carpDemoteCount: 1 };
  assert.equal(await refusal({ reasons: [reason], groups: [group] }), "it is used");
  assert.equal(await refusal({ reasons: [reason, reason] }), "duplicate reason");
  assert.equal(await refusal({ groups: [group, group] }), "duplicate group");
});
