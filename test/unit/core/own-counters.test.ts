/** The counters of our own advertisements: which are known when they come back, and for how long. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { CounterWindow } from "../../../src/core/counters/counter-window.ts";
import { CountingOn } from "../../../src/core/counters/counting-on.ts";
import { OwnCounters } from "../../../src/core/counters/own-counters.ts";

const EPOCH_US = 1_790_000_000_000_000;
const FIELDS = { advbase: 1, advskew: 0, demote: 0 };
const STYLE = { tag: 7, signed: false };

for (const [rate, seconds] of [
  ["every second, the latest 16", 1],
  ["256 times a second, those of ten seconds", 1 / 256],
] as const)
  test(`counters are known as ours when they come back, and not kept for ever: ${rate}`, () => {
    const at = (n: number) => ({ us: n * seconds * 1e6, epochUs: EPOCH_US + n * seconds * 1e6 });
    const own = new OwnCounters(0n, at(0));
    const first = own.next(FIELDS, STYLE, at(0));
    const known = Math.max(15, 10 / seconds);
    for (let n = 1; n <= known; n++) own.next(FIELDS, STYLE, at(n));
    assert.equal(own.has(first), true);
    for (let n = known + 1; n <= known * 1.2 + 8; n++) own.next(FIELDS, STYLE, at(n));
    assert.equal(own.has(first), false);
  });

test("a counter is known as ours after counters of the other format", () => {
  const own = new OwnCounters(0n, { us: 0, epochUs: EPOCH_US });
  const counters = [true, false, true].map((signed, n) =>
    own.next(FIELDS, { ...STYLE, signed }, { us: n * 1e6, epochUs: EPOCH_US + n * 1e6 }),
  );
  assert.deepEqual(
    counters.map((counter) => own.has(counter)),
    [true, true, true],
  );
  assert.equal(own.has((counters[0] ?? 0n) - 1n), false);
});

test("signed counters of two hosts that made the same one differ after three collisions, however late the next ones are", () => {
  for (const [one, other] of [
    [2, 3],
    [2, 2 + 8],
    [2, 2 + 64],
  ] as const)
    for (const laterUs of [0, 100_000, 60_000_000]) {
      const at = (n: number) => ({ us: n * laterUs, epochUs: EPOCH_US + n * laterUs });
      const hosts = [one, other].map((tag) => ({
        own: new OwnCounters(0n, at(0)),
        style: { tag, signed: true },
      }));
      const next = (n: number) => new Set(hosts.map(({ own, style }) => own.next(FIELDS, style, at(n)))).size;
      let collisions = 0;
      while (collisions < 4 && next(collisions) === 1) {
        for (const { own, style } of hosts) own.collided(style.tag);
        collisions++;
      }
      assert.ok(collisions <= 3, `${collisions} collisions of ${one} and ${other}, each ${laterUs} us later`);
    }
});

test("of the counters that another implementation may count on from, the latest 512 are kept", () => {
  const countingOn = new CountingOn();
  const counter = (n: number) => BigInt(EPOCH_US + n * 1_000_192);
  for (let n = 0; n < 3000; n++) countingOn.noteOurs(counter(n));
  assert.equal(countingOn.fromOurs(counter(2999) + 1n), true);
  assert.equal(countingOn.fromOurs(counter(2999)), false);
  assert.equal(countingOn.fromOurs(counter(2999) + 256n), false);
  assert.equal(countingOn.fromOurs(counter(2488) + 255n), true);
  assert.equal(countingOn.fromOurs(counter(2487) + 1n), false);
});

test("a host that counts by one is not taken for ours when it comes by a tag after as long as its counters say", () => {
  const window = new CounterWindow(undefined, -1n, () => {});
  const reader = { defence: { strict: false, signed: false }, tag: 4, clockUs: EPOCH_US + 3600e6 };
  const hear = (counter: bigint, seconds: number) => {
    const heard = { ...FIELDS, family: 4, source: "10.0.0.2", counter, receivedUs: seconds * 1e6 } as const;
    assert.deepEqual(Object.keys(window.judge(heard, reader)).includes("refusal"), false);
  };
  const first = (BigInt(EPOCH_US) / 256n) * 256n + 9n;
  const second = first + 256n * 3_906_250n; // 1000 s
  hear(first, 0);
  for (let n = 3; n >= 0; n--) hear(second - BigInt(n), 1000 - 10 * n);
  assert.deepEqual(window.state?.hosts ?? [], []);
});

test("counters of ours may be noted in any order", () => {
  const countingOn = new CountingOn();
  for (const step of [5, 1, 4, 4, 2, 3]) countingOn.noteOurs(BigInt(EPOCH_US + step * 1000));
  for (const step of [1, 2, 3, 4, 5]) {
    assert.equal(countingOn.fromOurs(BigInt(EPOCH_US + step * 1000)), false);
    assert.equal(countingOn.fromOurs(BigInt(EPOCH_US + step * 1000 + 3)), true);
    assert.equal(countingOn.fromOurs(BigInt(EPOCH_US + step * 1000 - 3)), false);
  }
});
