/**
 * Load sharing, computed in TypeScript as the reference for tests: the node that answers a packet, by a hash
 * of its two addresses that is equal on every host. carp.bpf.c computes the same in the kernel; the two must
 * never differ.
 */

import { addressBytes } from "../../src/protocol/address.ts";

/**
 * Folds the two addresses into an unsigned 32-bit number: the XOR of all their words, so that source and
 * destination may change places and an ICMP error finds the node of the connection it is about.
 * @throws TypeError when the two are not of one family.
 */
export function fold(source: string | Uint8Array, destination: string | Uint8Array): number {
  const a = bytesOf(source);
  const b = bytesOf(destination);
  if (a.length !== b.length) throw new TypeError("source and destination are of different families");
  return (xorOfWords(a) ^ xorOfWords(b)) >>> 0;
}

/** The index of the responsible node, among nodes in vhid order. */
export function nodeIndex(
  source: string | Uint8Array,
  destination: string | Uint8Array,
  nodes: number,
): number {
  if (!Number.isInteger(nodes) || nodes < 1) throw new RangeError(`${nodes} nodes: must be at least 1`);
  return fold(source, destination) % nodes;
}

function bytesOf(address: string | Uint8Array): Uint8Array {
  const bytes = typeof address === "string" ? addressBytes(address) : address;
  if (bytes.length !== 4 && bytes.length !== 16) throw new TypeError(`${bytes.length} bytes are no address`);
  return bytes;
}

function xorOfWords(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let words = 0;
  for (let i = 0; i < bytes.length; i += 4) words ^= view.getUint32(i);
  return words;
}
