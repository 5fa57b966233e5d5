/** Advertisements that wait put off the timers that they restart, and are handled now and then. */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { VirtualHostTimer } from "../../../src/core/event.ts";
import { HANDLED_WITHIN_US, Waiting } from "../../../src/engine/waiting.ts";

const SECOND = 1_000_000;
const WAIT_US = 3 * SECOND;

function waiting(vhids: readonly number[]) {
  const state = { nowUs: 100 * SECOND, drained: 0, looks: 0 };
  const latest = new Map<number, number>();
  const armed = new Map<VirtualHostTimer, number>();
  const all = new Waiting({
    clock: { now: () => ({ us: state.nowUs, epochUs: 0 }) },
    wire: {
      latest: (carpdev, vhid) => {
        state.looks++;
        return carpdev === "eth0" ? latest.get(vhid) : undefined;
      },
      drain: () => {
        state.drained++;
        latest.clear();
      },
    },
    timers: {
      putOff: (timer, atUs) => {
        const us = Math.max(armed.get(timer as VirtualHostTimer) ?? 0, atUs);
        armed.set(timer as VirtualHostTimer, us);
        return us > state.nowUs;
      },
    },
  });
  const timers = vhids.map((vhid) => ({ kind: "master-down", interface: `carp${vhid}`, vhid }) as const);
  for (const timer of timers)
    all.add({ kind: "fold", carpdev: "eth0", frame: new Uint8Array(), timer, waitUs: WAIT_US });
  return { all, timers, latest, armed, state };
}

test("a timer that is due is put off by what has arrived, with the others; what waits is handled in time", () => {
  const { all, timers, latest, armed, state } = waiting([1, 2]);
  const [first, second] = timers as [VirtualHostTimer, VirtualHostTimer];
  all.masterDown(first);
  assert.equal(state.drained, 1);
  const beganUs = state.nowUs;
  for (;;) {
    state.nowUs += 2 * SECOND;
    latest.set(1, state.nowUs - SECOND);
    latest.set(2, state.nowUs - SECOND / 2);
    all.masterDown(first);
    if (state.drained > 1) break;
    assert.equal(armed.get(first), state.nowUs - SECOND + WAIT_US);
    assert.equal(armed.get(second), state.nowUs - SECOND / 2 + WAIT_US);
  }
  assert.equal(state.nowUs - beganUs, HANDLED_WITHIN_US);
});

test("everything is handled before a master is declared down that nothing was heard of", () => {
  const { all, timers, latest, state } = waiting([1, 2]);
  const [first, second] = timers as [VirtualHostTimer, VirtualHostTimer];
  all.masterDown(first);
  state.nowUs += 3 * SECOND;
  latest.set(1, state.nowUs - WAIT_US);
  latest.set(2, state.nowUs);
  all.masterDown(second);
  assert.equal(state.drained, 1);
  all.masterDown(first);
  assert.equal(state.drained, 2);
  all.end();
  latest.set(2, state.nowUs);
  all.masterDown(second);
  assert.equal(state.drained, 3);
});

test("many timers that nothing has put off do not look at all of each other", () => {
  const { all, timers, state } = waiting(Array.from({ length: 250 }, (_, n) => n + 1));
  for (const timer of timers) all.masterDown(timer);
  assert.equal(state.drained, 250);
  assert.ok(state.looks < 250);
});
