/** Which advertisements wait in a simulated host: those that repeat one that may wait, until anything else happens. */

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

test("a frame that repeats another waits, whatever its counter and digest; one that says something else does not", () => {
  const folding = new Folding();
  folding.fold("eth0", frame(7, 10n));
  assert.equal(folding.takes("eth0", frame(7, 11n, { digest: 2 }), 100), true);
  for (const other of [
    frame(7, 12n, { demote: 1 }),
    frame(7, 11n),
    frame(8, 12n),
    frame(7, 12n, { family: 6 }),
  ])
    assert.equal(folding.takes("eth0", other, 200), false);
  assert.equal(folding.takes("eth1", frame(7, 12n), 200), false);
  assert.deepEqual(folding.flush(), [
    { carpdev: "eth0", vhid: 7, family: 4, copies: [{ counter: 11n, receivedUs: 100 }] },
  ]);
  assert.deepEqual(folding.flush(), []);
});

test("what waits is handed over in the order of the last of each, no more than sixteen, and none after the end", () => {
  const folding = new Folding();
  for (const vhid of [1, 2]) folding.fold("eth0", frame(vhid, 0n, { family: 6 }));
  for (const [vhid, counter] of [
    [1, 1n],
    [2, 1n],
    [1, 2n],
  ] as const)
    assert.ok(folding.takes("eth0", frame(vhid, counter, { family: 6 }), Number(counter)));
  assert.deepEqual(
    folding.flush().map(({ vhid, family, copies }) => [vhid, family, copies.length]),
    [
      [2, 6, 1],
      [1, 6, 2],
    ],
  );
  const taken = Array.from({ length: 20 }, (_, n) =>
    folding.takes("eth0", frame(1, BigInt(n + 3), { family: 6 }), n),
  );
  assert.equal(taken.filter(Boolean).length, 16);
  folding.end();
  assert.deepEqual(folding.flush(), []);
  assert.equal(folding.takes("eth0", frame(2, 9n, { family: 6 }), 0), false);
});
