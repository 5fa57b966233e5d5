/** Ethernet frames of advertisements: a BSD kernel's, ours and damaged ones. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { addressBytes, formatAddress, formatMac } from "../../../src/protocol/address.ts";
import { encodeAdvertisement, parseAdvertisement } from "../../../src/protocol/advertisement.ts";
import { Authentication } from "../../../src/protocol/authentication.ts";
import {
  advertisementFrame,
  CARP_GROUP4,
  CARP_GROUP6,
  CARP_PROTOCOL,
  type CarpPacket,
  gratuitousArp,
  parseCarpFrame,
} from "../../../src/protocol/frame.ts";
import * as draw from "./arbitraries.ts";
import { captured, fromHex, toHex } from "./vectors.ts";

const message = Uint8Array.from({ length: 36 }, (_, i) => i);
const ours = { sourceMac: "00:00:5e:00:01:07", trafficClass: 0x10, message };
const frame4 = advertisementFrame({ ...ours, source: "10.88.0.2" });
const frame6 = advertisementFrame({ ...ours, source: "fd88::2" });
const BOTH = [
  { family: "IPv4", frame: frame4, headers: 14 + 20 },
  { family: "IPv6", frame: frame6, headers: 14 + 40 },
];

function packetOf(frame: Uint8Array) {
  const result = parseCarpFrame(frame);
  assert.ok("packet" in result, "reason" in result ? result.reason : "");
  return result.packet;
}

function destinationOf({ addresses }: CarpPacket): string {
  return formatAddress(addresses.destination);
}

function reasonOf(frame: Uint8Array): string {
  const result = parseCarpFrame(frame);
  return "reason" in result ? result.reason : "accepted";
}

describe("frames captured from a BSD kernel", () => {
  for (const vector of captured) {
    const authentication = new Authentication(vector);
    const isArp = (hex: string) => hex.slice(24, 28) === "0806";

    it(`are read, believed and rebuilt byte for byte: ${vector.name}`, () => {
      for (const hex of vector.frames.filter((frame) => !isArp(frame))) {
        const packet = packetOf(fromHex(hex));
        assert.ok(vector.carpdev_addresses.includes(packet.source));
        assert.equal(destinationOf(packet), packet.family === 4 ? CARP_GROUP4 : CARP_GROUP6);
        assert.equal(packet.hopLimit, 255);
        assert.equal(packet.multicast, true);

        const result = parseAdvertisement(packet.message, packet.addresses);
        assert.ok("advertisement" in result);
        const { advertisement } = result;
        assert.equal(advertisement.vhid, vector.vhid);
        assert.ok([vector.advbase, 255].includes(advertisement.advbase));
        assert.ok(authentication.verify(advertisement.counter, advertisement.digest));

        const rebuilt = advertisementFrame({
          sourceMac: formatMac(fromHex(hex).subarray(6, 12)),
          source: packet.source,
          trafficClass: packet.family === 4 ? 0x10 : 0,
          message: encodeAdvertisement(advertisement, authentication),
        });
        assert.equal(toHex(rebuilt), hex);
      }
    });

    const announcements = vector.frames.filter(isArp);
    if (announcements.length > 0) {
      it(`are gratuitous ARP rebuilt byte for byte, and no CARP: ${vector.name}`, () => {
        for (const hex of announcements) {
          const frame = fromHex(hex);
          assert.equal(reasonOf(frame), "not-carp");
          const mac = formatMac(frame.subarray(22, 28));
          const address = formatAddress(frame.subarray(28, 32));
          assert.equal(toHex(gratuitousArp(mac, address, vector.carpdev_mac)), hex);
        }
      });
    }
  }
});

describe("a frame of ours", () => {
  it("comes back as it was built, in either family", () => {
    fc.assert(
      fc.property(
        draw.address,
        draw.mac,
        draw.byte,
        fc.uint8Array({ maxLength: 1400 }),
        (source, sourceMac, trafficClass, carried) => {
          const frame = advertisementFrame({ sourceMac, source, trafficClass, message: carried });
          const family = source.includes(":") ? 6 : 4;
          assert.deepEqual(packetOf(frame), {
            family,
            source,
            addresses: {
              source: addressBytes(source),
              destination: addressBytes(family === 4 ? CARP_GROUP4 : CARP_GROUP6),
            },
            multicast: true,
            hopLimit: 255,
            message: carried,
          });
        },
      ),
    );
  });

  it("says its traffic class where its family has it", () => {
    assert.equal(frame4[15], 0x10);
    assert.equal(toHex(frame6.subarray(14, 18)), "61000000");
    assert.equal(
      toHex(advertisementFrame({ ...ours, source: "fd88::2", trafficClass: 0xff }).subarray(14, 18)),
      "6ff00000",
    );
    for (const trafficClass of [-1, 256, 0.5]) {
      assert.throws(() => advertisementFrame({ ...ours, source: "10.0.0.1", trafficClass }), RangeError);
    }
  });
});

describe("reading a frame", () => {
  for (const { family, frame, headers } of BOTH) {
    it(`finds ${family} truncated at every shorter length`, () => {
      for (let length = 0; length < frame.length; length++) {
        assert.equal(reasonOf(frame.subarray(0, length)), "truncated", `${length} bytes`);
      }
    });

    it(`cuts off what Ethernet padded behind ${family}`, () => {
      const padded = Uint8Array.of(...frame, ...new Uint8Array(20).fill(0xee));
      assert.deepEqual(packetOf(padded).message, message);
    });

    it(`works in the middle of a larger buffer: ${family}`, () => {
      const buffer = new Uint8Array(400).fill(0xaa);
      buffer.set(frame, 101);
      assert.deepEqual(packetOf(buffer.subarray(101, 101 + frame.length)), packetOf(frame));
    });

    it(`gives a ${family} packet that is too short for an advertisement to its reader`, () => {
      const short = advertisementFrame({
        ...ours,
        source: packetOf(frame).source,
        message: message.subarray(0, 35),
      });
      assert.equal(short.length, headers + 35);
      assert.deepEqual(parseAdvertisement(packetOf(short).message), { reason: "shorter-than-header" });
    });
  }

  it("leaves every other protocol, EtherType and VLAN tag alone", () => {
    assert.equal(reasonOf(withIpv4(frame4, { 9: 17 })), "not-carp");
    assert.equal(reasonOf(frame6.with(20, 58)), "not-carp");
    assert.equal(reasonOf(frame4.with(12, 0x86).with(13, 0xde)), "not-carp");
    assert.equal(
      reasonOf(Uint8Array.of(...frame4.subarray(0, 12), 0x81, 0, 0, 5, ...frame4.subarray(12))),
      "not-carp",
    );
    assert.equal(reasonOf(new Uint8Array(14)), "not-carp");
  });

  it("refuses a length that is more than there is, or less than the header", () => {
    assert.equal(reasonOf(withIpv4(frame4, { 2: 0, 3: 57 })), "truncated");
    assert.equal(reasonOf(withIpv4(frame4, { 2: 0, 3: 19 })), "truncated");
    assert.equal(reasonOf(withIpv4(frame4, { 2: 0xff, 3: 0xff })), "truncated");
    assert.equal(reasonOf(frame6.with(19, 37)), "truncated");
    assert.equal(reasonOf(frame6.with(18, 0xff)), "truncated");
  });

  it("takes no byte for the message that the IP length does not cover", () => {
    assert.equal(packetOf(withIpv4(frame4, { 2: 0, 3: 20 })).message.length, 0);
    assert.equal(packetOf(withIpv4(frame4, { 2: 0, 3: 30 })).message.length, 10);
    assert.equal(packetOf(frame6.with(19, 0)).message.length, 0);
    assert.equal(packetOf(frame6.with(19, 10)).message.length, 10);
  });

  it("looks behind IPv4 options", () => {
    const options = Uint8Array.of(0x94, 4, 0, 0, 1, 1, 1, 0);
    const grown = Uint8Array.of(...frame4.subarray(0, 34), ...options, ...frame4.subarray(34));
    const frame = withIpv4(grown, { 0: 0x47, 3: 56 + 8 });
    assert.deepEqual(packetOf(frame).message, message);
    assert.equal(reasonOf(withIpv4(grown, { 0: 0x4f, 3: 59 })), "truncated");
  });

  it("refuses an IPv4 header with any one bit flipped", () => {
    for (let bit = 14 * 8; bit < 34 * 8; bit++) {
      assert.notEqual(reasonOf(flipBit(frame4, bit)), "accepted", `bit ${bit}`);
    }
  });

  it("refuses a header of another version, or one too small to be a header", () => {
    assert.equal(reasonOf(withIpv4(frame4, { 0: 0x55 })), "bad-header");
    assert.equal(reasonOf(withIpv4(frame4, { 0: 0x44 })), "bad-header");
    assert.equal(reasonOf(frame6.with(14, 0x40)), "bad-header");
  });

  it("refuses fragments, the first, the middle and the last", () => {
    assert.equal(reasonOf(withIpv4(frame4, { 6: 0x20, 7: 0 })), "fragment");
    assert.equal(reasonOf(withIpv4(frame4, { 6: 0x20, 7: 2 })), "fragment");
    assert.equal(reasonOf(withIpv4(frame4, { 6: 0, 7: 2 })), "fragment");
    const header = Uint8Array.of(CARP_PROTOCOL, 0, 0, 1, 0, 0, 0, 9);
    const fragment = Uint8Array.of(...frame6.subarray(0, 54), ...header, ...frame6.subarray(54)).with(20, 44);
    assert.equal(reasonOf(fragment), "fragment");
    assert.equal(reasonOf(fragment.with(54, 17)), "not-carp");
    assert.equal(reasonOf(fragment.subarray(0, 60)), "not-carp");
  });

  it("tells a unicast packet from a multicast one, and says its hop limit", () => {
    const unicast4 = packetOf(withIpv4(frame4, { 8: 64, 16: 10, 17: 88, 18: 0, 19: 1 }));
    assert.deepEqual(
      [unicast4.multicast, unicast4.hopLimit, destinationOf(unicast4)],
      [false, 64, "10.88.0.1"],
    );
    const unicast6 = packetOf(frame6.with(21, 1).with(38, 0xfd).with(39, 0x88));
    assert.deepEqual(
      [unicast6.multicast, unicast6.hopLimit, destinationOf(unicast6)],
      [false, 1, "fd88::12"],
    );
    assert.equal(packetOf(withIpv4(frame4, { 16: 239 })).multicast, true);
    assert.equal(packetOf(withIpv4(frame4, { 16: 240 })).multicast, false);
  });

  it("never throws and never reaches beyond the frame, whatever the bytes", () => {
    const etherType = fc.constantFrom(
      [0x08, 0x00, 0x45],
      [0x86, 0xdd, 0x60],
      [0x08, 0x06, 0x00],
      [0x81, 0x00, 0x00],
    );
    const likely = fc.tuple(fc.uint8Array({ maxLength: 1985 }), etherType).map(([bytes, type]) => {
      const frame = Uint8Array.of(...new Uint8Array(12), ...type, ...bytes);
      return frame.map((value, i) => (i === (type[2] === 0x45 ? 23 : 20) ? CARP_PROTOCOL : value));
    });
    const damaged = fc
      .tuple(fc.constantFrom(frame4, frame6), fc.array(fc.tuple(fc.nat(89), draw.byte), { maxLength: 6 }))
      .map(([frame, changes]) =>
        changes.reduce((bytes, [at, value]) => (at < bytes.length ? bytes.with(at, value) : bytes), frame),
      )
      .map((frame) => (frame[12] === 0x08 ? withIpv4(frame, {}) : frame));
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 2000 }), likely, damaged), (frame) => {
        const result = parseCarpFrame(frame);
        if (!("packet" in result)) return;
        const { packet } = result;
        assert.ok(packet.message.length <= frame.length - 34);
        parseAdvertisement(packet.message, packet.addresses);
      }),
      { numRuns: 5000 },
    );
  });
});

/** Writes bytes of the IPv4 header, by offset, and makes its checksum right again. */
function withIpv4(frame: Uint8Array, bytes: Readonly<Record<number, number>>): Uint8Array {
  const changed = Uint8Array.from(frame);
  for (const [offset, value] of Object.entries({ ...bytes, 10: 0, 11: 0 }))
    changed[14 + Number(offset)] = value;
  const header = changed.subarray(14, 14 + ((changed[14] ?? 0) & 0xf) * 4);
  let sum = header.reduce((total, value, i) => total + (i % 2 === 0 ? value * 256 : value), 0);
  while (sum > 0xffff) sum = (sum % 0x10000) + Math.floor(sum / 0x10000);
  return changed.with(24, (0xffff - sum) >> 8).with(25, (0xffff - sum) & 0xff);
}

function flipBit(bytes: Uint8Array, bit: number): Uint8Array {
  return bytes.map((value, i) => (i === bit >> 3 ? value ^ (0x80 >> (bit & 7)) : value));
}
