/** Maps and sets that are empty for most of their owners are like Map and Set, also when they are emptied and filled again. */

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { RareMap, RareSet } from "../../../src/core/rare.ts";

const step = fc.record({
  does: fc.constantFrom("put", "put", "delete", "clear"),
  key: fc.nat(4),
});

test("a RareMap has what a Map has, and a RareSet what a Set has", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const [map, rareMap] = [new Map<number, number>(), new RareMap<number, number>()];
      const [set, rareSet] = [new Set<number>(), new RareSet<number>()];
      for (const [at, { does, key }] of steps.entries()) {
        if (does === "put") {
          for (const each of [map, rareMap]) each.set(key, at);
          for (const each of [set, rareSet]) each.add(key);
        } else if (does === "delete") {
          assert.equal(rareMap.delete(key), map.delete(key));
          assert.equal(rareSet.delete(key), set.delete(key));
        } else for (const each of [map, rareMap, set, rareSet]) each.clear();
        assert.deepEqual([...rareMap], [...map]);
        assert.deepEqual([...rareMap.values()], [...map.values()]);
        assert.deepEqual([...rareSet], [...set]);
        assert.deepEqual([rareMap.size, rareSet.size], [map.size, set.size]);
        for (let n = 0; n < 5; n++) {
          assert.deepEqual([rareMap.get(n), rareMap.has(n)], [map.get(n), map.has(n)]);
          assert.equal(rareSet.has(n), set.has(n));
        }
      }
    }),
  );
});

test("what is deleted while it is gone through does not come", () => {
  const map = new RareMap<number, string>();
  const set = new RareSet<number>();
  for (let n = 0; n < 4; n++) {
    map.set(n, "");
    set.add(n);
  }
  const seen: number[] = [];
  for (const [n] of map) {
    seen.push(n);
    map.delete(n);
    map.delete(n + 1);
  }
  for (const n of set) {
    seen.push(n);
    set.clear();
  }
  assert.deepEqual(seen, [0, 2, 0]);
});
