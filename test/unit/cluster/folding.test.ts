/** Folding in a simulated host: advertisements that repeat one that may wait do so until something else is said. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { Folding } from "../../../src/cluster/plan/folding.ts";

const FRAME_BYTES = { 4: 70, 6: 90 } as const;

/** A frame whose advertisement has these fields, and 0 in all others. */
function frame(vhid: number, counter: bigint, { family = 4 as 4 | 6, demote = 0, digest = 1 } = {}) {
  const bytes = Buffer.alloc(FRAME_BYTES[family]);
  bytes.writeUInt16BE(family === 4 ? 0x0800 : 0x86dd, 12);
  const at = bytes.length - 36;
  bytes[at + 1] = vhid;
  bytes[at + 4] = demote;
  bytes.writeBigUInt64BE(counter, at + 8);
  bytes[at + 16] = digest;
  return bytes;
}

const copyOf = (counter: bigint, receivedUs: number) => ({ counter, receivedUs });

test("a frame that repeats another waits, whatever its counter and digest; one that says something else does not", () => {
  const folding = new Folding();
  const take = (bytes: Uint8Array, receivedUs = 200, carpdev = "eth0") =>
    folding.take(carpdev, bytes, { receivedUs });
  folding.fold("eth0", frame(7, 10n));
  assert.equal(take(frame(7, 11n, { digest: 2 }), 100), undefined);
  const waited = [{ carpdev: "eth0", vhid: 7, family: 4, copies: [copyOf(11n, 100)] }];
  assert.deepEqual(take(frame(8, 12n)), []);
  assert.deepEqual(take(frame(7, 12n), 200, "eth1"), []);
  assert.deepEqual(take(frame(7, 12n, { family: 6 })), waited);
  for (const other of [frame(7, 13n, { demote: 1 }), frame(7, 12n)]) {
    folding.fold("eth0", frame(7, 10n));
    assert.equal(take(frame(7, 12n), 100), undefined);
    assert.deepEqual(take(other), [{ ...waited[0], copies: [copyOf(12n, 100)] }]);
    // Nothing waits until it is expected anew.
    assert.deepEqual(take(frame(7, 14n)), []);
  }
});

test("a frame waits only if its counter is no less than those that were heard over the other family", () => {
  for (const isFolded of [true, false]) {
    const folding = new Folding();
    const take = (counter: bigint, family: 4 | 6) =>
      folding.take("eth0", frame(7, counter, { family }), { receivedUs: Number(counter) });
    folding.fold("eth0", frame(7, 10n, { family: 6 }));
    if (isFolded) folding.fold("eth0", frame(7, 10n));
    assert.equal(take(11n, 6), undefined);
    // The same advertisement over both families, in either order, and one over IPv4 that is far ahead.
    take(11n, 4);
    take(12n, 4);
    assert.equal(take(12n, 6), undefined);
    take(90n, 4);
    assert.notEqual(take(13n, 6), undefined);
    assert.equal(folding.latest("eth0", 7), undefined);
  }
});

test("a frame with a wrong checksum or digest neither waits nor ends the wait of others", () => {
  const folding = new Folding<{ receivedUs: number; isIntact: boolean }>(({ isIntact }) => isIntact);
  folding.fold("eth0", frame(7, 10n));
  assert.equal(folding.take("eth0", frame(7, 11n), { receivedUs: 100, isIntact: true }), undefined);
  for (const demote of [0, 1])
    assert.deepEqual(
      folding.take("eth0", frame(7, 12n, { demote }), { receivedUs: 200, isIntact: false }),
      [],
    );
  assert.equal(folding.flush().length, 1);
});

test("what waits is handed over in the order of the last of each, no more than sixteen, and none after the end", () => {
  const folding = new Folding();
  for (const vhid of [1, 2]) folding.fold("eth0", frame(vhid, 0n, { family: 6 }));
  const waits = (vhid: number, counter: bigint) =>
    folding.take("eth0", frame(vhid, counter, { family: 6 }), { receivedUs: Number(counter) }) === undefined;
  for (const [vhid, counter] of [
    [1, 1n],
    [2, 1n],
    [1, 2n],
  ] as const)
    assert.ok(waits(vhid, counter));
  assert.deepEqual(
    folding.flush().map(({ vhid, family, copies }) => [vhid, family, copies.length]),
    [
      [2, 6, 1],
      [1, 6, 2],
    ],
  );
  assert.deepEqual(folding.flush(), []);
  const taken = Array.from({ length: 70 }, (_, n) => waits(1, BigInt(n + 3)));
  assert.equal(taken.filter(Boolean).length, 64);
  assert.ok(waits(2, 9n));
  assert.equal(folding.end().length, 1);
  assert.deepEqual(folding.flush(), []);
  assert.ok(!waits(2, 10n));
  folding.fold("eth0", frame(2, 9n, { family: 6 }));
  assert.ok(waits(2, 10n));
  folding.forget("eth0");
  assert.deepEqual(folding.flush(), []);
});
