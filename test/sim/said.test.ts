/**
 * Tests of the simulator's own reading of frames: it reads what the protocol's code reads, in whole frames and in
 * damaged ones.
 */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { addressBytes, formatAddress } from "../../src/protocol/address.ts";
import {
  ADVERTISEMENT_BYTES,
  CARP_PROTOCOL,
  encodeAdvertisement,
  parseAdvertisement,
} from "../../src/protocol/advertisement.ts";
import { Authentication } from "../../src/protocol/authentication.ts";
import { internetChecksum, pseudoHeaderSum } from "../../src/protocol/checksum.ts";
import { advertisementFrame, parseCarpFrame } from "../../src/protocol/frame.ts";
import { altered, routedFrame } from "./frames.ts";
import { Random } from "./random.ts";
import { type Said, said } from "./said.ts";

/** What a receiver reads with the code of src. */
function readBySrc(bytes: Uint8Array): Said | undefined {
  const parsed = parseCarpFrame(bytes);
  if (!("packet" in parsed) || parsed.packet.hopLimit !== 255) return undefined;
  const { family, source, addresses, multicast, message } = parsed.packet;
  const carried = parseAdvertisement(message, addresses);
  if (!("advertisement" in carried)) return undefined;
  const { version, type, ...fields } = carried.advertisement;
  const destination = formatAddress(addresses.destination);
  return version === 2 && type === 1 ? { family, source, destination, multicast, ...fields } : undefined;
}

const fields = { vhid: 7, advbase: 1, advskew: 100, demote: 2, counter: 0x0123_4567_89ab_cdefn };
const authentication = new Authentication({ pass: "secret", vhid: 7, addresses: ["10.0.0.1"] });
const message = encodeAdvertisement(fields, authentication);
const ADDRESSES = [
  ["10.0.0.2", "10.0.0.3"],
  ["fe80::2", "2001:db8::3"],
  ["2001:db8:1::2", "fe80::3"],
] as const;

/** The message with the checksum of NetBSD, which covers the addresses. */
function likeNetbsd(source: string, destination: string): Uint8Array {
  const bytes = Uint8Array.from(message);
  const view = new DataView(bytes.buffer);
  view.setUint16(6, 0);
  const initial = pseudoHeaderSum(
    addressBytes(source),
    addressBytes(destination),
    CARP_PROTOCOL,
    ADVERTISEMENT_BYTES,
  );
  view.setUint16(6, internetChecksum(bytes, initial));
  return bytes;
}

const WHOLE = ADDRESSES.flatMap(([source, destination]) => {
  const sent = { sourceMac: "00:00:5e:00:01:07", source, trafficClass: 0x10 };
  return [
    advertisementFrame({ ...sent, message }),
    advertisementFrame({ ...sent, message, destination }),
    routedFrame({ ...sent, destination, payload: message }),
    routedFrame({ ...sent, destination, payload: Uint8Array.from([...message, 1, 2, 3]) }),
    ...(source.includes(":")
      ? [routedFrame({ ...sent, destination, payload: likeNetbsd(source, destination) })]
      : []),
  ];
});

describe("what a frame says", () => {
  it("is read in whole frames", () => {
    for (const frame of WHOLE) {
      assert.equal(said(frame)?.counter, fields.counter);
      assert.deepEqual(said(frame), readBySrc(frame));
    }
  });

  it("is the same for the code of src in changed, damaged and shortened frames", () => {
    const random = new Random(1);
    let read = 0;
    for (let i = 0; i < 20_000; i++) {
      const whole = WHOLE[i % WHOLE.length] as Uint8Array;
      const changes = { advbase: random.integer(0, 255), advskew: random.integer(0, 255) };
      const frame = random.chance(0.5) ? Uint8Array.from(whole) : altered(whole, changes);
      for (let flips = random.pick(0, 1, 1, 2, 8); flips > 0; flips--) {
        const at = random.integer(12, frame.length - 1);
        frame[at] = (frame[at] ?? 0) ^ (1 << random.integer(0, 7));
      }
      const cut = frame.subarray(0, frame.length - random.pick(0, 0, 0, 1, 36, 60));
      const expected = readBySrc(cut);
      if (expected !== undefined) read++;
      assert.deepEqual(said(cut), expected);
    }
    assert.ok(read > 2_000, `only ${read} could be read`);
  });
});
