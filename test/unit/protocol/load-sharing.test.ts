/** The load-sharing hash of the test oracle, against recorded values. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { addressBytes } from "../../../src/protocol/address.ts";
import { fold, nodeIndex } from "../../oracle/load-sharing.ts";
import * as draw from "./arbitraries.ts";
import { balancing } from "./vectors.ts";

describe("the load-sharing hash", () => {
  for (const vector of balancing) {
    it(`sends ${vector.source} -> ${vector.destination} where it is recorded`, () => {
      assert.equal(fold(vector.source, vector.destination), Number.parseInt(vector.fold, 16));
      for (const [nodes, index] of Object.entries(vector.index)) {
        assert.equal(nodeIndex(vector.source, vector.destination, Number(nodes)), index);
      }
    });
  }

  it("is the same in both directions of a connection, and in text and bytes", () => {
    fc.assert(
      fc.property(draw.addressPair, ([source, destination]) => {
        const hash = fold(source, destination);
        assert.equal(fold(destination, source), hash);
        assert.equal(fold(addressBytes(source), addressBytes(destination)), hash);
        assert.ok(hash >= 0 && hash <= 0xffff_ffff);
      }),
    );
  });

  it("names one existing node for every packet", () => {
    fc.assert(
      fc.property(draw.addressPair, fc.integer({ min: 1, max: 32 }), ([source, destination], nodes) => {
        const index = nodeIndex(source, destination, nodes);
        assert.ok(Number.isInteger(index) && index >= 0 && index < nodes);
        assert.equal(index, fold(source, destination) % nodes);
      }),
    );
  });

  it("is not fooled by a high bit into a negative number", () => {
    assert.equal(fold("255.255.255.255", "0.0.0.0"), 0xffff_ffff);
    assert.equal(nodeIndex("255.255.255.255", "0.0.0.0", 32), 31);
  });

  it("reads bytes from the middle of a packet", () => {
    const packet = Uint8Array.of(9, 9, 9, 10, 0, 0, 1, 10, 0, 0, 2, 9);
    assert.equal(fold(packet.subarray(3, 7), packet.subarray(7, 11)), 3);
  });

  it("takes two addresses of one family and at least one node", () => {
    assert.throws(() => fold("10.0.0.1", "::1"), TypeError);
    assert.throws(() => fold(new Uint8Array(5), new Uint8Array(5)), TypeError);
    for (const nodes of [0, -1, 1.5]) assert.throws(() => nodeIndex("::1", "::2", nodes), RangeError);
  });
});
