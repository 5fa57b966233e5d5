/** The heap: its first item precedes the others, whatever was moved and removed. */

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Heap } from "../../../src/engine/heap.ts";

interface Item {
  key: number;
  place: number;
}

test("items come out in order, after any changes", () => {
  const changes = fc.array(fc.record({ which: fc.nat(30), key: fc.option(fc.nat(50), { nil: undefined }) }));
  fc.assert(
    fc.property(changes, (steps) => {
      const heap = new Heap<Item>((a, b) => a.key < b.key);
      const items = Array.from({ length: 31 }, (): Item => ({ key: 0, place: -1 }));
      const inside = new Set<Item>();
      for (const { which, key } of steps) {
        const item = items[which] as Item;
        if (key === undefined) {
          heap.remove(item);
          inside.delete(item);
        } else {
          item.key = key;
          heap.put(item);
          inside.add(item);
        }
        assert.equal(
          heap.first?.key,
          inside.size === 0 ? undefined : Math.min(...[...inside].map((each) => each.key)),
        );
      }
      const keys: number[] = [];
      for (let { first } = heap; first !== undefined; first = heap.first) {
        keys.push(first.key);
        heap.remove(first);
      }
      assert.deepEqual(
        keys,
        [...inside].map((each) => each.key).sort((a, b) => a - b),
      );
    }),
  );
});
