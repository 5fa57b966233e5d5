/**
 * Inputs for a target: its corpus as it is, the corpus with a few changes, sensible ones, and noise. fast-check draws
 * all of it, so that a seed says everything and what is found is made as small as it gets.
 */

import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import type { Target } from "./target.ts";

const CORPUS = join(import.meta.dirname, "corpus");
const MOST_BYTES = 200_000;

/** The files of test/fuzz/corpus/TARGET, by name. */
export function corpusOf({ name }: Target): Map<string, Uint8Array> {
  const directory = join(CORPUS, name);
  return new Map(readdirSync(directory).map((file) => [file, readFileSync(join(directory, file))]));
}

/** @returns the path of the new file, from the tree's top. */
export function addToCorpus({ name }: Target, file: string, input: Uint8Array): string {
  mkdirSync(join(CORPUS, name), { recursive: true });
  writeFileSync(join(CORPUS, name, file), input);
  return join("test/fuzz/corpus", name, file);
}

type Change = (bytes: Uint8Array) => Uint8Array;

export function inputsFor(target: Target): fc.Arbitrary<Uint8Array> {
  const corpus = [...corpusOf(target).values()];
  const known = fc.constantFrom(...corpus);
  const changes = fc.array(changeFor(target, known), { minLength: 1, maxLength: 6 });
  const mend = target.mend ?? fc.constant((bytes: Uint8Array) => bytes);
  const changed = (from: fc.Arbitrary<Uint8Array>) =>
    fc
      .tuple(from, changes, mend)
      .map(([bytes, all, mended]) => mended(all.reduce((so, change) => change(so), bytes)))
      .map((bytes) => bytes.subarray(0, MOST_BYTES));
  return fc.oneof(
    { weight: 5, arbitrary: changed(known) },
    { weight: 3, arbitrary: target.sensible },
    { weight: 3, arbitrary: changed(target.sensible) },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 100 }) },
  );
}

function changeFor({ tokens }: Target, others: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Change> {
  const place = fc.nat(0xffff);
  const extreme = fc.constantFrom(0, 1, 0x0a, 0x20, 0x22, 0x27, 0x2d, 0x5c, 0x7f, 0x80, 0xff);
  const inserted = fc.oneof(
    fc.constantFrom(...tokens.map((token) => (typeof token === "string" ? Buffer.from(token) : token))),
    fc.uint8Array({ minLength: 1, maxLength: 8 }),
  );
  return fc.oneof(
    fc.tuple(place, fc.nat(7)).map(([at, bit]): Change => replacing(at, (byte) => byte ^ (1 << bit))),
    fc.tuple(place, fc.oneof(extreme, fc.nat(255))).map(([at, to]): Change => replacing(at, () => to)),
    fc.tuple(place, inserted).map(([at, what]): Change => splicing(at, 0, () => what)),
    fc.tuple(place, fc.integer({ min: 1, max: 16 })).map(([at, n]): Change => splicing(at, n, () => NOTHING)),
    fc.tuple(place, fc.nat(255)).map(([at, n]): Change => splicing(at, n, () => NOTHING)),
    place.map((at): Change => splicing(at, Number.POSITIVE_INFINITY, () => NOTHING)),
    fc
      .tuple(place, fc.integer({ min: 1, max: 32 }), fc.constantFrom(2, 3, 40, 3000))
      .map(([at, n, times]): Change => splicing(at, n, (part) => repeated(part, times))),
    fc
      .tuple(place, others, place)
      .map(([at, other, from]): Change => splicing(at, 16, () => other.subarray(from % (other.length + 1)))),
  );
}

const NOTHING = new Uint8Array(0);

function replacing(place: number, by: (byte: number) => number): Change {
  return (bytes) => {
    const result = Uint8Array.from(bytes);
    const at = place % (bytes.length || 1);
    if (at < bytes.length) result[at] = by(bytes[at] ?? 0);
    return result;
  };
}

/** Takes so many bytes out and puts something in their place. */
function splicing(place: number, length: number, by: (taken: Uint8Array) => Uint8Array): Change {
  return (bytes) => {
    const at = place % (bytes.length + 1);
    const end = Math.min(at + length, bytes.length);
    return Buffer.concat([bytes.subarray(0, at), by(bytes.subarray(at, end)), bytes.subarray(end)]);
  };
}

function repeated(part: Uint8Array, times: number): Uint8Array {
  return Buffer.concat(Array<Uint8Array>(times).fill(part));
}
