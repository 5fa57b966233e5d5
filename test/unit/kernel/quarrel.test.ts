import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";
import { Quarrel } from "../../../src/kernel/quarrel.ts";

let said: string[];
let tries: number;
let nowMs: number;
let quarrel: Quarrel;

beforeEach(() => {
  mock.timers.enable({ apis: ["setTimeout"] });
  said = [];
  tries = 0;
  nowMs = 1000;
  mock.method(performance, "now", () => nowMs);
  quarrel = new Quarrel({
    subject: "carp0",
    complain: (text) => said.push(text),
    again: () => {
      tries += 1;
    },
  });
});
afterEach(() => {
  quarrel.close();
  mock.timers.reset();
  mock.restoreAll();
});

function pass(ms: number): void {
  nowMs += ms;
  mock.timers.tick(ms);
}

const COMPLAINT =
  "carp0: changed again (address 10.0.0.1 was removed) after 5 repairs in 10 s:" +
  " somebody else keeps changing it; it is put right less often from now on";
const QUIET = "carp0: left alone for 10 s: what somebody changes is put right at once again";

/** Somebody changes it as soon as it is put right, for so long. @returns how often it was put right */
function fight(ms: number): number {
  let repairs = 0;
  for (const endMs = nowMs + ms; nowMs < endMs; pass(10))
    while (quarrel.allows(["address 10.0.0.1 was removed"])) repairs += 1;
  return repairs;
}

test("five repairs in ten seconds are made at once, however close together", () => {
  const allowed = Array.from({ length: 6 }, () => quarrel.allows(["address 10.0.0.1 was removed"]));
  assert.deepEqual(allowed, [true, true, true, true, true, false]);
  assert.deepEqual(said, [COMPLAINT]);
});

test("repairs that are far apart never end", () => {
  for (let n = 0; n < 50; n += 1) {
    assert.equal(quarrel.allows([]), true);
    pass(2001);
  }
  assert.deepEqual(said, []);
});

test("in a quarrel of a minute there are few repairs, and one complaint", () => {
  const repairs = fight(60_000);
  // Five, then after 0.1, 0.2, 0.4 s and so on, at last every five.
  assert.equal(repairs, 5 + 6 + 10);
  assert.equal(tries, repairs - 5);
  assert.deepEqual(said, [COMPLAINT]);
});

test("a quarrel that is over is told of once, and all is as before it", () => {
  fight(20_000);
  pass(16_000);
  assert.deepEqual(said, [COMPLAINT, QUIET]);
  pass(60_000);
  assert.equal(said.length, 2);
  assert.equal(fight(90), 5);
  assert.deepEqual(said, [COMPLAINT, QUIET, COMPLAINT]);
});

test("nothing is said after it was closed", () => {
  fight(1000);
  quarrel.close();
  pass(60_000);
  assert.deepEqual(said, [COMPLAINT]);
  const before = tries;
  pass(60_000);
  assert.equal(tries, before);
});
