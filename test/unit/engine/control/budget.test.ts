/** The budget of users without rights: a share of the time, kept up to a second's. */

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { Budget } from "../../../../src/engine/control/budget.ts";

let nowMs: number;
let budget: Budget;
beforeEach(() => {
  nowMs = 1000;
  budget = new Budget(0.05, () => nowMs);
});

test("a second's share can be spent at once", () => {
  budget.charge(49);
  assert.equal(budget.waitMs, 0);
  budget.charge(1);
  assert.ok(budget.waitMs > 0);
});

test("what was overdrawn is paid back before the next step", () => {
  budget.charge(50 + 10);
  // 10 ms of debt and 1 ms to go on with, at 5 %.
  assert.equal(budget.waitMs, 220);
  nowMs += 199;
  assert.ok(budget.waitMs > 0);
  nowMs += 21;
  assert.equal(budget.waitMs, 0);
});

test("over a long time they get five percent", () => {
  let spentMs = 0;
  const endMs = nowMs + 100_000;
  while (nowMs < endMs) {
    nowMs += budget.waitMs;
    budget.charge(0.7);
    spentMs += 0.7;
    nowMs += 0.7;
  }
  assert.ok(spentMs > 4900 && spentMs < 5100, String(spentMs));
});

test("unused time is not kept for longer than a second", () => {
  nowMs += 3_600_000;
  budget.charge(51);
  assert.ok(budget.waitMs > 0);
});
