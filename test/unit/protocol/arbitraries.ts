/**
 * Arbitraries of fast-check for this protocol: canonical addresses, and configurations that an Authentication
 * takes.
 */

import fc from "fast-check";
import { formatAddress, formatMac } from "../../../src/protocol/address.ts";

export const ipv4Bytes = fc.uint8Array({ minLength: 4, maxLength: 4 });
/** Long runs of zeros, which decide the canonical text, come often. */
export const ipv6Bytes = fc
  .array(fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 0xffff })), { minLength: 8, maxLength: 8 })
  .map((words) => Uint8Array.from(words.flatMap((word) => [word >> 8, word & 0xff])));
export const ipv4 = ipv4Bytes.map(formatAddress);
export const ipv6 = ipv6Bytes.map(formatAddress);
export const address = fc.oneof(ipv4, ipv6);
export const addressPair = fc.oneof(fc.tuple(ipv4, ipv4), fc.tuple(ipv6, ipv6));
export const mac = fc.uint8Array({ minLength: 6, maxLength: 6 }).map(formatMac);

export const byte = fc.integer({ min: 0, max: 255 });
export const vhid = fc.integer({ min: 1, max: 255 });
export const counter = fc.bigInt({ min: 0n, max: 0xffff_ffff_ffff_ffffn });
export const pass = fc.string({ unit: "grapheme", maxLength: 30 });

export const authentication = fc.record({
  pass,
  vhid,
  addresses: fc.array(address, { minLength: 1, maxLength: 8 }),
});

export const fields = fc.record({ vhid, advskew: byte, advbase: byte, demote: byte, counter });
