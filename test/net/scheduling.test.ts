/** How the kernel schedules the engine and its runner. */

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { createNetwork, type Host, type Network } from "../hosts/index.ts";
import { descendantsOf } from "../hosts/processes.ts";

const SCHED_OTHER = 0;
const SCHED_RR = 2;

interface Scheduling {
  readonly policy: number;
  readonly priority: number;
  readonly nice: number;
}

/** The different schedulings of a process's threads. */
function schedulingsOf(pid: number): Scheduling[] {
  const found = new Map<string, Scheduling>();
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    // The name, in parentheses, may contain blanks. Fields are counted from 1 in proc_pid_stat(5).
    const stat = readFileSync(`/proc/${pid}/task/${thread}/stat`, "latin1");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const field = (number: number) => Number(fields[number - 3]);
    const scheduling = { policy: field(41), priority: field(40), nice: field(19) };
    found.set(JSON.stringify(scheduling), scheduling);
  }
  return [...found.values()];
}

describe("the engine's scheduling", () => {
  let lan: Network;
  let a: Host;

  before(async () => {
    lan = await createNetwork();
    a = await lan.host("a", { addresses: ["10.0.0.2/24"] });
  });
  after(() => lan.destroy());

  test("is real-time for every thread, also those that are started later; the runner's is not", async () => {
    const engine = await a.startEngine();
    await a.command("carp0", "10.0.0.1/24", "carpdev", "eth0", "vhid", "1", "pass", "sesame");
    await a.waitForState("carp0", "MASTER");
    assert.deepEqual(schedulingsOf(engine.pid), [{ policy: SCHED_RR, priority: 1, nice: 0 }]);
    const [runner, ...others] = descendantsOf(engine.pid);
    assert.ok(runner !== undefined);
    assert.deepEqual(others, []);
    assert.deepEqual(schedulingsOf(runner), [{ policy: SCHED_OTHER, priority: 0, nice: 0 }]);
    await engine.stop();
  });

  test("is an ordinary one where the kernel refuses that, and it serves", async () => {
    const through = ["setpriv", "--bounding-set", "-sys_nice", "--inh-caps", "-sys_nice"];
    const engine = await a.startEngine({ through });
    await a.command("carp0", "10.0.0.1/24", "carpdev", "eth0", "vhid", "1", "pass", "sesame");
    await a.waitForState("carp0", "MASTER");
    assert.deepEqual(schedulingsOf(engine.pid), [{ policy: SCHED_OTHER, priority: 0, nice: 0 }]);
  });
});
