/** Newline-delimited JSON, however the bytes arrive. */

import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import fc from "fast-check";
import { jsonIn, jsonLine, LineSplitter, readLines } from "../../../src/control/framing.ts";

function all(splitter: LineSplitter): string[] {
  const lines: string[] = [];
  for (let line = splitter.next(); line !== undefined; line = splitter.next()) lines.push(String(line));
  return lines;
}

function split(pieces: readonly string[], maxBytes = 100) {
  const splitter = new LineSplitter(maxBytes);
  const lines = pieces.map((piece) => {
    splitter.push(Buffer.from(piece));
    return all(splitter);
  });
  return { lines, isTooLong: splitter.isTooLong };
}

test("a line comes out whole when its newline is there, in however many pieces it came", () => {
  const { lines } = split(["ab", "", "c", "\nde", "f\n"]);
  assert.deepEqual(lines, [[], [], [], ["abc"], ["def"]]);
});

test("many lines may come in one piece, and empty lines are lines", () => {
  assert.deepEqual(split(["a\n\nb\n\n", "c\nd"]).lines, [["a", "", "b", ""], ["c"]]);
});

test("lines are the same wherever the bytes are cut", () => {
  const text = fc.array(fc.string({ unit: "binary", maxLength: 8 }).map((word) => word.replaceAll("\n", "")));
  fc.assert(
    fc.property(text, fc.array(fc.nat(40)), (words, cuts) => {
      const bytes = Buffer.from(words.map((word) => `${word}\n`).join(""));
      const splitter = new LineSplitter(100);
      const lines: string[] = [];
      let start = 0;
      for (const length of [...cuts, bytes.length]) {
        splitter.push(bytes.subarray(start, start + length));
        lines.push(...all(splitter));
        start += length;
      }
      assert.deepEqual(lines, words);
    }),
  );
});

test("lines that wait to be taken are kept while more arrives", () => {
  const splitter = new LineSplitter(100);
  splitter.push(Buffer.from("one\ntwo\nth"));
  assert.equal(String(splitter.next()), "one");
  splitter.push(Buffer.from("ree\n"));
  assert.deepEqual(all(splitter), ["two", "three"]);
});

test("a line of the longest length is taken, and a longer one ends the lines, with its newline or without", () => {
  assert.deepEqual(split(["12345\n"], 5), { lines: [["12345"]], isTooLong: false });
  assert.deepEqual(split(["a\n123456\nb\n", "c\n"], 5), { lines: [["a"], []], isTooLong: true });
  assert.deepEqual(split(["123", "456", "\n"], 5), { lines: [[], [], []], isTooLong: true });
});

function reading(maxBytes: number) {
  const stream = new PassThrough();
  const seen: string[] = [];
  const stop = readLines(
    stream,
    maxBytes,
    (line) => {
      seen.push(String(line));
      if (String(line) === "stop") stop();
      if (String(line) === "destroy") stream.destroy();
    },
    () => seen.push("(too long)"),
  );
  /** Everything that was written before has been read when this resolves. */
  const write = async (text: string) => {
    stream.write(text);
    while (stream.readableLength > 0 || stream.writableLength > 0)
      await new Promise((resolve) => setImmediate(resolve));
  };
  return { stream, seen, write };
}

test("a reader is told once that a line is too long, and of nothing after it", async () => {
  const { seen, write } = reading(5);
  await write("a\n123456789");
  await write("123456789\nb\n");
  await write("c\n");
  assert.deepEqual(seen, ["a", "(too long)"]);
});

test("a reader that stops is told of no further line, and the rest is read and dropped", async () => {
  const { stream, seen, write } = reading(100);
  await write("a\nstop\nb\n");
  await write("c\n");
  assert.deepEqual(seen, ["a", "stop"]);
  assert.equal(stream.readableLength, 0);
});

test("a stream that is destroyed brings no further line", () => {
  const { stream, seen } = reading(100);
  stream.emit("data", Buffer.from("destroy\nb\n"));
  assert.deepEqual(seen, ["destroy"]);
});

test("a value is written as one line and read back", () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const line = jsonLine(value);
      assert.equal(line.indexOf("\n"), line.length - 1);
      assert.deepEqual(jsonIn(Buffer.from(line.trimEnd())), JSON.parse(JSON.stringify(value)));
    }),
  );
});

test("a line that is not JSON holds no value", () => {
  for (const line of ["", "{", "undefined", "{} {}", "\0"])
    assert.equal(jsonIn(Buffer.from(line)), undefined);
});

test("bytes that are not UTF-8 are read as replacement characters", () => {
  assert.equal(jsonIn(Buffer.from('"\xff"', "latin1")), "\ufffd");
});
