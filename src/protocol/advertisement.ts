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
  message[0] = VERSION_AND_TYPE;
  message[offset.vhid] = inByte("vhid", vhid);
  message[offset.advskew] = inByte("advskew", advskew);
  message[offset.authLength] = AUTHENTICATION_WORDS;
  message[offset.demote] = inByte("demote", demote);
  message[offset.advbase] = inByte("advbase", advbase);
  message.set(authentication.sign(counter, form), offset.digest);
  counterView.setBigUint64(0, counter);
  message.set(counterBytes, offset.counter);
  message[offset.checksum] = 0;
  message[offset.checksum + 1] = 0;
  const checksum = internetChecksum(message);
  message[offset.checksum] = checksum >> 8;
  message[offset.checksum + 1] = checksum & 0xff;
  return message;
}

/** A view of each message would move the message out of the heap, which takes longer than all the rest. */
const counterBytes = new Uint8Array(8);
const counterView = new DataView(counterBytes.buffer);

/** The counter of the message that begins there. */
export function counterAt(bytes: Uint8Array, messageAt: number): bigint {
  for (let i = 0; i < 8; i++) counterBytes[i] = bytes[messageAt + offset.counter + i] as number;
  return counterView.getBigUint64(0);
}

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
  if (!isIntact(message, addresses)) return { reason: "bad-checksum" };
  const byte = (at: number) => message[at] as number;
  return {
    advertisement: {
      version: byte(0) >> 4,
      type: byte(0) & 0xf,
      vhid: byte(offset.vhid),
      advskew: byte(offset.advskew),
      authLength: byte(offset.authLength),
      demote: byte(offset.demote),
      advbase: byte(offset.advbase),
      counter: counterAt(message, 0),
      digest: message.subarray(offset.digest, ADVERTISEMENT_BYTES),
    },
  };
}

/**
 * The vhid that a message names, whatever else is wrong with it; undefined when it is too short to name one.
 */
export function vhidIn(message: Uint8Array): number | undefined {
  return message[offset.vhid];
}

function isIntact(message: Uint8Array, addresses?: AddressPair): boolean {
  const sumFrom = (initial: number) => onesComplementSum(message, initial, 0, ADVERTISEMENT_BYTES);
  if (sumFrom(0) === 0xffff) return true;
  if (addresses === undefined) return false;
  const { source, destination } = addresses;
  if (source.length !== 16 || destination.length !== 16) return false;
  return sumFrom(pseudoHeaderSum(source, destination, CARP_PROTOCOL, ADVERTISEMENT_BYTES)) === 0xffff;
}
