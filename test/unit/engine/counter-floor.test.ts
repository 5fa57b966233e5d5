/** Counters over restarts: greater than every one that may have been sent, and rarely ahead of the clock. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { areAhead, counterFloor, countersNow } from "../../../src/engine/state/counter-floor.ts";

const HOUR_US = 3_600_000_000n;
const at = (us: number, epochUs: number) => ({ us, epochUs });

test("after a kill, counters go on by CLOCK_BOOTTIME", () => {
  const counters = countersNow(0n, at(1_000, 5_000_000));
  const now = at(61_000.5, 5_060_000.5);
  const floor = counterFloor(counters, now);
  assert.equal(floor, 5_060_001n);
  assert.equal(areAhead(floor, at(now.us + 1, now.epochUs + 1)), false);
});

test("counters go on from the saved ones after the clock was set back", () => {
  const counters = countersNow(0n, at(1_000, 5_000_000));
  const now = at(61_000, 2_000_000);
  const floor = counterFloor(counters, now);
  assert.equal(floor, 5_060_000n);
  assert.equal(areAhead(floor, now), true);
});

test("counters that were ahead of the clock stay ahead", () => {
  const counters = countersNow(9_000_000n, at(1_000, 5_000_000));
  assert.equal(counterFloor(counters, at(2_000, 5_001_000)), 9_001_000n);
});

test("after a reboot counters go on an hour ahead of the saved ones", () => {
  const counters = countersNow(0n, at(1_000, 5_000_000));
  assert.equal(counterFloor(counters, at(999, 5_001_000)), 5_000_000n + HOUR_US);
});

test("without a saved state counters begin with the system clock at the start", () => {
  assert.equal(counterFloor(undefined, at(1_000, 5_000_000.5)), 5_000_000n);
});
