/** The clock of a peer, as its counters show it: only where they advance with time, which other implementations' do not. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { Peers } from "../../../src/core/election/peers.ts";

const SECOND = 1_000_000;
const EPOCH_US = 1_790_000_000 * SECOND;

test("the clock of a peer is known when its counters have advanced with time", () => {
  const clocks = (counterAt: (second: number) => number) => {
    const peers = new Peers();
    return [0, 1, 2, 3, 4].map((second) => {
      const said = { family: 4, source: "10.0.0.3", advbase: 1, advskew: 0, demote: 0 } as const;
      peers.heard({ ...said, counter: BigInt(counterAt(second)), receivedUs: second * SECOND });
      return peers.view()[0]?.clockUs;
    });
  };
  const ours = (second: number) => EPOCH_US + second * SECOND;
  assert.deepEqual(clocks(ours), [undefined, undefined, undefined, ours(3), ours(4)]);
  // OpenBSD's stand still, and FreeBSD's and ucarp's go on from what they heard by one.
  for (const counter of [() => EPOCH_US, (second: number) => EPOCH_US + second])
    assert.deepEqual(clocks(counter), Array(5).fill(undefined));
});
