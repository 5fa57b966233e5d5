/** The engine's queue: one event at a time, in the order in which they were reported. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { EventQueue } from "../../../src/engine/queue.ts";

interface Numbered {
  readonly number: number;
}

test("an event is handled at once when no other one is being handled", () => {
  const handled: number[] = [];
  const queue = new EventQueue<Numbered>(({ number }) => void handled.push(number));
  queue.push({ number: 1 });
  assert.deepEqual(handled, [1]);
  assert.equal(queue.isBusy, false);
});

test("an event that is reported while another one is handled waits until that is done", () => {
  const steps: string[] = [];
  const queue = new EventQueue<Numbered>(({ number }) => {
    steps.push(`${number} begins`);
    if (number < 3) {
      queue.push({ number: number + 1 });
      queue.push({ number: number + 10 });
    }
    assert.equal(queue.isBusy, true);
    steps.push(`${number} ends`);
  });
  queue.push({ number: 1 });
  const order = [1, 2, 11, 3, 12];
  assert.deepEqual(
    steps,
    order.flatMap((number) => [`${number} begins`, `${number} ends`]),
  );
});

test("work runs in its place among the events", () => {
  const steps: string[] = [];
  const queue = new EventQueue<Numbered>(({ number }) => {
    steps.push(`event ${number}`);
    if (number > 1) return;
    queue.run(() => steps.push("work"));
    queue.push({ number: 2 });
    steps.push("event 1 ends");
  });
  queue.push({ number: 1 });
  assert.deepEqual(steps, ["event 1", "event 1 ends", "work", "event 2"]);
});

test("after an event that threw, the waiting events are handled with the next one", () => {
  const handled: number[] = [];
  const queue = new EventQueue<Numbered>(({ number }) => {
    handled.push(number);
    if (number > 1) return;
    queue.push({ number: 2 });
    throw new Error("a bug");
  });
  assert.throws(() => queue.push({ number: 1 }), /a bug/);
  assert.equal(queue.isBusy, false);
  queue.push({ number: 3 });
  assert.deepEqual(handled, [1, 2, 3]);
});
