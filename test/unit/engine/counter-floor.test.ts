/** Counters over restarts: never less than what may have been sent, and hardly ever ahead of the clock. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { areAhead, counterFloor, countersNow } from "../../../src/engine/counter-floor.ts";

const counterCeiling = 10n ** 18n;
const at = (us: number, epochUs: number) => ({ us, epochUs });

test("an engine that was killed is followed by counters from the clock, which was not set", () => {
  const counters = countersNow(0n, at(1_000, 5_000_000));
  const now = at(61_000.5, 5_060_000.5);
  const floor = counterFloor({ counters, counterCeiling }, now);
  assert.equal(floor, 5_060_001n);
  assert.equal(areAhead(floor, at(now.us + 1, now.epochUs + 1)), false);
});

test("a clock that was set back since is not believed", () => {
  const counters = countersNow(0n, at(1_000, 5_000_000));
  const now = at(61_000, 2_000_000);
  const floor = counterFloor({ counters, counterCeiling }, now);
  assert.equal(floor, 5_060_000n);
  assert.equal(areAhead(floor, now), true);
});

test("counters that were ahead of the clock stay ahead", () => {
  const counters = countersNow(9_000_000n, at(1_000, 5_000_000));
  assert.equal(counterFloor({ counters, counterCeiling }, at(2_000, 5_001_000)), 9_001_000n);
});

test("after a boot, and after an engine that saved no more, the ceiling holds", () => {
  const counters = countersNow(0n, at(1_000, 5_000_000));
  assert.equal(counterFloor({ counters, counterCeiling }, at(999, 5_001_000)), counterCeiling);
  assert.equal(counterFloor({ counterCeiling }, at(2_000, 5_001_000)), counterCeiling);
});

test("without anything saved it is the clock's time at the start, wherever the clock is set to then", () => {
  assert.equal(counterFloor(undefined, at(1_000, 5_000_000.5)), 5_000_000n);
});
