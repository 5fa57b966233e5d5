/** Answers that users without rights share: one evaluation, and one text. */

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { replyLine, SharedAnswers } from "../../../../src/engine/control/shared-answers.ts";

let nowMs: number;
let shared: SharedAnswers;
let evaluations: number;
beforeEach(() => {
  nowMs = 1000;
  shared = new SharedAnswers(() => nowMs);
  evaluations = 0;
});

/** An answer that takes this long to make. */
const taking = (ms: number) => () => {
  evaluations++;
  nowMs += ms;
  return { evaluations };
};

test("an answer serves twenty times as long as it took to make", async () => {
  assert.deepEqual(await shared.get("a", taking(2)), { evaluations: 1 });
  nowMs += 39;
  assert.deepEqual(await shared.get("a", taking(2)), { evaluations: 1 });
  nowMs += 1;
  assert.deepEqual(await shared.get("a", taking(2)), { evaluations: 2 });
});

test("no answer serves longer than a second", async () => {
  await shared.get("a", taking(5000));
  nowMs += 999;
  await shared.get("a", taking(0));
  assert.equal(evaluations, 1);
  nowMs += 1;
  await shared.get("a", taking(0));
  assert.equal(evaluations, 2);
});

test("who asks while an answer is made gets the same", async () => {
  const { promise, resolve } = Promise.withResolvers<object>();
  const evaluate = () => {
    evaluations++;
    return promise;
  };
  const all = [shared.get("a", evaluate), shared.get("a", evaluate)];
  resolve({});
  const [first, second] = await Promise.all(all);
  assert.equal(first, second);
  assert.equal(evaluations, 1);
});

test("a refusal is not kept", async () => {
  const refuse = () => {
    throw new Error("no such interface");
  };
  await assert.rejects(shared.get("a", refuse), /no such interface/);
  assert.deepEqual(await shared.get("a", taking(1)), { evaluations: 1 });
});

test("after a change every question is asked anew", async () => {
  await shared.get("a", taking(5));
  shared.forget();
  assert.deepEqual(await shared.get("a", taking(5)), { evaluations: 2 });
});

test("different questions have different answers, and only some are kept", async () => {
  for (let n = 0; n < 1000; n++) await shared.get(String(n), taking(1));
  assert.equal(evaluations, 1000);
});

test("the line of a shared answer is the line of the same result", async () => {
  const result = await shared.get("a", () => ({ text: "ü\u2028\n", list: [1, null] }));
  for (const id of [7, "x\n", null]) {
    const response = { jsonrpc: "2.0", id, result } as const;
    assert.equal(Buffer.concat(replyLine(response)).toString(), `${JSON.stringify(response)}\n`);
  }
});

test("the bytes of a shared answer are the same for every client", async () => {
  const result = await shared.get("b", () => ({ text: "long" }));
  const [, first] = replyLine({ jsonrpc: "2.0", id: 1, result });
  const [, second] = replyLine({ jsonrpc: "2.0", id: 2, result });
  assert.equal(first, second);
});

test("warnings stand beside the result", () => {
  const response = { jsonrpc: "2.0", id: 1, result: { name: "carp0" } } as const;
  const line = Buffer.concat(replyLine(response, ["not saved"])).toString();
  assert.deepEqual(JSON.parse(line), { ...response, warnings: ["not saved"] });
});

test("while changes come, a question is evaluated one at a time, and once more after the last change", async () => {
  const answers = new SharedAnswers();
  let begun = 0;
  const finish: (() => void)[] = [];
  const ask = () =>
    answers.get("doctor", () => {
      const number = ++begun;
      return new Promise<{ number: number }>((resolve) => finish.push(() => resolve({ number })));
    });
  const first = ask();
  const later = Array.from({ length: 100 }, () => {
    answers.forget();
    return ask();
  });
  assert.equal(begun, 1);
  finish.shift()?.();
  assert.deepEqual(await first, { number: 1 });
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(begun, 2);
  finish.shift()?.();
  for (const each of later) assert.deepEqual(await each, { number: 2 });
});
