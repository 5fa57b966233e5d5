/** Indexes as ranges, against a plain set. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { IndexRanges } from "../../../src/kernel/netlink/index-ranges.ts";

const MANY = 1000;

test("indexes that come and go are ranges of consecutive ones", () => {
  const ranges = new IndexRanges();
  for (const index of [5, 3, 4, 9, 4]) ranges.add(index);
  assert.deepEqual(ranges.atMost(MANY), [
    { from: 3, to: 5 },
    { from: 9, to: 9 },
  ]);
  for (const index of [4, 9, 100]) ranges.delete(index);
  assert.deepEqual(ranges.atMost(MANY), [
    { from: 3, to: 3 },
    { from: 5, to: 5 },
  ]);
});

test("whatever comes and goes, the ranges hold it and nothing else", () => {
  const ranges = new IndexRanges();
  const known = new Set<number>();
  let seed = 1;
  const random = (below: number) => {
    seed = (seed * 1103515245 + 12345) % 2 ** 31;
    return (seed >> 8) % below;
  };
  for (let n = 0; n < 3000; n++) {
    const index = 1 + random(200);
    if (random(2) === 0) {
      ranges.add(index);
      known.add(index);
    } else {
      ranges.delete(index);
      known.delete(index);
    }
    const held = ranges
      .atMost(MANY)
      .flatMap(({ from, to }) => Array.from({ length: to - from + 1 }, (_, i) => from + i));
    assert.deepEqual(
      held,
      [...known].toSorted((a, b) => a - b),
    );
    assert.equal(ranges.has(index), known.has(index));
  }
});

test("where there are too many ranges, the narrowest gaps are filled", () => {
  const ranges = new IndexRanges();
  for (const index of [1, 3, 10, 12, 50]) ranges.add(index);
  assert.deepEqual(ranges.atMost(3), [
    { from: 1, to: 3 },
    { from: 10, to: 12 },
    { from: 50, to: 50 },
  ]);
  assert.deepEqual(ranges.atMost(1), [{ from: 1, to: 50 }]);
  assert.deepEqual(new IndexRanges().atMost(3), []);
});
