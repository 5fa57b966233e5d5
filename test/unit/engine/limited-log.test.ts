/** The rate limit of the engine's log: a burst for each kind, then a line a second about the rest. */

import assert from "node:assert/strict";
import { beforeEach, type TestContext, test } from "node:test";
import { LimitedLog, PROVOKED } from "../../../src/engine/limited-log.ts";

let nowMs: number;
let lines: string[];
let log: LimitedLog;
beforeEach(() => {
  nowMs = 1000;
  lines = [];
  log = new LimitedLog(
    (priority, text) => void lines.push(`<${priority}>${text}`),
    () => nowMs,
  );
});

/** Lets seconds pass, one by one. */
function pass(context: TestContext, seconds: number): void {
  for (let n = 0; n < seconds; n++) {
    nowMs += 1000;
    context.mock.timers.tick(1000);
  }
}

test("lines of one kind: a burst, then the number of lines left out with the last of them", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  for (let n = 0; n < 20; n++) log.line(6, `eth0: rate limit: ${n} dropped`);
  assert.equal(lines.length, 20);
  for (let n = 0; n < 1000; n++) log.line(n === 500 ? 4 : 6, `eth0: rate limit: ${n} dropped`);
  assert.equal(lines.length, 20);
  pass(t, 1);
  assert.deepEqual(lines.splice(0).slice(20), [
    "<4>1000 more lines like these were left out, the last: eth0: rate limit: 999 dropped",
  ]);
});

test("a flood that goes on costs a line a second", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  for (let n = 0; n < 100; n++) {
    for (let each = 0; each < 100; each++) log.line(2, "carp0: state transition: MASTER -> BACKUP");
    pass(t, 1);
  }
  assert.ok(lines.length <= 20 + 101, String(lines.length));
});

test("a single line left out is told as it is", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  for (let n = 0; n <= 20; n++) log.line(3, `same ${n}`);
  pass(t, 1);
  assert.equal(lines.at(-1), "<3>same 20");
});

test("lines keep their fields, and one that stands for several has those of the last", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const told: unknown[] = [];
  log = new LimitedLog(
    (_priority, _text, fields) => void told.push(fields?.vhid),
    () => nowMs,
  );
  for (let n = 0; n < 23; n++) log.line(3, `same ${n}`, undefined, { event: "transition", vhid: n });
  pass(t, 1);
  assert.deepEqual(told, [...Array(20).keys(), 22]);
});

test("the burst is there again after a quiet time", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  for (let n = 0; n < 20; n++) log.line(6, "same");
  pass(t, 20);
  for (let n = 0; n < 20; n++) log.line(6, "same");
  assert.equal(lines.length, 40);
});

test("virtual hosts and interfaces are limited each on its own, whatever the states", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  for (let n = 0; n < 250; n++)
    for (const change of ["INIT -> BACKUP", "BACKUP -> MASTER", "MASTER -> BACKUP"])
      log.line(2, `carp${n}: state transition (vhid ${n % 5}): ${change}`);
  assert.equal(lines.length, 750);
  for (let n = 0; n < 10; n++)
    for (const change of ["BACKUP -> MASTER", "MASTER -> BACKUP"])
      log.line(2, `carp1: state transition (vhid 1): ${change}`);
  assert.equal(lines.length, 750 + 17);
});

test("the demotions of 250 interfaces that go down at once are logged whole", () => {
  for (let n = 1; n <= 250; n++) log.line(3, `demoted by 240 to ${n * 240} (interface down)`);
  for (let n = 1; n <= 250; n++) log.line(3, `carp${n} demoted group carp by 1 to ${n} (carpdev)`);
  assert.equal(lines.length, 500);
});

test("packets that any host can send share a burst of fifty", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  for (let n = 0; n < 100; n++) log.line(6, `carp0: incorrect hash from 10.0.0.${n}`, PROVOKED);
  assert.equal(lines.length, 50);
});

test("whatever the kinds, the whole log has a limit, and memory too", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  let told = 0;
  for (let second = 0; second < 20; second++) {
    for (let n = 0; n < 20_000; n++) log.line(4, `carp${second * 20_000 + n}: something`);
    pass(t, 1);
  }
  pass(t, 10);
  assert.ok(lines.length < 5000 + 20 * 11, String(lines.length));
  for (const line of lines) told += Number(/(\d+) more lines/.exec(line)?.[1] ?? 1);
  assert.equal(told, 400_000);
});
