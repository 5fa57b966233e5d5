/** Work in slices: in order, each thing once, and with the event loop in between. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { Slices } from "../../../src/kernel/slices.ts";

test("what takes long is handled in several turns, in order", async () => {
  const handled: number[] = [];
  const slices = new Slices<number>((each) => {
    handled.push(each);
    for (const untilMs = performance.now() + 1; performance.now() < untilMs; );
  }, queueMicrotask);
  for (const each of [1, 2, 3, 4, 5, 6, 7, 8, 1]) slices.add(each);
  assert.deepEqual(handled, []);
  await Promise.resolve();
  assert.ok(handled.length < 4, String(handled));
  slices.delete(7);
  for (let turns = 0; turns < 20; turns++) await turn();
  assert.deepEqual(handled, [1, 2, 3, 4, 5, 6, 8]);
  slices.add(9);
  slices.clear();
  await turn();
  assert.equal(handled.length, 7);
});
