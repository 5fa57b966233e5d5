/** Entries of an eBPF map that several interfaces may have: what is written, and what stays when one leaves. */

import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";
import { Directory, keyText } from "../../../src/kernel/data-path/directory.ts";
import type { BpfObject } from "../../../src/kernel/data-path/native-bpf.ts";
import { Room } from "../../../src/kernel/data-path/room.ts";

const ENOMEM = 12;

/** The map, and each call that changed it. */
let map: Map<string, number>;
let calls: string[];
let isFull: boolean;
let changes: string[];
let directory: Directory;

const object = {
  update(_: string, key: Uint8Array, [value]: Uint8Array) {
    if (isFull) return ENOMEM;
    calls.push(`${keyText(key)}=${value}`);
    map.set(keyText(key), value ?? -1);
    return 0;
  },
  remove(_: string, key: Uint8Array) {
    calls.push(`-${keyText(key)}`);
    return map.delete(keyText(key)) ? 0 : 2;
  },
} as unknown as BpfObject;

const entries = (of: Readonly<Record<string, number>>) =>
  new Map(Object.entries(of).map(([key, value]) => [key, Uint8Array.of(value)]));

/** Gives an interface these entries and no others. */
function write(owner: string, of: Readonly<Record<string, number>>): void {
  assert.equal(directory.put(owner, entries(of)), 0);
  directory.keep(owner, entries(of));
}

function expectMap(expected: Readonly<Record<string, number>>): void {
  assert.deepEqual(Object.fromEntries(map), expected);
}

beforeEach(() => {
  map = new Map();
  calls = [];
  isFull = false;
  changes = [];
  directory = new Directory(object, "carp_addresses", (key, value) => changes.push(`${key}=${value?.[0]}`));
});

describe("the entries of an interface", () => {
  test("are written once, the new ones before an old one goes", () => {
    write("carp0", { a: 1, b: 1 });
    write("carp0", { a: 1, b: 1 });
    assert.deepEqual(calls, ["a=1", "b=1"]);
    write("carp0", { b: 1, c: 1 });
    assert.deepEqual(calls.slice(2), ["c=1", "-a"]);
    assert.deepEqual(changes, ["a=1", "b=1", "c=1", "a=undefined"]);
  });

  test("are written anew when it moves to another slot, and are never away", () => {
    write("carp0", { a: 1 });
    write("carp0", { a: 2 });
    assert.deepEqual(calls, ["a=1", "a=2"]);
  });

  test("leave those of others alone", () => {
    write("carp0", { a: 1 });
    write("carp1", { b: 2 });
    write("carp1", {});
    assert.deepEqual(calls, ["a=1", "b=2", "-b"]);
  });
});

describe("an entry of several interfaces", () => {
  test("stays until the last of them leaves, and leads to one that has it", () => {
    for (const [n, name] of ["carp0", "carp1", "carp2"].entries()) write(name, { broadcast: n });
    expectMap({ broadcast: 2 });
    write("carp1", {});
    expectMap({ broadcast: 2 });
    write("carp2", {});
    expectMap({ broadcast: 0 });
    write("carp0", {});
    expectMap({});
  });

  test("is not written for one under another, which has its new slot when its turn comes", () => {
    write("carp0", { a: 1 });
    write("carp1", { a: 2 });
    write("carp0", { a: 3 });
    expectMap({ a: 2 });
    write("carp1", {});
    expectMap({ a: 3 });
  });

  test("that two interfaces exchange leads to the one that took it", () => {
    write("carp0", { a: 0 });
    write("carp1", { b: 1 });
    write("carp0", { b: 0 });
    expectMap({ b: 0 });
    write("carp1", { a: 1 });
    expectMap({ b: 0, a: 1 });
  });

  test("with one value is written once, and removed once", () => {
    write("carp0", { mac: 9 });
    write("carp1", { mac: 9 });
    write("carp0", {});
    write("carp1", {});
    assert.deepEqual(calls, ["mac=9", "-mac"]);
  });
});

test("an entry that the map has no room for is told of, and written next time", () => {
  isFull = true;
  assert.equal(directory.put("carp0", entries({ a: 1 })), ENOMEM);
  isFull = false;
  write("carp0", { a: 1 });
  expectMap({ a: 1 });
});

test("entries of an earlier engine are the interfaces' that had them; those of none are removed", () => {
  map = new Map([
    ["a", 1],
    ["mac", 9],
    ["lost", 7],
  ]);
  directory.adopt(["carp0"], "a", Uint8Array.of(1));
  directory.adopt(["carp0", "carp1"], "mac", Uint8Array.of(9));
  directory.adopt([], "lost", Uint8Array.of(7));
  expectMap({ a: 1, mac: 9 });
  write("carp0", { a: 1 });
  expectMap({ a: 1, mac: 9 });
  write("carp1", {});
  expectMap({ a: 1 });
  assert.deepEqual(calls, ["-lost", "-mac"]);
});

describe("places in a row", () => {
  test("are the one wanted, else the last that is free", () => {
    const room = new Room(4);
    assert.equal(room.near(1), 1);
    room.take(1);
    assert.equal(room.near(1), 3);
    room.take(0);
    room.take(2, 2);
    assert.equal(room.near(1), undefined);
    room.free(0);
    assert.equal(room.near(1), 0);
  });

  test("are the first that are free together", () => {
    const room = new Room(8);
    room.take(2);
    assert.deepEqual(
      [1, 2, 3, 5, 6].map((length) => room.gap(length)),
      [0, 0, 3, 3, undefined],
    );
    room.take(7);
    assert.deepEqual(
      [4, 5].map((length) => room.gap(length)),
      [3, undefined],
    );
    room.take(0, 8);
    assert.equal(room.gap(1), undefined);
  });
});
