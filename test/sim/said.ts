/**
 * Said: what a frame says, if a host has to look at it: a whole advertisement of carp version 2 over IPv4 or IPv6, from
 * the segment itself, with checksums that are right. Reads the bytes by itself, and shares nothing with the code of hosts.
 */

import { formatAddress } from "../../src/protocol/address.ts";

export interface Said {
  readonly family: 4 | 6;
  readonly source: string;
  readonly destination: string;
  readonly multicast: boolean;
  readonly vhid: number;
  readonly advskew: number;
  readonly authLength: number;
  readonly demote: number;
  readonly advbase: number;
  readonly counter: bigint;
  readonly digest: Uint8Array;
}

const ETHERNET_BYTES = 14;
const IPV4_BYTES = 20;
const IPV6_BYTES = 40;
const CARP = 112;
const ADVERTISEMENT_BYTES = 36;
const VERSION_AND_TYPE = 0x21;
/** Of the second word of IPv4's flags: more fragments, and where this one belongs. */
const FRAGMENT_BITS = 0x3fff;

/** undefined: no host has to look at it. */
export function said(bytes: Uint8Array): Said | undefined {
  const etherType = bytes.length < ETHERNET_BYTES ? 0 : wordAt(bytes, 12);
  if (etherType === 0x0800) return overIpv4(bytes);
  return etherType === 0x86dd ? overIpv6(bytes) : undefined;
}

function overIpv4(bytes: Uint8Array): Said | undefined {
  const ip = ETHERNET_BYTES;
  if (bytes.length < ip + IPV4_BYTES) return undefined;
  const headerBytes = 4 * (byteAt(bytes, ip) & 0xf);
  const totalBytes = wordAt(bytes, ip + 2);
  if (byteAt(bytes, ip) >> 4 !== 4 || headerBytes < IPV4_BYTES) return undefined;
  if (totalBytes < headerBytes + ADVERTISEMENT_BYTES || ip + totalBytes > bytes.length) return undefined;
  if ((wordAt(bytes, ip + 6) & FRAGMENT_BITS) !== 0) return undefined;
  if (byteAt(bytes, ip + 8) !== 255 || byteAt(bytes, ip + 9) !== CARP) return undefined;
  if (sumOf(bytes, ip, headerBytes) !== 0xffff) return undefined;
  const message = ip + headerBytes;
  if (sumOf(bytes, message, ADVERTISEMENT_BYTES) !== 0xffff) return undefined;
  const isMulticast = byteAt(bytes, ip + 16) >> 4 === 0xe;
  return advertisement(bytes, message, {
    family: 4,
    source: ipv4At(bytes, ip + 12),
    destination: ipv4At(bytes, ip + 16),
    multicast: isMulticast,
  });
}

function overIpv6(bytes: Uint8Array): Said | undefined {
  const ip = ETHERNET_BYTES;
  const message = ip + IPV6_BYTES;
  if (bytes.length < message) return undefined;
  const payloadBytes = wordAt(bytes, ip + 4);
  if (byteAt(bytes, ip) >> 4 !== 6 || byteAt(bytes, ip + 6) !== CARP || byteAt(bytes, ip + 7) !== 255)
    return undefined;
  if (payloadBytes < ADVERTISEMENT_BYTES || message + payloadBytes > bytes.length) return undefined;
  const sum = sumOf(bytes, message, ADVERTISEMENT_BYTES);
  // NetBSD's covers the addresses, too, as those of UDP and TCP do.
  if (sum !== 0xffff && folded(sum + sumOf(bytes, ip + 8, 32) + CARP + ADVERTISEMENT_BYTES) !== 0xffff)
    return undefined;
  return advertisement(bytes, message, {
    family: 6,
    source: ipv6At(bytes, ip + 8),
    destination: ipv6At(bytes, ip + 24),
    multicast: byteAt(bytes, ip + 24) === 0xff,
  });
}

function advertisement(
  bytes: Uint8Array,
  at: number,
  { family, source, destination, multicast }: Pick<Said, "family" | "source" | "destination" | "multicast">,
): Said | undefined {
  if (byteAt(bytes, at) !== VERSION_AND_TYPE) return undefined;
  return {
    family,
    source,
    destination,
    multicast,
    vhid: byteAt(bytes, at + 1),
    advskew: byteAt(bytes, at + 2),
    authLength: byteAt(bytes, at + 3),
    demote: byteAt(bytes, at + 4),
    advbase: byteAt(bytes, at + 5),
    counter: longAt(bytes, at + 8),
    digest: bytes.subarray(at + 16, at + ADVERTISEMENT_BYTES),
  };
}

function byteAt(bytes: Uint8Array, at: number): number {
  return bytes[at] as number;
}

function wordAt(bytes: Uint8Array, at: number): number {
  return (byteAt(bytes, at) << 8) | byteAt(bytes, at + 1);
}

/** To read 8 bytes: to make a view of each frame takes longer than all the rest. */
const long = new DataView(new ArrayBuffer(8));

function longAt(bytes: Uint8Array, at: number): bigint {
  for (let i = 0; i < 8; i++) long.setUint8(i, byteAt(bytes, at + i));
  return long.getBigUint64(0);
}

/** The ones' complement sum of an even number of bytes. */
function sumOf(bytes: Uint8Array, from: number, count: number): number {
  let sum = 0;
  for (let at = from; at < from + count; at += 2) sum += wordAt(bytes, at);
  return folded(sum);
}

function folded(sum: number): number {
  let left = sum;
  while (left > 0xffff) left = (left & 0xffff) + (left >>> 16);
  return left;
}

function ipv4At(bytes: Uint8Array, at: number): string {
  return `${bytes[at]}.${bytes[at + 1]}.${bytes[at + 2]}.${bytes[at + 3]}`;
}

/** The texts of IPv6 addresses formatted before, by their last two bytes. */
const texts = new Map<number, { readonly bytes: Uint8Array; readonly text: string }>();

function ipv6At(bytes: Uint8Array, at: number): string {
  const place = wordAt(bytes, at + 14);
  const known = texts.get(place);
  if (known !== undefined && areSame(known.bytes, bytes, at)) return known.text;
  const address = bytes.slice(at, at + 16);
  const text = formatAddress(address);
  texts.set(place, { bytes: address, text });
  return text;
}

function areSame(address: Uint8Array, bytes: Uint8Array, at: number): boolean {
  for (let i = 0; i < 16; i++) if (address[i] !== bytes[at + i]) return false;
  return true;
}
