/**
 * IPv4 and IPv6 headers of the frames that this host sends: no options, and hop limit 255, which proves to
 * the receiver that no router was in between.
 */

import { internetChecksum } from "./checksum.ts";
import { bytesOf, writeBytes } from "./ethernet.ts";

export const IPV4_HEADER_BYTES = 20;
export const IPV6_HEADER_BYTES = 40;
/** A link that carries no packets of this size carries no IPv6 (RFC 8200, section 5). */
export const IPV6_LEAST_MTU = 1280;
const HOP_LIMIT = 255;
const DONT_FRAGMENT = 0x4000;

export interface IpHeader {
  readonly source: Uint8Array;
  readonly destination: Uint8Array;
  /** IPv4's protocol, IPv6's next header. */
  readonly protocol: number;
  /** TOS in IPv4. */
  readonly trafficClass: number;
  readonly payloadBytes: number;
}

/** The identification is 0: with DF set nothing is ever reassembled (RFC 6864). */
export function writeIpv4Header(packet: DataView, header: IpHeader): void {
  packet.setUint8(0, 0x40 | (IPV4_HEADER_BYTES / 4));
  packet.setUint8(1, header.trafficClass);
  packet.setUint16(2, IPV4_HEADER_BYTES + header.payloadBytes);
  packet.setUint16(6, DONT_FRAGMENT);
  packet.setUint8(8, HOP_LIMIT);
  packet.setUint8(9, header.protocol);
  writeBytes(packet, 12, header.source);
  writeBytes(packet, 16, header.destination);
  packet.setUint16(10, internetChecksum(bytesOf(packet, 0, IPV4_HEADER_BYTES)));
}

export function writeIpv6Header(packet: DataView, header: IpHeader): void {
  packet.setUint32(0, 0x6000_0000 + header.trafficClass * 0x10_0000);
  packet.setUint16(4, header.payloadBytes);
  packet.setUint8(6, header.protocol);
  packet.setUint8(7, HOP_LIMIT);
  writeBytes(packet, 8, header.source);
  writeBytes(packet, 24, header.destination);
}
