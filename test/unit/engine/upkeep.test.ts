/** Upkeep runs behind other work, or by itself when there is none for long. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { Upkeep } from "../../../src/engine/upkeep.ts";
import type { Alarms } from "../../../src/kernel/kernel.ts";

/** Alarms that ring when they are told to. */
function createAlarms(): Alarms & { ring(): void } {
  let last = () => {};
  return {
    set: (_, ring) => {
      last = ring;
      return () => {};
    },
    ring: () => last(),
  };
}

test("upkeep runs behind an alarm's work once it is due, and without an alarm when it is overdue", async (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  let nowMs = 0;
  context.mock.method(performance, "now", () => nowMs);
  const pass = (ms: number) => {
    nowMs += ms;
    context.mock.timers.tick(ms);
  };
  const done: string[] = [];
  const upkeep = new Upkeep();
  upkeep.add(() => done.push("one"));
  upkeep.add(() => done.push("two"));
  const alarms = createAlarms();
  upkeep.behind(alarms).set(0, () => done.push("alarm"));
  const take = async () => {
    for (let n = 0; n < 4; n++) await turn();
    return done.splice(0);
  };
  const rings = () => {
    alarms.ring();
    return take();
  };

  pass(1000);
  assert.deepEqual(await rings(), ["alarm"]);
  pass(1500);
  assert.deepEqual(await rings(), ["alarm", "one", "two"]);
  pass(1000);
  assert.deepEqual(await rings(), ["alarm"]);
  pass(2500);
  assert.deepEqual(await take(), []);
  pass(200);
  assert.deepEqual(await take(), ["one", "two"]);
  pass(3600);
  assert.deepEqual(await take(), ["one", "two"]);
});

test("each work has a turn of its own: what is due comes in between", async (context) => {
  let nowMs = 0;
  context.mock.method(performance, "now", () => nowMs);
  const done: string[] = [];
  const upkeep = new Upkeep();
  const { promise, resolve } = Promise.withResolvers<void>();
  upkeep.add(() => {
    done.push("one");
    setImmediate(() => done.push("due"));
  });
  upkeep.add(() => done.push("two"));
  upkeep.add(resolve);
  const alarms = createAlarms();
  upkeep.behind(alarms).set(0, () => {});
  nowMs = 3000;
  alarms.ring();
  await promise;
  assert.deepEqual(done, ["one", "due", "two"]);
});
