/** Sequences: steps run strictly one after the other, and at once as long as none of them takes time. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { Sequence } from "../../../src/engine/sequence.ts";

function steps() {
  const done: string[] = [];
  const entered: string[] = [];
  const sequence = new Sequence((work) => {
    entered.push(`after ${done.length} steps`);
    work();
  });
  return { done, entered, sequence, step: (name: string) => () => void done.push(name) };
}

test("a step is done before push returns while no step takes time", () => {
  const { done, sequence, step } = steps();
  sequence.push(step("a"));
  assert.deepEqual(done, ["a"]);
  assert.equal(sequence.isIdle, true);
});

test("steps wait for a step that takes time, and then run in their order", () => {
  const { done, entered, sequence, step } = steps();
  let finish = () => {};
  sequence.pushSlow((finished) => {
    done.push("slow");
    finish = finished;
  });
  sequence.push(step("a"));
  sequence.pushSlow((finished) => {
    done.push("slow, but done at once");
    finished();
  });
  sequence.push(step("b"));
  assert.deepEqual(done, ["slow"]);
  assert.equal(sequence.isIdle, false);
  finish();
  assert.deepEqual(done, ["slow", "a", "slow, but done at once", "b"]);
  assert.deepEqual(entered, ["after 1 steps"]);
});

test("a step that is pushed by a step runs after the steps that already wait", () => {
  const { done, sequence, step } = steps();
  let finish = () => {};
  sequence.pushSlow((finished) => {
    finish = finished;
  });
  sequence.push(() => {
    done.push("a");
    sequence.push(step("pushed by a"));
  });
  sequence.push(step("b"));
  finish();
  assert.deepEqual(done, ["a", "b", "pushed by a"]);
});

test("whenIdle calls back after the last step, and at once while nothing waits", () => {
  const { done, sequence, step } = steps();
  sequence.whenIdle(step("idle"));
  let finish = () => {};
  sequence.pushSlow((finished) => {
    finish = finished;
  });
  sequence.whenIdle(step("idle again"));
  sequence.push(step("a"));
  assert.deepEqual(done, ["idle"]);
  finish();
  assert.deepEqual(done, ["idle", "a", "idle again"]);
});

test("a step that calls done twice throws", () => {
  const { sequence } = steps();
  assert.throws(
    () =>
      sequence.pushSlow((finished) => {
        finished();
        finished();
      }),
    /finished twice/,
  );
});
