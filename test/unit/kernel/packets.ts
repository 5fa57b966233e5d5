/**
 * Frames for the data path's tests, built from parts, right unless a test makes them wrong. Shares nothing with
 * src/protocol, whose mistakes must not be repeated here.
 */

import { isIPv4 } from "node:net";

export const ARP = 0x0806;
export const IPV4 = 0x0800;
export const IPV6 = 0x86dd;

export function hex(text: string): Buffer {
  return Buffer.from(text.replaceAll(/[^0-9a-f]/gi, ""), "hex");
}

export function address(text: string): Buffer {
  if (isIPv4(text)) return Buffer.from(text.split(".").map(Number));
  const [head = "", tail] = text.split("::");
  const words = (part: string) => part.split(":").filter(Boolean);
  const front = words(head);
  const back = words(tail ?? "");
  const all = [...front, ...Array<string>(8 - front.length - back.length).fill("0"), ...back];
  return Buffer.concat(all.map((word) => Buffer.from(word.padStart(4, "0"), "hex")));
}

export function word(value: number): Buffer {
  return Buffer.from([(value >> 8) & 0xff, value & 0xff]);
}

export function checksum(...parts: Buffer[]): Buffer {
  const bytes = Buffer.concat(parts);
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) sum += (bytes[at] ?? 0) * 256 + (bytes[at + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000);
  return word(~sum & 0xffff);
}

export function ethernet(
  destination: string,
  source: string,
  type: number,
  payload: Buffer,
  tags: readonly number[] = [],
): Buffer {
  const vlans = tags.map((tag) => Buffer.concat([word(0x8100), word(tag)]));
  return Buffer.concat([hex(destination), hex(source), ...vlans, word(type), payload]);
}

export interface Ipv4Options {
  readonly options?: Buffer;
  /** Flags and offset in units of 8 bytes. */
  readonly fragment?: number;
  readonly totalLength?: number;
  readonly version?: number;
  readonly headerWords?: number;
}

export function ipv4(
  source: string,
  destination: string,
  protocol: number,
  payload: Buffer,
  { options = Buffer.alloc(0), fragment = 0, totalLength, version = 4, headerWords }: Ipv4Options = {},
): Buffer {
  const words = 5 + options.length / 4;
  const header = Buffer.concat([
    Buffer.from([(version << 4) | (headerWords ?? words), 0]),
    word(totalLength ?? words * 4 + payload.length),
    Buffer.from([0, 1]),
    word(fragment),
    Buffer.from([64, protocol, 0, 0]),
    address(source),
    address(destination),
    options,
  ]);
  checksum(header).copy(header, 10);
  return Buffer.concat([header, payload]);
}

export interface Ipv6Options {
  readonly hopLimit?: number;
  readonly payloadLength?: number;
  readonly version?: number;
}

export function ipv6(
  source: string,
  destination: string,
  next: number,
  payload: Buffer,
  { hopLimit = 64, payloadLength, version = 6 }: Ipv6Options = {},
): Buffer {
  return Buffer.concat([
    Buffer.from([version << 4, 0, 0, 0]),
    word(payloadLength ?? payload.length),
    Buffer.from([next, hopLimit]),
    address(source),
    address(destination),
    payload,
  ]);
}

export function udp(payload: Buffer = Buffer.from("12345678")): Buffer {
  return Buffer.concat([word(5000), word(5000), word(8 + payload.length), word(0), payload]);
}

export function icmp(type: number, body: Buffer = Buffer.alloc(0), code = 0): Buffer {
  const message = Buffer.concat([Buffer.from([type, code, 0, 0, 0, 0, 0, 0]), body]);
  checksum(message).copy(message, 2);
  return message;
}

/** With the right checksum. `body` follows the four bytes of type, code and checksum. */
export function icmp6(source: string, destination: string, type: number, body: Buffer): Buffer {
  const message = Buffer.concat([Buffer.from([type, 0, 0, 0]), body]);
  const pseudoHeader = [
    address(source),
    address(destination),
    word(0),
    word(message.length),
    word(0),
    word(58),
  ];
  checksum(...pseudoHeader, message).copy(message, 2);
  return message;
}

/** One neighbour discovery message: options as [type, MAC]. */
export function neighbour(
  source: string,
  destination: string,
  type: 135 | 136,
  target: string,
  options: readonly (readonly [type: number, mac: string])[],
): Buffer {
  const flags = Buffer.from([type === 136 ? 0x60 : 0, 0, 0, 0]);
  const encoded = options.map(([option, mac]) => Buffer.concat([Buffer.from([option, 1]), hex(mac)]));
  const body = Buffer.concat([flags, address(target), ...encoded]);
  return ipv6(source, destination, 58, icmp6(source, destination, type, body), { hopLimit: 255 });
}

export function arp(
  operation: 1 | 2,
  senderMac: string,
  sender: string,
  targetMac: string,
  target: string,
): Buffer {
  return Buffer.concat([
    hex("0001080006040000").fill(operation, 7),
    hex(senderMac),
    address(sender),
    hex(targetMac),
    address(target),
  ]);
}
