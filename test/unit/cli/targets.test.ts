/** The systemd targets that are to be active, by what the engine said last. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Targets } from "../../../src/cli/commands/units/targets.ts";

const carp = (name: string, status: "master" | "backup" | "invalid", advbase = 1) => ({
  name,
  status,
  advbase,
});
const at = (targets: Targets, ms: number) => [...(targets.wanted(ms) ?? ["unknown"])];

describe("the targets that are to be active", () => {
  it("are one for each interface that runs", () => {
    const targets = new Targets(0);
    targets.follow([carp("carp0", "master"), carp("carp1", "backup"), carp("carp2", "invalid")]);
    assert.deepEqual(at(targets, 0), ["carp-master@carp0.target", "carp-backup@carp1.target"]);
    targets.follow([carp("carp0", "backup")]);
    assert.deepEqual(at(targets, 0), ["carp-backup@carp0.target"]);
  });

  it("are of interfaces alone, whatever the engine says", () => {
    const targets = new Targets(0);
    const told = [
      carp("../x", "master"),
      carp("carp0.target dbus.service", "master"),
      carp("--force", "backup"),
    ];
    targets.follow([...told, { ...carp("carp1", "master"), status: "reboot" as "master" }]);
    assert.deepEqual(at(targets, 0), []);
  });

  it("stay, without an engine, as long as the leases can last, and are as a new engine says", () => {
    const targets = new Targets(0);
    const interfaces = [carp("carp0", "master"), carp("carp1", "master", 10), carp("carp2", "master", 0)];
    targets.follow(interfaces);
    targets.engineGone(1000);
    targets.engineGone(2000);
    assert.equal(at(targets, 2499).length, 3);
    assert.deepEqual(at(targets, 2500), ["carp-master@carp0.target", "carp-master@carp1.target"]);
    assert.deepEqual(at(targets, 4000), ["carp-master@carp1.target"]);
    assert.deepEqual(at(targets, 31_000), []);
    targets.follow(interfaces);
    assert.equal(at(targets, 40_000).length, 3);
  });

  it("are not known before an engine answers, which may be starting", () => {
    const targets = new Targets(1000);
    assert.deepEqual(at(targets, 2000), ["unknown"]);
    assert.deepEqual(at(targets, 16_000), []);
  });
});
