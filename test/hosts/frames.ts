/**
 * Dissects Ethernet frames for tests. Written from the RFCs and carp(4) alone: it must not use src/protocol,
 * whose mistakes it would repeat.
 */

import { isIPv6 } from "node:net";

export interface Arp {
  readonly operation: "request" | "reply" | number;
  readonly senderMac: string;
  readonly senderAddress: string;
  readonly targetMac: string;
  readonly targetAddress: string;
}

export interface IPv4 {
  readonly source: string;
  readonly destination: string;
  readonly ttl: number;
  readonly tos: number;
  readonly identification: number;
  readonly dontFragment: boolean;
  readonly protocol: number;
  readonly checksumIsGood: boolean;
  readonly payload: Buffer;
}

export interface IPv6 {
  readonly source: string;
  readonly destination: string;
  readonly hopLimit: number;
  readonly trafficClass: number;
  readonly nextHeader: number;
  readonly payload: Buffer;
}

export interface Carp {
  readonly version: number;
  readonly type: number;
  readonly vhid: number;
  readonly advskew: number;
  readonly authlen: number;
  readonly demote: number;
  readonly advbase: number;
  readonly checksumIsGood: boolean;
  readonly counter: bigint;
  /** Hexadecimal. */
  readonly digest: string;
}

export interface Icmp {
  readonly type: number;
  readonly code: number;
  readonly checksumIsGood: boolean;
  /** Echo requests and replies. */
  readonly identifier: number;
  readonly sequence: number;
}

/** Neighbour solicitations and advertisements. */
export interface NeighbourDiscovery {
  readonly type: "solicitation" | "advertisement";
  readonly target: string;
  readonly router: boolean;
  readonly solicited: boolean;
  readonly override: boolean;
  /** The source or target link-layer address option. */
  readonly linkLayerAddress: string | undefined;
  readonly checksumIsGood: boolean;
}

export interface Frame {
  /** Microseconds since the Unix epoch. */
  readonly timeUs: number;
  readonly ethernetSource: string;
  readonly ethernetDestination: string;
  readonly vlan: number | undefined;
  readonly etherType: number;
  readonly bytes: Buffer;
  readonly arp?: Arp;
  readonly ipv4?: IPv4;
  readonly ipv6?: IPv6;
  readonly carp?: Carp;
  readonly icmp?: Icmp;
  readonly nd?: NeighbourDiscovery;
}

const CARP = 112;
const ICMP = 1;
const ICMPV6 = 58;

/** Dissects a frame; of one that is cut short only the complete parts. */
export function dissect(bytes: Buffer, timeUs: number): Frame {
  const tagged = bytes.length >= 18 && bytes.readUInt16BE(12) === 0x8100;
  const etherType = bytes.length < 14 ? 0 : bytes.readUInt16BE(tagged ? 16 : 12);
  const payload = bytes.subarray(tagged ? 18 : 14);
  const frame = {
    timeUs,
    ethernetDestination: mac(bytes.subarray(0, 6)),
    ethernetSource: mac(bytes.subarray(6, 12)),
    vlan: tagged ? bytes.readUInt16BE(14) & 0xfff : undefined,
    etherType,
    bytes,
  };
  if (etherType === 0x0806 && payload.length >= 28) return { ...frame, arp: arp(payload) };
  if (etherType === 0x0800 && payload.length >= 20) return { ...frame, ...ipv4(payload) };
  if (etherType === 0x86dd && payload.length >= 40) return { ...frame, ...ipv6(payload) };
  return frame;
}

function arp(bytes: Buffer): Arp {
  const operation = bytes.readUInt16BE(6);
  return {
    operation: operation === 1 ? "request" : operation === 2 ? "reply" : operation,
    senderMac: mac(bytes.subarray(8, 14)),
    senderAddress: dotted(bytes.subarray(14, 18)),
    targetMac: mac(bytes.subarray(18, 24)),
    targetAddress: dotted(bytes.subarray(24, 28)),
  };
}

function ipv4(bytes: Buffer): Pick<Frame, "ipv4" | "carp" | "icmp"> {
  const headerLength = (bytes.readUInt8(0) & 0xf) * 4;
  const payload = bytes.subarray(headerLength, bytes.readUInt16BE(2));
  const header: IPv4 = {
    source: dotted(bytes.subarray(12, 16)),
    destination: dotted(bytes.subarray(16, 20)),
    ttl: bytes.readUInt8(8),
    tos: bytes.readUInt8(1),
    identification: bytes.readUInt16BE(4),
    dontFragment: (bytes.readUInt8(6) & 0x40) !== 0,
    protocol: bytes.readUInt8(9),
    checksumIsGood: sumsToZero(bytes.subarray(0, headerLength)),
    payload,
  };
  if (header.protocol === CARP && payload.length >= 36) return { ipv4: header, carp: carp(payload) };
  if (header.protocol === ICMP && payload.length >= 8) {
    return { ipv4: header, icmp: icmp(payload, sumsToZero(payload)) };
  }
  return { ipv4: header };
}

function ipv6(bytes: Buffer): Pick<Frame, "ipv6" | "carp" | "icmp" | "nd"> {
  const payload = bytes.subarray(40, 40 + bytes.readUInt16BE(4));
  const header: IPv6 = {
    source: colons(bytes.subarray(8, 24)),
    destination: colons(bytes.subarray(24, 40)),
    hopLimit: bytes.readUInt8(7),
    trafficClass: (bytes.readUInt16BE(0) >> 4) & 0xff,
    nextHeader: bytes.readUInt8(6),
    payload,
  };
  if (header.nextHeader === CARP && payload.length >= 36) return { ipv6: header, carp: carp(payload) };
  if (header.nextHeader !== ICMPV6 || payload.length < 8) return { ipv6: header };
  const pseudoHeader = Buffer.concat([bytes.subarray(8, 40), Buffer.from([0, 0, ...bytes.subarray(4, 6)])]);
  const good = sumsToZero(Buffer.concat([pseudoHeader, Buffer.from([0, 0, 0, ICMPV6]), payload]));
  const type = payload.readUInt8(0);
  if ((type === 135 || type === 136) && payload.length >= 24) {
    return { ipv6: header, nd: neighbourDiscovery(payload, good) };
  }
  return { ipv6: header, icmp: icmp(payload, good) };
}

function carp(bytes: Buffer): Carp {
  return {
    version: bytes.readUInt8(0) >> 4,
    type: bytes.readUInt8(0) & 0xf,
    vhid: bytes.readUInt8(1),
    advskew: bytes.readUInt8(2),
    authlen: bytes.readUInt8(3),
    demote: bytes.readUInt8(4),
    advbase: bytes.readUInt8(5),
    checksumIsGood: sumsToZero(bytes.subarray(0, 36)),
    counter: bytes.readBigUInt64BE(8),
    digest: bytes.subarray(16, 36).toString("hex"),
  };
}

function icmp(bytes: Buffer, checksumIsGood: boolean): Icmp {
  return {
    type: bytes.readUInt8(0),
    code: bytes.readUInt8(1),
    checksumIsGood,
    identifier: bytes.readUInt16BE(4),
    sequence: bytes.readUInt16BE(6),
  };
}

function neighbourDiscovery(bytes: Buffer, checksumIsGood: boolean): NeighbourDiscovery {
  const flags = bytes.readUInt8(4);
  const wanted = bytes.readUInt8(0) === 135 ? 1 : 2;
  let linkLayerAddress: string | undefined;
  for (let at = 24; at + 8 <= bytes.length; at += bytes.readUInt8(at + 1) * 8) {
    if (bytes.readUInt8(at) === wanted) linkLayerAddress = mac(bytes.subarray(at + 2, at + 8));
    if (bytes.readUInt8(at + 1) === 0) break;
  }
  return {
    type: wanted === 1 ? "solicitation" : "advertisement",
    target: colons(bytes.subarray(8, 24)),
    router: (flags & 0x80) !== 0,
    solicited: (flags & 0x40) !== 0,
    override: (flags & 0x20) !== 0,
    linkLayerAddress,
    checksumIsGood,
  };
}

function sumsToZero(bytes: Buffer): boolean {
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) sum += (bytes[at] as number) * 256 + (bytes[at + 1] ?? 0);
  return sum > 0 && sum % 0xffff === 0;
}

function mac(bytes: Buffer): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(":");
}

function dotted(bytes: Buffer): string {
  return bytes.join(".");
}

/** Canonical text of an IPv6 address (RFC 5952), as the URL parser writes it. */
function colons(bytes: Buffer): string {
  const words = Array.from({ length: 8 }, (_, n) => bytes.readUInt16BE(n * 2).toString(16)).join(":");
  const text = new URL(`http://[${words}]`).hostname.slice(1, -1);
  if (!isIPv6(text)) throw new Error(`not an IPv6 address: ${text}`);
  return text;
}

/** The bytes of a MAC address in text. */
export function macBytes(text: string): Buffer {
  return Buffer.from(text.replaceAll(":", ""), "hex");
}
