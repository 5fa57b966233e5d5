/** The Internet checksum of RFC 1071. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { internetChecksum, onesComplementSum, pseudoHeaderSum } from "../../../src/protocol/checksum.ts";
import { fromHex } from "./vectors.ts";

describe("the Internet checksum", () => {
  it("is that of RFC 1071's example", () => {
    assert.equal(onesComplementSum(fromHex("0001 f203 f4f5 f6f7")), 0xddf2);
    assert.equal(internetChecksum(fromHex("0001 f203 f4f5 f6f7")), 0x220d);
  });

  it("is 0xffff over nothing", () => assert.equal(internetChecksum(new Uint8Array()), 0xffff));

  it("takes an odd last byte as the high half of a word", () => {
    assert.equal(internetChecksum(fromHex("0102 03")), internetChecksum(fromHex("0102 0300")));
  });

  it("carries around, however often", () => {
    assert.equal(onesComplementSum(new Uint8Array(65_536).fill(0xff)), 0xffff);
    assert.equal(onesComplementSum(fromHex("ffff 0001")), 0x0001);
    assert.equal(onesComplementSum(fromHex("ffff ffff 0001")), 0x0001);
  });

  it("makes data that holds it sum to 0xffff", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 4, maxLength: 200 }), (bytes) => {
        const view = new DataView(bytes.buffer);
        view.setUint16(2, 0);
        view.setUint16(2, internetChecksum(bytes));
        assert.equal(onesComplementSum(bytes), 0xffff);
      }),
    );
  });

  it("can be computed in pieces of even length", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), fc.uint8Array({ maxLength: 100 }), (head, tail) => {
        const even = head.subarray(0, head.length & ~1);
        assert.equal(
          onesComplementSum(tail, onesComplementSum(even)),
          onesComplementSum(Uint8Array.of(...even, ...tail)),
        );
      }),
    );
  });

  it("covers addresses, length and next header of an IPv6 pseudo-header", () => {
    const source = fromHex("20010db8000000000000000000000001");
    const destination = fromHex("ff020000000000000000000000000012");
    const header = fromHex(
      "20010db8000000000000000000000001 ff020000000000000000000000000012 00000024 00000070",
    );
    assert.equal(pseudoHeaderSum(source, destination, 112, 36), onesComplementSum(header));
  });
});
