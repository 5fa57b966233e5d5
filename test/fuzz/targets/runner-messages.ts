/**
 * Messages between the engine and its runner, as bytes that arrive in any pieces: every line before the first
 * that is not a message is taken, no line after it, however the bytes were cut.
 */

import assert from "node:assert/strict";
import { Socket } from "node:net";
import fc from "fast-check";
import type { z } from "zod";
import {
  KINDS,
  MAX_OUTPUT_BYTES,
  Run,
  RunnerMessage,
  readMessages,
} from "../../../src/engine/scripts/runner/messages.ts";
import type { Target, Trial } from "../target.ts";
import { withOneChanged } from "./leaves.ts";

interface Read<T> {
  readonly messages: T[];
  readonly garbled: string[];
}

/** The messages, as if they had arrived one after the other. */
function readFrom<T>(schema: z.ZodType<T>, pieces: readonly Uint8Array[]): Read<T> {
  const socket = new Socket();
  const read: Read<T> = { messages: [], garbled: [] };
  readMessages(
    socket,
    schema,
    (message) => {
      assert.equal(read.garbled.length, 0, "a message after what was none");
      read.messages.push(message);
    },
    (why) => read.garbled.push(why),
  );
  for (const piece of pieces) socket.emit("data", Buffer.from(piece));
  socket.destroy();
  return read;
}

function cut(bytes: Uint8Array, every: number): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += every) pieces.push(bytes.subarray(at, at + every));
  return pieces;
}

function holds<T>(schema: z.ZodType<T>, input: Uint8Array, check: (message: T) => void): void {
  const whole = readFrom(schema, [input]);
  assert.ok(whole.garbled.length <= 1);
  for (const every of [1 + (input.length % 7), 64]) {
    if (input.length > 4096 && every < 64) continue;
    assert.deepEqual(readFrom(schema, cut(input, every)), whole);
  }
  const lines = Buffer.from(input).toString("latin1").split("\n").length - 1;
  assert.equal(
    whole.messages.length + whole.garbled.length,
    whole.garbled.length > 0 ? whole.messages.length + 1 : lines,
  );
  for (const message of whole.messages) check(message);
  const again = whole.messages.map((message) => Buffer.from(`${JSON.stringify(message)}\n`));
  assert.deepEqual(readFrom(schema, again), { messages: whole.messages, garbled: [] });
}

/** A process group that may be killed: never this process's own, never every process's. */
function checkReport(report: RunnerMessage): void {
  if (report.kind !== "ran") assert.ok(Number.isSafeInteger(report.pid) && report.pid > 1);
  else
    for (const { outcome, output } of report.results) {
      assert.ok(["passed", "failed", "refused", "listed"].includes(outcome));
      // Characters, of which each was a byte at least.
      assert.ok([...output].length <= MAX_OUTPUT_BYTES);
    }
}

/** An order names no path and no program: only which of the scripts to run, and the change that a hook hears of. */
function checkRun(run: Run): void {
  assert.ok(run.id > 0 && run.kind in KINDS);
  if (run.kind === "checks") return;
  for (const [name, value] of Object.entries(run.change)) {
    assert.match(name, /^CARP_(INTERFACE|VHID|EVENT|STATE|PREVIOUS_STATE|ADDRESSES)$/);
    assert.match(value, /^[0-9A-Za-z.:/% ]*$/);
  }
}

const text = fc.string({ unit: "binary", maxLength: 20 });
const id = fc.integer({ min: 1, max: 1000 });
const report = fc.oneof(
  fc.record({ kind: fc.constantFrom("began", "ended"), id, pid: fc.integer({ min: -1, max: 40_000 }) }),
  fc.record({
    kind: fc.constant("ran"),
    id,
    results: fc.array(
      fc.record({
        name: text,
        path: text,
        outcome: fc.constantFrom("passed", "failed", "refused", "listed"),
        settings: fc.option(
          fc.record({
            every: fc.integer({ min: 0, max: 90_000 }),
            user: fc.constantFrom("nobody", "0", "a b"),
          }),
          { nil: undefined },
        ),
        why: fc.option(text, { nil: undefined }),
        output: text,
      }),
      { maxLength: 3 },
    ),
  }),
);
const asked = fc.oneof(
  fc.record({ id, kind: fc.constantFrom("checks", "hooks", "scripts") }),
  fc.record({ id, kind: fc.constant("checks"), only: fc.array(text, { maxLength: 2 }) }),
  fc.record({ id, kind: fc.constant("checks"), list: fc.boolean() }),
  fc.record({
    id,
    kind: fc.constant("hooks"),
    change: fc.record({
      CARP_INTERFACE: fc.oneof(fc.constantFrom("carp0", "carp4094"), text),
      CARP_VHID: fc.oneof(fc.constantFrom("1", "255"), text),
      CARP_EVENT: fc.constantFrom("transition", "contested", "other"),
      CARP_STATE: fc.oneof(fc.constantFrom("MASTER", "BACKUP", "INIT"), text),
      CARP_PREVIOUS_STATE: fc.constantFrom("MASTER", "BACKUP", "INIT"),
      CARP_ADDRESSES: fc.oneof(fc.constantFrom("", "10.0.0.1/24 fe80::1%carp0/64"), text),
    }),
  }),
);
const message = fc.oneof(report, asked).map((each) => Buffer.from(JSON.stringify(each)));
const lines = fc
  .array(fc.oneof({ weight: 4, arbitrary: message }, { weight: 1, arbitrary: withOneChanged(message) }), {
    minLength: 1,
    maxLength: 4,
  })
  .map((all) => Buffer.from(all.map((each) => `${Buffer.from(each)}\n`).join("")));

export const runnerMessages: Target = {
  name: "runner-messages",
  sensible: lines,
  tokens: [
    "\n",
    "\n\n",
    "\r\n",
    '"kind":"began"',
    '"pid":1',
    '"pid":-1',
    '"change":{"LD_PRELOAD":"/tmp/x"}',
    '"id":0',
    "null",
    "\u2028",
    "\0",
    "{}",
  ],
  tries: 300,
  open: (): Trial => ({
    feed(input) {
      holds(RunnerMessage, input, checkReport);
      holds(Run, input, checkRun);
    },
  }),
};
