/** Repairs while another program undoes them: allowed at once, then spaced out, then at once again. */

import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";
import { RepairBackoff } from "../../../src/kernel/repair-backoff.ts";

let said: string[];
let tries: number;
let nowMs: number;
let backoff: RepairBackoff;

beforeEach(() => {
  mock.timers.enable({ apis: ["setTimeout"] });
  said = [];
  tries = 0;
  nowMs = 1000;
  mock.method(performance, "now", () => nowMs);
  backoff = new RepairBackoff({
    subject: "carp0",
    complain: (text) => said.push(text),
    again: () => {
      tries += 1;
    },
  });
});
afterEach(() => {
  backoff.close();
  mock.timers.reset();
  mock.restoreAll();
});

function pass(ms: number): void {
  nowMs += ms;
  mock.timers.tick(ms);
}

const COMPLAINT =
  "carp0: changed again (address 10.0.0.1 was removed) after 5 repairs in 10 s:" +
  " another program keeps changing it; it is repaired less often from now on";
const QUIET = "carp0: left alone for 10 s: changes are undone at once again";

/** Another program changes it after every repair, for so long. @returns the number of repairs */
function fight(ms: number): number {
  let repairs = 0;
  for (const endMs = nowMs + ms; nowMs < endMs; pass(10))
    while (backoff.allows(["address 10.0.0.1 was removed"])) repairs += 1;
  return repairs;
}

test("five repairs in ten seconds are made at once, however close together", () => {
  const allowed = Array.from({ length: 6 }, () => backoff.allows(["address 10.0.0.1 was removed"]));
  assert.deepEqual(allowed, [true, true, true, true, true, false]);
  assert.deepEqual(said, [COMPLAINT]);
});

test("repairs that are far apart never end", () => {
  for (let n = 0; n < 50; n += 1) {
    assert.equal(backoff.allows([]), true);
    pass(2001);
  }
  assert.deepEqual(said, []);
});

test("while another program undoes repairs for a minute, there are few of them and one complaint", () => {
  const repairs = fight(60_000);
  // Five, then after 0.1, 0.2, 0.4 s and so on, at last every five.
  assert.equal(repairs, 5 + 6 + 10);
  assert.equal(tries, repairs - 5);
  assert.deepEqual(said, [COMPLAINT]);
});

test("the end of a backoff is told of once, and repairs are allowed at once again", () => {
  fight(20_000);
  pass(16_000);
  assert.deepEqual(said, [COMPLAINT, QUIET]);
  pass(60_000);
  assert.equal(said.length, 2);
  assert.equal(fight(90), 5);
  assert.deepEqual(said, [COMPLAINT, QUIET, COMPLAINT]);
});

test("tries that no other program caused are spaced out without a complaint; what one undoes then is told of", () => {
  const allowed = Array.from({ length: 6 }, () => backoff.allows([]));
  assert.deepEqual(allowed, [true, true, true, true, true, false]);
  pass(16_000);
  assert.deepEqual(said, []);
  for (let n = 0; n < 6; n += 1) backoff.allows([]);
  pass(100);
  assert.equal(backoff.allows(["address 10.0.0.1 was removed"]), true);
  pass(16_000);
  assert.deepEqual(said, [COMPLAINT, QUIET]);
});

test("nothing is said after it was closed", () => {
  fight(1000);
  backoff.close();
  pass(60_000);
  assert.deepEqual(said, [COMPLAINT]);
  const before = tries;
  pass(60_000);
  assert.equal(tries, before);
});
