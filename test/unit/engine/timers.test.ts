/** The core's timers: delivered once, never early, together when they are due together, and cheap to put off. */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Timer } from "../../../src/core/event.ts";
import { Timers } from "../../../src/engine/timers.ts";

const master: Timer = { kind: "master-down", interface: "carp0", vhid: 1 };
const leave: Timer = { kind: "leave", interface: "carp0", vhid: 1 };

/** A clock set by the test, and alarms that ring at their time on it. */
class Station {
  nowUs = 0;
  alarmsSet = 0;
  readonly delivered: Timer[] = [];
  #alarms: { atUs: number; ring: () => void }[] = [];
  readonly timers = new Timers(
    { now: () => ({ us: this.nowUs, epochUs: 0 }) },
    {
      set: (atUs, ring) => {
        const alarm = { atUs, ring };
        this.alarmsSet++;
        this.#alarms.push(alarm);
        return () => {
          this.#alarms = this.#alarms.filter((each) => each !== alarm);
        };
      },
    },
    (timer) => {
      if (!this.timers.take(timer)) return;
      this.delivered.push(timer);
      this.delivers(timer);
    },
  );
  delivers: (timer: Timer) => void = () => {};

  /** @param earlyUs how much too early alarms ring */
  run(untilUs: number, earlyUs = 0): void {
    for (;;) {
      const next = this.#alarms.sort((a, b) => a.atUs - b.atUs)[0];
      if (next === undefined || next.atUs - earlyUs > untilUs) break;
      this.nowUs = Math.max(this.nowUs, next.atUs - earlyUs);
      this.#alarms.shift();
      next.ring();
      if (earlyUs > 0 && this.nowUs++ >= untilUs) break;
    }
    this.nowUs = untilUs;
  }

  get pending(): number {
    return this.#alarms.length;
  }
}

test("a timer is delivered once, when its time has come", () => {
  const station = new Station();
  station.timers.arm(master, 100);
  station.run(99);
  assert.deepEqual(station.delivered, []);
  station.run(1000);
  assert.deepEqual(station.delivered, [master]);
});

test("a timer that is armed for later keeps its alarm, and is not delivered before", () => {
  const station = new Station();
  for (let us = 0; us < 50; us++) {
    station.nowUs = us;
    station.timers.arm(master, us + 100);
  }
  assert.equal(station.alarmsSet, 1);
  station.run(148);
  assert.deepEqual(station.delivered, []);
  station.run(149);
  assert.deepEqual(station.delivered, [master]);
  assert.equal(station.alarmsSet, 2);
});

test("a timer that is armed for an earlier time is delivered then", () => {
  const station = new Station();
  station.timers.arm(master, 100);
  station.timers.arm(master, 20);
  station.run(20);
  assert.deepEqual(station.delivered, [master]);
  station.run(1000);
  assert.deepEqual(station.delivered, [master]);
});

test("a timer whose alarm rings too early is not delivered then", () => {
  const station = new Station();
  station.timers.arm(leave, 100);
  station.run(99, 30);
  assert.deepEqual(station.delivered, []);
  station.run(200, 30);
  assert.deepEqual(station.delivered, [leave]);
});

test("a cancelled timer is not delivered, and leaves no alarm", () => {
  const station = new Station();
  station.timers.arm(master, 100);
  station.timers.arm(leave, 50);
  station.timers.cancel(master);
  assert.equal(station.pending, 1);
  station.timers.cancelAll();
  assert.equal(station.pending, 0);
  station.run(1000);
  assert.deepEqual(station.delivered, []);
});

test("a timer that is put off between its alarm and its delivery is delivered later", () => {
  const station = new Station();
  const delivered: number[] = [];
  let rings: (() => void)[] = [];
  const timers = new Timers(
    { now: () => ({ us: station.nowUs, epochUs: 0 }) },
    {
      set: (_, ring) => {
        rings.push(ring);
        return () => {};
      },
    },
    (timer) => {
      // The socket is read first, and an advertisement in it puts the timer off.
      if (delivered.length === 0 && station.nowUs === 100) timers.arm(timer, 150);
      if (timers.take(timer)) delivered.push(station.nowUs);
    },
  );
  timers.arm(master, 100);
  station.nowUs = 100;
  for (const ring of rings.splice(0)) ring();
  assert.deepEqual(delivered, []);
  station.nowUs = 150;
  for (const ring of rings.splice(0)) ring();
  rings = [];
  assert.deepEqual(delivered, [150]);
});

const SECOND = 1_000_000;

function advertise(vhid: number): Timer {
  return { kind: "advertise", interface: "carp0", vhid };
}

test("timers that are due together are delivered by one alarm, in the order in which they were armed", () => {
  const station = new Station();
  const timers = Array.from({ length: 50 }, (_, i) => advertise(i));
  for (const timer of timers) station.timers.arm(timer, 100);
  const rounds: Timer[][] = [];
  for (let us = 100; us < 1000; us += 100) {
    station.run(us);
    rounds.push(station.delivered.splice(0).filter(({ kind }) => kind === "advertise"));
    for (const timer of rounds.at(-1) ?? []) station.timers.arm(timer, us + 100);
  }
  assert.deepEqual(
    rounds,
    rounds.map(() => timers),
  );
  assert.equal(station.alarmsSet, 10);
});

test("many timers that are due together leave room for other things in between", () => {
  const station = new Station();
  for (let i = 0; i < 200; i++) station.timers.arm(advertise(i), 100);
  station.run(100);
  assert.equal(station.delivered.length, 200);
  assert.equal(station.alarmsSet, 4);
});

test("timers that are put off wake nobody until one of them is due", () => {
  const station = new Station();
  const timers = Array.from({ length: 100 }, (_, i) => ({ ...master, vhid: i }) as Timer);
  for (let round = 0; round < 50; round++) {
    for (const [i, timer] of timers.entries()) {
      station.run(round * SECOND + i * 1000);
      station.timers.arm(timer, station.nowUs + 3 * SECOND);
    }
  }
  assert.ok(station.alarmsSet < 30, `${station.alarmsSet} alarms`);
  assert.deepEqual(station.delivered, []);
});

test("a timer that was not taken because one before it failed is delivered later", () => {
  const station = new Station();
  station.timers.arm(advertise(1), 100);
  station.timers.arm(advertise(2), 100);
  station.delivers = () => {
    throw new Error("the first one fails");
  };
  assert.throws(() => station.run(100), /the first one fails/);
  station.delivers = () => {};
  station.run(1000);
  assert.equal(station.delivered.length, 2);
});
