/** The order in which hooks hear of changes, and which changes they may miss. */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Transition } from "../../../src/core/effect.ts";
import type { VirtualHostState } from "../../../src/core/model.ts";
import { Hooks } from "../../../src/engine/scripts/hooks.ts";
import { Run } from "../../../src/engine/scripts/runner/messages.ts";
import type { Job, Ran } from "../../../src/engine/scripts/runner/runner.ts";

const DONE: Ran = { results: [] };

/** Hooks that run when the test says so. */
function made() {
  const running: { words: string; end: (ran: Ran) => void }[] = [];
  const lines: string[] = [];
  const hooks = new Hooks({
    exist: () => true,
    log: (priority, text) => lines.push(`${priority} ${text}`),
    run: (job: Job) =>
      new Promise((end) => {
        assert.ok(job.kind === "hooks");
        const { CARP_INTERFACE, CARP_VHID, CARP_PREVIOUS_STATE, CARP_STATE } = job.change;
        running.push({ words: `${CARP_INTERFACE} ${CARP_VHID} ${CARP_PREVIOUS_STATE} ${CARP_STATE}`, end });
      }),
  });
  const change = (name: string, vhid: number, from: VirtualHostState, to: VirtualHostState) =>
    hooks.note({
      interface: name,
      vhid,
      from,
      to,
      reason: { kind: "forced" },
      addresses: [],
    } satisfies Transition);
  /** Ends what runs until nothing does. @returns all that was told */
  const drain = async () => {
    const told: string[] = [];
    for (await settled(); running.length > 0; await settled()) {
      const [first] = running.splice(0, 1);
      told.push(first?.words ?? "");
      first?.end(DONE);
    }
    return told;
  };
  return { hooks, running, lines, change, drain };
}

const settled = () => new Promise<void>((resolve) => setImmediate(() => setImmediate(resolve)));

test("hooks are told the addresses, unless these are more than a variable may hold", async () => {
  const told: (string | undefined)[] = [];
  const hooks = new Hooks({
    exist: () => true,
    log: () => assert.fail(),
    run: async (job: Job) => {
      assert.ok(job.kind === "hooks");
      told.push(job.change.CARP_ADDRESSES);
      assert.ok(Run.safeParse({ id: 1, ...job }).success);
      return DONE;
    },
  });
  const change = {
    interface: "carp0",
    vhid: 1,
    from: "BACKUP",
    to: "MASTER",
    reason: { kind: "forced" },
  } as const;
  for (const count of [2, 8192]) {
    const addresses = Array.from({ length: count }, (_, n) => `2001:db8::${(n + 4096).toString(16)}`);
    hooks.note({
      ...change,
      addresses: addresses.map((address) => ({ family: 6, address, prefixLength: 64 })),
    });
    await hooks.idle();
  }
  assert.deepEqual(told, ["2001:db8::1000/64 2001:db8::1001/64", undefined]);
});

test("nothing runs in the turn in which the change was made", () => {
  const { running, change } = made();
  change("carp0", 1, "BACKUP", "MASTER");
  assert.equal(running.length, 0);
});

test("one change of an interface at a time, several interfaces together", async () => {
  const { hooks, running, change, drain } = made();
  change("carp0", 1, "INIT", "BACKUP");
  change("carp0", 2, "INIT", "BACKUP");
  change("carp1", 3, "INIT", "BACKUP");
  await settled();
  assert.deepEqual(
    running.map(({ words }) => words),
    ["carp0 1 INIT BACKUP", "carp1 3 INIT BACKUP"],
  );
  assert.deepEqual(await drain(), ["carp0 1 INIT BACKUP", "carp1 3 INIT BACKUP", "carp0 2 INIT BACKUP"]);
  await hooks.idle();
});

test("hooks that are behind miss the oldest changes of the virtual host that changes most, never a last one", async () => {
  const { hooks, lines, change, drain } = made();
  change("carp0", 2, "INIT", "BACKUP");
  change("carp0", 1, "INIT", "BACKUP");
  for (let n = 0; n < 20; n++) {
    change("carp0", 1, "BACKUP", "MASTER");
    change("carp0", 1, "MASTER", "BACKUP");
  }
  change("carp0", 2, "BACKUP", "MASTER");
  const told = await drain();
  assert.equal(told[0], "carp0 2 INIT BACKUP");
  assert.deepEqual(
    told.slice(1, -1),
    Array(4).fill(["carp0 1 BACKUP MASTER", "carp0 1 MASTER BACKUP"]).flat(),
  );
  assert.equal(told.at(-1), "carp0 2 BACKUP MASTER");
  assert.equal(lines.length, 33);
  assert.equal(lines[0], "4 hooks are too slow and miss carp0 vhid 1: INIT -> BACKUP");
  await hooks.idle();
});

test("a change that was interrupted is told once more, and not again", async () => {
  const { hooks, running, lines, change } = made();
  change("carp0", 1, "BACKUP", "MASTER");
  for (let attempt = 0; attempt < 2; attempt++) {
    await settled();
    assert.equal(running.length, 1);
    running.pop()?.end({ interrupted: "it died", again: true });
  }
  await hooks.idle();
  assert.equal(running.length, 0);
  assert.deepEqual(
    lines,
    Array(2).fill("3 hooks for carp0 vhid 1: BACKUP -> MASTER did not run to their end: it died"),
  );
});

test("a MASTER that was contested is told with its event, once while that waits", async () => {
  const told: string[] = [];
  const hooks = new Hooks({
    exist: () => true,
    log: () => assert.fail(),
    run: async (job: Job) => {
      assert.ok(job.kind === "hooks" && Run.safeParse({ id: 1, ...job }).success);
      const { CARP_EVENT, CARP_PREVIOUS_STATE, CARP_STATE } = job.change;
      told.push(`${CARP_EVENT} ${CARP_PREVIOUS_STATE} ${CARP_STATE}`);
      return DONE;
    },
  });
  const node = { interface: "carp0", vhid: 1, addresses: [] };
  hooks.note({ ...node, from: "BACKUP", to: "MASTER", reason: { kind: "forced" } });
  for (let n = 0; n < 3; n++) hooks.noteContest({ ...node, source: "10.0.0.9" });
  await hooks.idle();
  assert.deepEqual(told, ["transition BACKUP MASTER", "contested MASTER MASTER"]);
});

test("an engine that stops tells nothing twice", async () => {
  const { hooks, running, change } = made();
  change("carp0", 1, "BACKUP", "MASTER");
  await settled();
  running.pop()?.end({ interrupted: "the engine is stopping", again: false });
  await hooks.idle();
  assert.equal(running.length, 0);
});
