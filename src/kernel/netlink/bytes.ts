/**
 * Netlink's numbers, texts and attributes, to and from bytes, in the machine's own byte order. The messages made of
 * them are in messages.ts and routes.ts.
 */

import ipaddr from "ipaddr.js";
import type { Family, InterfaceAddress } from "../../core/model.ts";
import { formatAddress } from "../../protocol/address.ts";
import { broadcastOf } from "../../protocol/subnet.ts";

export const MESSAGE = {
  ERROR: 2,
  DONE: 3,
  NEWLINK: 16,
  DELLINK: 17,
  GETLINK: 18,
  SETLINK: 19,
  NEWADDR: 20,
  DELADDR: 21,
  GETADDR: 22,
  NEWROUTE: 24,
  DELROUTE: 25,
  NEWNEIGH: 28,
  GETNEIGH: 30,
} as const;

export const FLAG = {
  REQUEST: 0x01,
  MULTI: 0x02,
  ACK: 0x04,
  DUMP_INTERRUPTED: 0x10,
  DUMP: 0x300,
  EXCL: 0x200,
  CREATE: 0x400,
} as const;

export const AF_INET = 2;
export const AF_INET6 = 10;

/** One request without its header (nlmsghdr). */
export interface Request {
  readonly type: number;
  readonly flags: number;
  readonly body: Uint8Array;
}

/** NLA_TYPE_MASK */
const TYPE = 0x3fff;
const ATTRIBUTE_HEADER_BYTES = 4;
const aligned = (length: number): number => (length + 3) & ~3;

/** @param wanted only these; a link has some fifty. Throws a RangeError where an attribute is longer than the body. */
export function attributes(
  body: Buffer,
  headerBytes: number,
  wanted?: ReadonlySet<number>,
): Map<number, Buffer> {
  const found = new Map<number, Buffer>();
  for (let at = headerBytes; at < body.length; ) {
    const length = readU16(body, at);
    if (length < ATTRIBUTE_HEADER_BYTES || at + length > body.length) throw new RangeError("attribute");
    const type = readU16(body, at + 2) & TYPE;
    if (wanted === undefined || wanted.has(type))
      found.set(type, body.subarray(at + ATTRIBUTE_HEADER_BYTES, at + length));
    at += aligned(length);
  }
  return found;
}

/** The largest request: a netlink attribute is no longer. */
const scratch = Buffer.alloc(2 ** 16);
let end = 0;

/** Writes attributes behind each other. */
export interface AttributeWriter {
  /** @param data bytes, or a function that writes the attributes inside this one */
  push(type: number, data: Uint8Array | ((inside: AttributeWriter) => void)): void;
}

const writer: AttributeWriter = {
  push(type, data) {
    const start = end;
    end += ATTRIBUTE_HEADER_BYTES;
    if (typeof data === "function") data(writer);
    else {
      scratch.set(data, end);
      end += data.length;
    }
    writeU16(scratch, start, end - start);
    writeU16(scratch, start + 2, type);
    scratch.fill(0, end, aligned(end));
    end = aligned(end);
  },
};

/** @param header of a length that is a multiple of four */
export function withAttributes(header: Uint8Array, fill: (out: AttributeWriter) => void): Uint8Array {
  scratch.set(header);
  end = header.length;
  fill(writer);
  return Buffer.from(scratch.subarray(0, end));
}

/** IPv4 addresses are read without a library: a carp interface may have thousands. */
const DOTTED_QUAD = /^(?:(?:0|[1-9]\d{0,2})\.){3}(?:0|[1-9]\d{0,2})$/;

/** RFC 5952 text of an address in any spelling. */
export const canonical = (address: string): string =>
  DOTTED_QUAD.test(address) ? address : addressText(addressBytes(address));

export const addressBytes = (address: string): Uint8Array =>
  DOTTED_QUAD.test(address)
    ? Uint8Array.from(address.split("."), Number)
    : Uint8Array.from(ipaddr.parse(address).toByteArray());

/** @throws TypeError unless there are 4 or 16 bytes. */
export const addressText = formatAddress;

/** The broadcast address the kernel is given; undefined for a prefix of one or two addresses, and for IPv6. */
export function broadcastBytes(address: InterfaceAddress): Uint8Array | undefined {
  const broadcast = address.prefixLength > 30 ? undefined : broadcastOf(address);
  return broadcast === undefined ? undefined : addressBytes(broadcast);
}

export function familyOf(af: number): Family | undefined {
  if (af === AF_INET) return 4;
  return af === AF_INET6 ? 6 : undefined;
}

export const macText = (bytes: Buffer | undefined): string =>
  bytes?.toString("hex").match(/../g)?.join(":") ?? "";
export const macBytes = (mac: string): Uint8Array => Buffer.from(mac.replaceAll(":", ""), "hex");
export const cString = (value: string): Uint8Array => Buffer.from(`${value}\0`);
export const text = (bytes: Buffer): string => bytes.toString("utf8").replace(/\0.*$/s, "");

const little = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;
export const readU16 = (from: Buffer, at: number) => (little ? from.readUInt16LE(at) : from.readUInt16BE(at));
export const readU32 = (from: Buffer, at: number) => (little ? from.readUInt32LE(at) : from.readUInt32BE(at));
export const readOptional = (from: Buffer | undefined) => (from === undefined ? 0 : readU32(from, 0));
function writeU16(into: Buffer, at: number, value: number): void {
  if (little) into.writeUInt16LE(value, at);
  else into.writeUInt16BE(value, at);
}
export function writeU32(into: Buffer, at: number, value: number): void {
  if (little) into.writeUInt32LE(value, at);
  else into.writeUInt32BE(value, at);
}
export function u32(value: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  writeU32(bytes, 0, value);
  return bytes;
}
