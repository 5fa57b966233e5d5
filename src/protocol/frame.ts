/**
 * Whole Ethernet frames that carry CARP over IPv4 or IPv6: built for the multicast groups, parsed from any
 * sender. Parsing trusts no length in a frame, and does not read the advertisement inside.
 */

import { addressBytes, type Family, formatAddress, formatMac, macBytes } from "./address.ts";
import { type AddressPair, CARP_PROTOCOL } from "./advertisement.ts";
import { onesComplementSum } from "./checksum.ts";
import { ETHERNET_HEADER_BYTES, EtherType, ethernetFrame, writeBytes } from "./ethernet.ts";
import { IPV4_HEADER_BYTES, IPV6_HEADER_BYTES, writeIpv4Header, writeIpv6Header } from "./ip.ts";

export { CARP_PROTOCOL } from "./advertisement.ts";
export { gratuitousArp, unsolicitedNeighbourAdvertisement } from "./announcement.ts";

export const CARP_GROUP4 = "224.0.0.18";
export const CARP_GROUP6 = "ff02::12";

const GROUP4 = addressBytes(CARP_GROUP4);
const GROUP6 = addressBytes(CARP_GROUP6);
const GROUP4_MAC = macBytes("01:00:5e:00:00:12");
const GROUP6_MAC = macBytes("33:33:00:00:00:12");
const NO_MAC = new Uint8Array(6);
const MORE_FRAGMENTS_OR_OFFSET = 0x3fff;
const FRAGMENT_HEADER = 44;
const FRAGMENT_HEADER_BYTES = 8;

export interface AdvertisementFrame {
  readonly sourceMac: string;
  /** Decides the family. */
  readonly source: string;
  /** TOS in IPv4. */
  readonly trafficClass: number;
  readonly message: Uint8Array;
  /** A unicast destination: its MAC is left zero, for the sender to fill in. Absent: the multicast group. */
  readonly destination?: string | undefined;
}

/** To the multicast group of the source's family or to one host, TTL or hop limit 255. */
export function advertisementFrame(options: AdvertisementFrame): Uint8Array {
  const { trafficClass, message } = options;
  if (!Number.isInteger(trafficClass) || trafficClass < 0 || trafficClass > 255) {
    throw new RangeError(`traffic class ${trafficClass}: must be 0..255`);
  }
  const sourceMac = macBytes(options.sourceMac);
  const source = addressBytes(options.source);
  const destination = options.destination === undefined ? undefined : addressBytes(options.destination);
  const header = { source, protocol: CARP_PROTOCOL, trafficClass, payloadBytes: message.length };
  if (source.length === 4) {
    const length = IPV4_HEADER_BYTES + message.length;
    const { frame, payload } = ethernetFrame(
      destination ? NO_MAC : GROUP4_MAC,
      sourceMac,
      EtherType.ipv4,
      length,
    );
    writeIpv4Header(payload, { ...header, destination: destination ?? GROUP4 });
    writeBytes(payload, IPV4_HEADER_BYTES, message);
    return frame;
  }
  const length = IPV6_HEADER_BYTES + message.length;
  const { frame, payload } = ethernetFrame(
    destination ? NO_MAC : GROUP6_MAC,
    sourceMac,
    EtherType.ipv6,
    length,
  );
  writeIpv6Header(payload, { ...header, destination: destination ?? GROUP6 });
  writeBytes(payload, IPV6_HEADER_BYTES, message);
  return frame;
}

export interface CarpPacket {
  readonly family: Family;
  readonly source: string;
  /** Both addresses as bytes: a checksum may cover them. Views of the frame, not copies. */
  readonly addresses: AddressPair;
  /** Whether the IP destination is multicast, of any group. */
  readonly multicast: boolean;
  /** TTL in IPv4. */
  readonly hopLimit: number;
  /** The whole payload by the IP header's length; a view of the frame, not a copy. */
  readonly message: Uint8Array;
}

export type ParsedFrame =
  | { readonly packet: CarpPacket }
  /**
   * `bad-header`: the IP header contradicts itself. A packet socket sees it before the kernel has checked it.
   */
  | { readonly reason: "not-carp" | "truncated" | "fragment" | "bad-header" };

/**
 * Parses a frame. Bytes behind the IP header's length are Ethernet padding and cut off. The source MAC is ignored: it
 * may be the virtual host's, which does not identify the sender.
 */
export function parseCarpFrame(frame: Uint8Array): ParsedFrame {
  if (frame.length < ETHERNET_HEADER_BYTES) return { reason: "truncated" };
  switch (wordAt(frame, 12)) {
    case EtherType.ipv4:
      return parseIpv4(frame);
    case EtherType.ipv6:
      return parseIpv6(frame);
    default:
      return { reason: "not-carp" };
  }
}

/** Both are within the frame. A DataView would take longer to make than all that is read here. */
function byteAt(frame: Uint8Array, at: number): number {
  return frame[at] as number;
}

function wordAt(frame: Uint8Array, at: number): number {
  return (byteAt(frame, at) << 8) | byteAt(frame, at + 1);
}

/** A view of the frame, not a copy. */
function partOf(frame: Uint8Array, start: number, end: number): Uint8Array {
  return new Uint8Array(frame.buffer, frame.byteOffset + start, end - start);
}

/** The Ethernet source of a frame that was parsed. It may be the virtual host's MAC, which does not identify the sender. */
export function sourceMac(frame: Uint8Array): string {
  return formatMac(frame.subarray(6, 12));
}

function parseIpv4(frame: Uint8Array): ParsedFrame {
  const ip = ETHERNET_HEADER_BYTES;
  const bytes = frame.length - ip;
  if (bytes < IPV4_HEADER_BYTES) return { reason: "truncated" };
  if (byteAt(frame, ip + 9) !== CARP_PROTOCOL) return { reason: "not-carp" };
  const headerBytes = (byteAt(frame, ip) & 0xf) * 4;
  if (byteAt(frame, ip) >> 4 !== 4 || headerBytes < IPV4_HEADER_BYTES) return { reason: "bad-header" };
  const totalBytes = wordAt(frame, ip + 2);
  if (totalBytes < headerBytes || totalBytes > bytes) return { reason: "truncated" };
  if (onesComplementSum(frame, 0, ip, ip + headerBytes) !== 0xffff) return { reason: "bad-header" };
  if ((wordAt(frame, ip + 6) & MORE_FRAGMENTS_OR_OFFSET) !== 0) return { reason: "fragment" };
  const source = partOf(frame, ip + 12, ip + 16);
  return {
    packet: {
      family: 4,
      source: formatAddress(source),
      addresses: { source, destination: partOf(frame, ip + 16, ip + 20) },
      multicast: byteAt(frame, ip + 16) >> 4 === 0xe,
      hopLimit: byteAt(frame, ip + 8),
      message: partOf(frame, ip + headerBytes, ip + totalBytes),
    },
  };
}

function parseIpv6(frame: Uint8Array): ParsedFrame {
  const ip = ETHERNET_HEADER_BYTES;
  const bytes = frame.length - ip;
  if (bytes < IPV6_HEADER_BYTES) return { reason: "truncated" };
  const end = IPV6_HEADER_BYTES + wordAt(frame, ip + 4);
  const nextHeader = byteAt(frame, ip + 6);
  if (nextHeader === FRAGMENT_HEADER) return { reason: carriesCarpFragment(frame) ? "fragment" : "not-carp" };
  if (nextHeader !== CARP_PROTOCOL) return { reason: "not-carp" };
  if (byteAt(frame, ip) >> 4 !== 6) return { reason: "bad-header" };
  if (end > bytes) return { reason: "truncated" };
  const source = partOf(frame, ip + 8, ip + 24);
  return {
    packet: {
      family: 6,
      source: formatAddress(source),
      addresses: { source, destination: partOf(frame, ip + 24, ip + 40) },
      multicast: byteAt(frame, ip + 24) === 0xff,
      hopLimit: byteAt(frame, ip + 7),
      message: partOf(frame, ip + IPV6_HEADER_BYTES, ip + end),
    },
  };
}

function carriesCarpFragment(frame: Uint8Array): boolean {
  const headersEnd = ETHERNET_HEADER_BYTES + IPV6_HEADER_BYTES;
  if (frame.length < headersEnd + FRAGMENT_HEADER_BYTES) return false;
  return byteAt(frame, headersEnd) === CARP_PROTOCOL;
}
