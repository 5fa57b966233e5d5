/** The order in which clients are served: users in turns, root first. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { Turns } from "../../../../src/engine/control/turns.ts";

function all(turns: Turns<string>): string[] {
  const order: string[] = [];
  for (let next = turns.next(); next !== undefined; next = turns.next()) order.push(next);
  return order;
}

test("users take turns, however many connections each has", () => {
  const turns = new Turns<string>();
  for (const what of ["a1", "a2", "a3", "a4"]) turns.push(1, what);
  for (const what of ["b1", "b2"]) turns.push(2, what);
  turns.push(3, "c1");
  assert.deepEqual(all(turns), ["a1", "b1", "c1", "a2", "b2", "a3", "a4"]);
  assert.equal(turns.isEmpty, true);
});

test("root goes before all others", () => {
  const turns = new Turns<string>();
  for (const what of ["a1", "a2"]) turns.push(1, what);
  for (const what of ["r1", "r2"]) turns.push(0, what);
  assert.equal(turns.next(), "r1");
  turns.push(1, "a3");
  assert.deepEqual(all(turns), ["r2", "a1", "a2", "a3"]);
});

test("who gives up a place is not served, and nothing of it is kept", () => {
  const turns = new Turns<string>();
  for (const what of ["a1", "a2"]) turns.push(1, what);
  turns.push(2, "b1");
  turns.remove(1, "a1");
  turns.remove(2, "b1");
  turns.remove(3, "c1");
  assert.deepEqual(all(turns), ["a2"]);
  assert.equal(turns.isEmpty, true);
});
