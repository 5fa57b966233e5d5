/** Advertisements: the 36 bytes, fields at their ends, checksum, and recordings of other implementations. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { addressBytes } from "../../../src/protocol/address.ts";
import {
  ADVERTISEMENT_BYTES,
  type AddressPair,
  encodeAdvertisement,
  parseAdvertisement,
} from "../../../src/protocol/advertisement.ts";
import { Authentication } from "../../../src/protocol/authentication.ts";
import * as draw from "./arbitraries.ts";
import { advertisements, fromHex, toHex } from "./vectors.ts";

const authentication = new Authentication({
  pass: "secret",
  vhid: 7,
  addresses: ["10.0.0.1", "2001:db8::1"],
});
const fields = { vhid: 7, advskew: 100, advbase: 1, demote: 3, counter: 0x0102030405060708n };

function parsed(message: Uint8Array, addresses?: AddressPair) {
  const result = parseAdvertisement(message, addresses);
  assert.ok("advertisement" in result, "reason" in result ? result.reason : "");
  return result.advertisement;
}

describe("recorded advertisements", () => {
  for (const vector of advertisements) {
    const { counter, lladdr_set_by_hand, packet, name, ...rest } = vector;
    const ours = { ...rest, counter: BigInt(`0x${counter}`) };
    const signer = new Authentication({ ...rest, handSetLladdr: lladdr_set_by_hand ?? undefined });

    it(`are written byte for byte: ${name}`, () => {
      assert.equal(toHex(encodeAdvertisement(ours, signer)), packet);
    });

    it(`are read and believed: ${name}`, () => {
      const advertisement = parsed(fromHex(packet));
      assert.ok(signer.verify(advertisement.counter, advertisement.digest));
      const { vhid, advskew, advbase, demote, counter: his } = advertisement;
      assert.deepEqual(
        { vhid, advskew, advbase, demote, counter: his },
        {
          vhid: ours.vhid,
          advskew: ours.advskew,
          advbase: ours.advbase,
          demote: ours.demote,
          counter: ours.counter,
        },
      );
    });
  }
});

describe("an advertisement", () => {
  it("comes back as it was written", () => {
    fc.assert(
      fc.property(draw.authentication, draw.fields, (options, drawn) => {
        const signer = new Authentication(options);
        const { digest, ...rest } = parsed(encodeAdvertisement(drawn, signer));
        assert.deepEqual(rest, { version: 2, type: 1, authLength: 7, ...drawn });
        assert.ok(signer.verify(drawn.counter, digest));
      }),
    );
  });

  it("has no room for fields out of range", () => {
    for (const name of ["vhid", "advskew", "advbase", "demote"] as const) {
      for (const value of [-1, 256, 0.5, Number.NaN]) {
        assert.throws(() => encodeAdvertisement({ ...fields, [name]: value }, authentication), RangeError);
      }
    }
    assert.throws(() => encodeAdvertisement({ ...fields, counter: 1n << 64n }, authentication), RangeError);
  });

  it("is read from the middle of a larger buffer", () => {
    const buffer = new Uint8Array(100).fill(0xaa);
    buffer.set(encodeAdvertisement(fields, authentication), 33);
    const { counter, digest } = parsed(buffer.subarray(33, 33 + ADVERTISEMENT_BYTES));
    assert.equal(counter, fields.counter);
    assert.ok(authentication.verify(counter, digest));
  });

  it("ends after 36 bytes, whatever follows", () => {
    const message = Uint8Array.of(...encodeAdvertisement(fields, authentication), 1, 2, 3);
    const { counter, digest } = parsed(message);
    assert.equal(digest.length, 20);
    assert.ok(authentication.verify(counter, digest));
  });

  it("is refused as too short at every shorter length", () => {
    const message = encodeAdvertisement(fields, authentication);
    for (let length = 0; length < ADVERTISEMENT_BYTES; length++) {
      assert.deepEqual(parseAdvertisement(message.subarray(0, length)), { reason: "shorter-than-header" });
    }
  });

  it("is refused when any one bit of it is flipped", () => {
    const message = encodeAdvertisement(fields, authentication);
    for (let bit = 0; bit < ADVERTISEMENT_BYTES * 8; bit++) {
      const spoiled = message.map((value, i) => (i === bit >> 3 ? value ^ (0x80 >> (bit & 7)) : value));
      assert.deepEqual(parseAdvertisement(spoiled), { reason: "bad-checksum" });
    }
  });

  it("of another version or type is read, for the receiver to judge", () => {
    const { version, type } = parsed(withChecksum(encodeAdvertisement(fields, authentication).with(0, 0x3f)));
    assert.deepEqual({ version, type }, { version: 3, type: 15 });
  });

  it("may be any bytes at all without making the reader throw", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2000 }), draw.addressPair, (bytes, [source, destination]) => {
        parseAdvertisement(bytes);
        const addresses = { source: addressBytes(source), destination: addressBytes(destination) };
        parseAdvertisement(bytes, addresses);
        if (bytes.length >= 8) parseAdvertisement(withChecksum(bytes), addresses);
      }),
    );
  });
});

describe("over IPv6 the checksum", () => {
  const addresses = { source: addressBytes("fe80::2"), destination: addressBytes("ff02::12") };
  const message = encodeAdvertisement(fields, authentication);
  const netbsd = withChecksum(message, [
    ...addresses.source,
    ...addresses.destination,
    ...[0, 0, 0, 36, 0, 0, 0, 112],
  ]);

  it("is accepted without the pseudo-header", () => assert.equal(parsed(message, addresses).vhid, 7));

  it("is accepted with the pseudo-header, as NetBSD sends it", () => {
    assert.notEqual(toHex(netbsd), toHex(message));
    assert.equal(parsed(netbsd, addresses).vhid, 7);
  });

  it("counts the pseudo-header of the packet's own addresses only", () => {
    assert.deepEqual(parseAdvertisement(netbsd, { ...addresses, source: addressBytes("fe80::3") }), {
      reason: "bad-checksum",
    });
    assert.deepEqual(parseAdvertisement(netbsd), { reason: "bad-checksum" });
  });

  it("has no pseudo-header over IPv4", () => {
    const ipv4 = { source: addressBytes("10.0.0.2"), destination: addressBytes("224.0.0.18") };
    assert.equal(parsed(message, ipv4).vhid, 7);
    assert.deepEqual(parseAdvertisement(netbsd, ipv4), { reason: "bad-checksum" });
    const covered = [...ipv4.source, ...ipv4.destination, 0, 112, 0, 36];
    assert.deepEqual(parseAdvertisement(withChecksum(message, covered), ipv4), { reason: "bad-checksum" });
  });
});

/** Puts the right checksum into bytes 6 and 7, worked out the plain way. */
function withChecksum(message: Uint8Array, before: number[] = []): Uint8Array {
  const zeroed = message.with(6, 0).with(7, 0);
  const bytes = [...before, ...zeroed.subarray(0, ADVERTISEMENT_BYTES)];
  let sum = bytes.reduce((total, value, i) => total + (i % 2 === 0 ? value * 256 : value), 0);
  while (sum > 0xffff) sum = (sum % 0x10000) + Math.floor(sum / 0x10000);
  const checksum = 0xffff - sum;
  return zeroed.with(6, checksum >> 8).with(7, checksum & 0xff);
}
