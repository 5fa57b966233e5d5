/**
 * Makes frames for tests to inject: advertisements and the IP packets around them, and recorded frames with a
 * change. Written from the RFCs and carp(4) alone: it must not use src/protocol, whose mistakes it would
 * repeat.
 */

import { createHmac } from "node:crypto";
import { macBytes } from "./frames.ts";

const GROUP4 = "224.0.0.18";
const GROUP6 = "ff02::12";
const CARP = 112;

export interface Advertised {
  readonly vhid: number;
  readonly pass: string;
  /** The shared IPv4 addresses, ascending. */
  readonly addresses: readonly string[];
  readonly counter: bigint;
  readonly advbase?: number;
  readonly advskew?: number;
  readonly demote?: number;
  readonly version?: number;
}

/** The 36 bytes of an advertisement with a valid digest for the pass. */
export function advertisement(what: Advertised): Buffer {
  const { vhid, pass, addresses, counter, advbase = 1, advskew = 0, demote = 0, version = 2 } = what;
  const bytes = Buffer.alloc(36);
  bytes.set([version * 16 + 1, vhid, advskew, 7, demote, advbase]);
  bytes.writeBigUInt64BE(counter, 8);
  const key = Buffer.alloc(20);
  key.write(pass, 0, 19);
  const covered = Buffer.from([2, 1, vhid, ...addresses.flatMap((address) => [...ipv4Bytes(address)])]);
  createHmac("sha1", key).update(covered).update(bytes.subarray(8, 16)).digest().copy(bytes, 16);
  return withChecksum(bytes, 6);
}

export interface VrrpAdvertised {
  readonly version: 2 | 3;
  readonly number: number;
  /** The virtual router's addresses; version 3 covers the packet's source and destination too. */
  readonly shared: readonly string[];
  readonly source: string;
  readonly destination?: string;
}

/** A VRRP packet (RFC 3768, RFC 5798): priority 100, once a second. */
export function vrrp({ version, number, shared, source, destination }: VrrpAdvertised): Buffer {
  const isIpv4 = !source.includes(":");
  const bytesOf = isIpv4 ? ipv4Bytes : ipv6Bytes;
  const timing = version === 2 ? [0, 1] : [0, 100];
  const header = Buffer.from([version * 16 + 1, number, 100, shared.length, ...timing, 0, 0]);
  const packet = Buffer.concat([header, ...shared.map(bytesOf), Buffer.alloc(version === 2 ? 8 : 0)]);
  if (version === 2) return withChecksum(packet, 6);
  const to = bytesOf(destination ?? (isIpv4 ? GROUP4 : GROUP6));
  const pseudoHeader = Buffer.concat([bytesOf(source), to, Buffer.from([0, 0, 0, packet.length, 0, CARP])]);
  const summed = Buffer.concat([pseudoHeader, packet]);
  return withChecksum(summed, pseudoHeader.length + 6).subarray(pseudoHeader.length);
}

export interface Packet {
  readonly source: string;
  readonly payload: Uint8Array;
  /** Default: CARP's multicast group. */
  readonly destination?: string;
  /** The Ethernet destination; default: CARP's multicast group. */
  readonly mac?: string;
  readonly hops?: number;
  readonly protocol?: number;
  /** Flags and offset. */
  readonly fragment?: number;
  /** The length in the header, instead of the true one. */
  readonly totalLength?: number;
  readonly headerWords?: number;
}

const SENDER = "02:00:00:00:66:66";

export function ipv4Frame(packet: Packet): Buffer {
  const { source, payload, destination = GROUP4, mac = "01:00:5e:00:00:12", hops = 255 } = packet;
  const header = Buffer.alloc(20);
  header[0] = 0x40 | (packet.headerWords ?? 5);
  header[1] = 0x10;
  header.writeUInt16BE(packet.totalLength ?? 20 + payload.length, 2);
  header.writeUInt16BE(packet.fragment ?? 0x4000, 6);
  header.set([hops, packet.protocol ?? CARP], 8);
  header.set([...ipv4Bytes(source), ...ipv4Bytes(destination)], 12);
  const type = Buffer.from([0x08, 0x00]);
  return Buffer.concat([macBytes(mac), macBytes(SENDER), type, withChecksum(header, 10), payload]);
}

export function ipv6Frame(packet: Packet): Buffer {
  const { source, payload, destination = GROUP6, mac = "33:33:00:00:00:12", hops = 255 } = packet;
  const header = Buffer.alloc(40);
  header[0] = 0x60;
  header.writeUInt16BE(packet.totalLength ?? payload.length, 4);
  header.set([packet.protocol ?? CARP, hops, ...ipv6Bytes(source), ...ipv6Bytes(destination)], 6);
  return Buffer.concat([macBytes(mac), macBytes(SENDER), Buffer.from([0x86, 0xdd]), header, payload]);
}

export interface WhoHas {
  readonly target: string;
  /** The sender. */
  readonly address: string;
  readonly mac: string;
  /** The Ethernet destination; default: broadcast. */
  readonly to?: string;
}

export function arpRequest({ target, address, mac, to = "ff:ff:ff:ff:ff:ff" }: WhoHas): Buffer {
  const sender = Buffer.concat([macBytes(mac), ipv4Bytes(address)]);
  const head = Buffer.from([0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1]);
  return Buffer.concat([macBytes(to), macBytes(mac), head, sender, Buffer.alloc(6), ipv4Bytes(target)]);
}

/** To all nodes, or with a MAC to the target itself. */
export function neighbourSolicitation({ target, address, mac, to }: WhoHas): Buffer {
  const message = Buffer.alloc(32);
  message[0] = 135;
  message.set(ipv6Bytes(target), 8);
  message.set([1, 1, ...macBytes(mac)], 24);
  const destination = to === undefined ? "ff02::1" : target;
  const pseudoHeader = [...ipv6Bytes(address), ...ipv6Bytes(destination), 0, 0, 0, 32, 0, 0, 0, 58];
  const summed = withChecksum(Buffer.concat([Buffer.from(pseudoHeader), message]), 42);
  const packet = { source: address, destination, protocol: 58, payload: summed.subarray(40) };
  const frame = ipv6Frame({ ...packet, mac: to ?? "33:33:00:00:00:01" });
  frame.set(macBytes(mac), 6);
  return frame;
}

/** An IPv4 frame with another TTL and a valid checksum. */
export function withTtl(frame: Buffer, ttl: number): Buffer {
  const changed = Buffer.from(frame);
  changed[14 + 8] = ttl;
  withChecksum(changed.subarray(14, 34), 10);
  return changed;
}

/** An advertisement over IPv4 with one byte changed and a valid checksum. */
export function withByte(frame: Buffer, offset: number, value: number): Buffer {
  const changed = Buffer.from(frame);
  changed[34 + offset] = value;
  withChecksum(changed.subarray(34, 70), 6);
  return changed;
}

/** The frame with a VLAN tag. */
export function tagged(frame: Buffer, vlan: number): Buffer {
  const tag = Buffer.from([0x81, 0x00, vlan >> 8, vlan & 0xff]);
  return Buffer.concat([frame.subarray(0, 12), tag, frame.subarray(12)]);
}

/** Writes the Internet checksum of the bytes at the offset. */
function withChecksum(bytes: Buffer, at: number): Buffer {
  bytes.writeUInt16BE(0, at);
  let sum = 0;
  for (let offset = 0; offset < bytes.length; offset += 2) sum += bytes.readUInt16BE(offset);
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000);
  bytes.writeUInt16BE(~sum & 0xffff, at);
  return bytes;
}

function ipv4Bytes(address: string): Buffer {
  return Buffer.from(address.split(".").map(Number));
}

function ipv6Bytes(address: string): Buffer {
  const [head = "", tail] = address.split("::");
  const words = (text: string) => text.split(":").filter(Boolean);
  const gap = tail === undefined ? 0 : 8 - words(head).length - words(tail).length;
  const all = [...words(head), ...Array<string>(gap).fill("0"), ...words(tail ?? "")];
  return Buffer.from(all.map((word) => word.padStart(4, "0")).join(""), "hex");
}
