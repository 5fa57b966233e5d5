/**
 * The 36 bytes of a CARP version 2 advertisement, as they lie behind an IP header. Parsing checks only that
 * it arrived whole: version and digest are the receiver's to check, in that order.
 */

import type { Authentication, DigestForm } from "./authentication.ts";
import { internetChecksum, onesComplementSum, pseudoHeaderSum } from "./checksum.ts";

export const ADVERTISEMENT_BYTES = 36;
export const CARP_PROTOCOL = 112;

const VERSION_AND_TYPE = 0x21;
/** Counter and digest, in 32-bit words. */
const AUTHENTICATION_WORDS = 7;

const offset = {
  vhid: 1,
  advskew: 2,
  authLength: 3,
  demote: 4,
  advbase: 5,
  checksum: 6,
  counter: 8,
  digest: 16,
};

export interface Advertisement {
  readonly version: number;
  readonly type: number;
  readonly vhid: number;
  readonly advskew: number;
  /** 32-bit words of counter and digest. Every sender writes 7, no receiver checks it. */
  readonly authLength: number;
  readonly demote: number;
  readonly advbase: number;
  readonly counter: bigint;
  /** A view of the message, not a copy. */
  readonly digest: Uint8Array;
}

export interface AdvertisementFields {
  readonly vhid: number;
  readonly advskew: number;
  readonly advbase: number;
  readonly demote: number;
  readonly counter: bigint;
}

/**
 * @param message 36 bytes to write into
 * @throws RangeError when a field does not fit its place.
 */
export function encodeAdvertisement(
  fields: AdvertisementFields,
  authentication: Authentication,
  form?: DigestForm,
  message = new Uint8Array(ADVERTISEMENT_BYTES),
): Uint8Array {
  const { vhid, advskew, advbase, demote, counter } = fields;
  message.fill(0);
  message[0] = VERSION_AND_TYPE;
  message[offset.vhid] = inByte("vhid", vhid);
  message[offset.advskew] = inByte("advskew", advskew);
  message[offset.authLength] = AUTHENTICATION_WORDS;
  message[offset.demote] = inByte("demote", demote);
  message[offset.advbase] = inByte("advbase", advbase);
  message.set(authentication.sign(counter, form), offset.digest);
  counterView.setBigUint64(0, counter);
  message.set(counterBytes, offset.counter);
  const checksum = internetChecksum(message);
  message[offset.checksum] = checksum >> 8;
  message[offset.checksum + 1] = checksum & 0xff;
  return message;
}

/** A view of each message would move the message out of the heap, which takes longer than all the rest. */
const counterBytes = new Uint8Array(8);
const counterView = new DataView(counterBytes.buffer);

function inByte(name: string, value: number): number {
  if (!Number.isInteger(value) || value < 0 || value > 255)
    throw new RangeError(`${name} ${value}: must be 0..255`);
  return value;
}

/** Source and destination of an IP packet. */
export interface AddressPair {
  readonly source: Uint8Array;
  readonly destination: Uint8Array;
}

/**
 * @param message what an IP packet carries; bytes beyond the 36th are no part of it.
 * @param addresses of an IPv6 packet: NetBSD's checksum has covered the pseudo-header since 2023, no other's does.
 */
export function parseAdvertisement(
  message: Uint8Array,
  addresses?: AddressPair,
): { readonly advertisement: Advertisement } | { readonly reason: "shorter-than-header" | "bad-checksum" } {
  if (message.length < ADVERTISEMENT_BYTES) return { reason: "shorter-than-header" };
  const bytes = message.subarray(0, ADVERTISEMENT_BYTES);
  if (!isIntact(bytes, addresses)) return { reason: "bad-checksum" };
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const versionAndType = view.getUint8(0);
  return {
    advertisement: {
      version: versionAndType >> 4,
      type: versionAndType & 0xf,
      vhid: view.getUint8(offset.vhid),
      advskew: view.getUint8(offset.advskew),
      authLength: view.getUint8(offset.authLength),
      demote: view.getUint8(offset.demote),
      advbase: view.getUint8(offset.advbase),
      counter: view.getBigUint64(offset.counter),
      digest: bytes.subarray(offset.digest),
    },
  };
}

/**
 * The vhid that a message names, whatever else is wrong with it; undefined when it is too short to name one.
 */
export function vhidIn(message: Uint8Array): number | undefined {
  return message[offset.vhid];
}

function isIntact(bytes: Uint8Array, addresses?: AddressPair): boolean {
  const sum = onesComplementSum(bytes);
  if (sum === 0xffff) return true;
  if (addresses === undefined) return false;
  const { source, destination } = addresses;
  if (source.length !== 16 || destination.length !== 16) return false;
  return (
    onesComplementSum(bytes, pseudoHeaderSum(source, destination, CARP_PROTOCOL, bytes.length)) === 0xffff
  );
}
