/**
 * The right outcome of a frame for the stations of the frames target, decided from the protocol's text alone,
 * without the code under test. Also repairs a changed frame, so that the code behind its checksums and its
 * digest is reached.
 */

import { createHmac } from "node:crypto";

export const PASS = "mekmitasdigoat";
const MESSAGE_BYTES = 36;
/** Source and destination of what the peer of vhid 5 sends to us. */
const PEER_TO_US = "0a000009" + "0a000002";
const HEADER_BYTES = { ipv4: 20, ipv6: 40 } as const;

/** The addresses each vhid's digest covers, ascending, IPv4 first. */
const covered = new Map([
  [1, "0a000001" + "20010db8000000000000000000000001"],
  [2, "0a000007"],
  [3, "0a000007"],
  [5, "0a000005"],
]);

export interface Told {
  readonly vhid: number;
  readonly advskew: number;
  readonly advbase: number;
  readonly demote: number;
  readonly counter: bigint;
}

/** `malformed`: no IP packet with a CARP message in it; it may be counted or not. */
export type Judgement =
  | "malformed"
  | "badTtl"
  | "tooShort"
  | "badChecksum"
  | "badVhid"
  | "badVersion"
  | "badAuthentication"
  | Told;

/** The checks of carp(4)'s input, in its order. vhid 5 speaks to one peer over IPv4, all others to the group. */
export function judged(frame: Buffer, sent: ReadonlySet<bigint>): Judgement {
  const packet = packetIn(frame);
  if (packet === undefined) return "malformed";
  const { family, multicast, hopLimit, addresses, message: all } = packet;
  // The peer of vhid 5 is on the segment too.
  if (hopLimit !== 255) return "badTtl";
  if (all.length < MESSAGE_BYTES) return "tooShort";
  const message = all.subarray(0, MESSAGE_BYTES);
  const pseudo = Buffer.concat([addresses, Buffer.from([0, 0, 0, MESSAGE_BYTES, 0, 0, 0, 112])]);
  if (sum(message) !== 0xffff && (family === 4 || sum(Buffer.concat([pseudo, message])) !== 0xffff))
    return "badChecksum";
  const [, vhid = 0, advskew = 0, , demote = 0, advbase = 0] = message;
  const toPeer = addresses.toString("hex") === PEER_TO_US;
  if (!(toPeer ? [5] : !multicast ? [] : family === 4 ? [1, 2, 3] : [1, 2, 3, 5]).includes(vhid))
    return "badVhid";
  if (message[0] !== 0x21) return "badVersion";
  if (!digestOf(message)?.equals(message.subarray(16))) return "badAuthentication";
  const counter = message.readBigUInt64BE(8);
  return sent.has(counter) ? "badAuthentication" : { vhid, advskew, advbase, demote, counter };
}

interface Packet {
  readonly family: 4 | 6;
  /** Source and destination. */
  readonly addresses: Buffer;
  readonly multicast: boolean;
  readonly hopLimit: number;
  readonly message: Buffer;
}

function packetIn(frame: Buffer): Packet | undefined {
  const packet = frame.subarray(14);
  const [first = 0] = packet;
  const etherType = frame.length < 14 ? 0 : frame.readUInt16BE(12);
  if (etherType === 0x0800 && packet.length >= HEADER_BYTES.ipv4) {
    const header = (first & 0xf) * 4;
    const end = packet.readUInt16BE(2);
    if (packet[9] !== 112 || first >> 4 !== 4 || header < HEADER_BYTES.ipv4) return undefined;
    if (end < header || end > packet.length || sum(packet.subarray(0, header)) !== 0xffff) return undefined;
    if ((packet.readUInt16BE(6) & 0x3fff) !== 0) return undefined;
    const multicast = (packet[16] ?? 0) >> 4 === 0xe;
    const message = packet.subarray(header, end);
    return { family: 4, addresses: packet.subarray(12, 20), multicast, hopLimit: packet[8] ?? 0, message };
  }
  if (etherType === 0x86dd && packet.length >= HEADER_BYTES.ipv6) {
    const end = HEADER_BYTES.ipv6 + packet.readUInt16BE(4);
    if (packet[6] !== 112 || first >> 4 !== 6 || end > packet.length) return undefined;
    const multicast = packet[24] === 0xff;
    const message = packet.subarray(HEADER_BYTES.ipv6, end);
    return { family: 6, addresses: packet.subarray(8, 40), multicast, hopLimit: packet[7] ?? 0, message };
  }
  return undefined;
}

/** One's complement sum, an odd last byte being the high half of a word. */
function sum(bytes: Buffer): number {
  let total = 0;
  for (const [at, byte] of bytes.entries()) total += at % 2 === 0 ? byte * 256 : byte;
  while (total > 0xffff) total = (total % 0x10000) + Math.floor(total / 0x10000);
  return total;
}

function digestOf(message: Buffer): Buffer | undefined {
  const [, vhid = 0] = message;
  const addresses = covered.get(vhid);
  if (addresses === undefined) return undefined;
  const key = Buffer.alloc(20);
  key.write(PASS);
  return createHmac("sha1", key)
    .update(Buffer.from([2, 1, vhid]))
    .update(Buffer.from(addresses, "hex"))
    .update(message.subarray(8, 16))
    .digest();
}

/** With the checksums that its bytes should have, and signed anew where that is asked. */
export function mended(bytes: Uint8Array, sign: boolean): Uint8Array {
  const frame = Buffer.from(bytes);
  const isIpv4 = frame.length > 34 && frame.readUInt16BE(12) === 0x0800;
  const start = 14 + (isIpv4 ? Math.max(HEADER_BYTES.ipv4, ((frame[14] ?? 0) & 0xf) * 4) : HEADER_BYTES.ipv6);
  if (isIpv4) checksum(frame.subarray(14, start), 10);
  const message = frame.subarray(start, start + MESSAGE_BYTES);
  if (message.length < MESSAGE_BYTES) return frame;
  const digest = sign ? digestOf(message) : undefined;
  digest?.copy(message, 16);
  checksum(message, 6);
  return frame;
}

function checksum(bytes: Buffer, at: number): void {
  if (bytes.length < at + 2) return;
  bytes.writeUInt16BE(0, at);
  bytes.writeUInt16BE(~sum(bytes) & 0xffff, at);
}
