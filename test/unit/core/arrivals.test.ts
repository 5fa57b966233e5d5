/** Which of a peer's advertisements have not arrived: by the time between those that have, and by their counters. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { Peers } from "../../../src/core/election/peers.ts";
import type { Heard, Micros } from "../../../src/core/model.ts";

const SECOND: Micros = 1_000_000;
const EPOCH_US = 1_790_000_000n * BigInt(SECOND);

type Word = Partial<Heard> & Pick<Heard, "counter" | "receivedUs">;

/** `missing of sent in gaps` of a host that sent these; undefined: all have arrived. */
function arrivals(words: readonly Word[], source = "10.0.0.3"): string | undefined {
  const peers = new Peers();
  for (const word of words) peers.heard({ family: 4, source, advbase: 1, advskew: 0, demote: 0, ...word });
  const view = peers.view().find((each) => each.source === source)?.arrivals;
  return view && `${view.missing} of ${view.sent} in ${view.gaps}`;
}

/** Of every three the second is lost. */
const TWO_OF_THREE = Array.from({ length: 30 }, (_, n) => n).filter((n) => n % 3 !== 1);

/** At the seconds given, with the counters of a kind of host. */
const at = (seconds: readonly number[], counter: (n: number) => bigint, more: Partial<Heard> = {}) =>
  seconds.map((n) => ({ counter: counter(n), receivedUs: Math.round(n * SECOND), ...more }));

const ours = (n: number) => EPOCH_US + BigInt(Math.round(n * SECOND));

const COUNTERS: Readonly<Record<string, (n: number) => bigint>> = {
  ours,
  "OpenBSD's": () => 77n,
  "FreeBSD's, which has heard no other": (n) => BigInt(n) * 0x9e37_79b9_7f4an,
  "ucarp's, which counts by one": (n) => 77n + BigInt(Math.round(n)),
};

for (const [whose, counter] of Object.entries(COUNTERS))
  test(`a third is missing, counters are ${whose}`, () => {
    assert.equal(arrivals(at(TWO_OF_THREE, counter)), "10 of 29 in 10");
    assert.equal(arrivals(at([0, 1, 2, 3, 4, 5], counter)), undefined);
  });

test("a host that pauses sends none meanwhile: it does not come back to its beat, and counts only what it sends", () => {
  const pauses = [0, 1, 2.6, 3.6, 5, 6, 8.5, 9.5];
  assert.equal(arrivals(at(pauses, ours)), undefined);
  const slow = [0, 2, 4, 6, 8];
  assert.equal(arrivals(at(slow, (n) => BigInt(n / 2))), undefined);
});

test("a restart or a long absence is no loss, nor is a change of the interval", () => {
  assert.equal(arrivals(at([0, 1, 2, 90, 91], ours)), undefined);
  const slower = at([2, 4, 6], ours, { advbase: 2 });
  assert.equal(arrivals([...at([0, 1], ours), ...slower]), undefined);
});

test("a timer that is too coarse for the interval is no loss, but a host of ours is punctual", () => {
  const quick = { advbase: 0, advskew: 1 };
  // Every third tick of 1/256 s.
  const seconds = Array.from({ length: 20 }, (_, n) => (3 * n) / 256);
  assert.equal(arrivals(at(seconds, () => 77n, quick)), undefined);
  assert.equal(arrivals(at(seconds, ours, quick)), "38 of 57 in 19");
});

test("a host that counts by one does so for each family", () => {
  const both = (seconds: readonly number[], lost: (n: number) => boolean) => {
    const words = seconds.flatMap((n, sent) => {
      const counter = 2n * BigInt(sent);
      const receivedUs = n * SECOND;
      return [
        { counter, receivedUs },
        { family: 6 as const, source: "fe80::3", counter: counter + 1n, receivedUs },
      ].filter(() => !lost(sent));
    });
    return arrivals(words);
  };
  assert.equal(
    both([0, 2, 4, 6, 8, 10], () => false),
    undefined,
  );
  assert.equal(
    both([0, 1, 2, 3, 4, 5, 6], (sent) => sent % 2 === 1),
    "3 of 6 in 3",
  );
});

test("what is missing is forgotten when many have arrived since", () => {
  const loses = at(TWO_OF_THREE, ours);
  const after = (count: number) =>
    arrivals([
      ...loses,
      ...at(
        Array.from({ length: count }, (_, n) => 30 + n),
        ours,
      ),
    ]);
  assert.equal(after(10), "10 of 39 in 10");
  assert.equal(after(80), undefined);
});
