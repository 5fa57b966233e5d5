/**
 * Builds frames that do not come from our core: routed unicast advertisements and the changed frames of an
 * attacker. Independent of the code under test where that matters.
 */

import { addressBytes, macBytes } from "../../src/protocol/address.ts";
import { ADVERTISEMENT_BYTES, CARP_PROTOCOL } from "../../src/protocol/advertisement.ts";
import { internetChecksum } from "../../src/protocol/checksum.ts";
import { ETHERNET_HEADER_BYTES, EtherType, ethernetFrame, writeBytes } from "../../src/protocol/ethernet.ts";
import { writeIpv4Header, writeIpv6Header } from "../../src/protocol/ip.ts";

const ROUTER_MAC = macBytes("02:00:00:00:ff:01");
const RECEIVER_MAC = macBytes("02:00:00:00:ff:02");

/** Builds the frame that arrives when the sender's kernel routes a CARP message. */
export function routedFrame(sent: {
  readonly source: string;
  readonly destination: string;
  readonly trafficClass: number;
  readonly payload: Uint8Array;
}): Uint8Array {
  const source = addressBytes(sent.source);
  const isIpv4 = source.length === 4;
  const headerBytes = isIpv4 ? 20 : 40;
  const etherType = isIpv4 ? EtherType.ipv4 : EtherType.ipv6;
  const bytes = headerBytes + sent.payload.length;
  const { frame, payload } = ethernetFrame(RECEIVER_MAC, ROUTER_MAC, etherType, bytes);
  const header = {
    source,
    destination: addressBytes(sent.destination),
    protocol: CARP_PROTOCOL,
    trafficClass: sent.trafficClass,
    payloadBytes: sent.payload.length,
  };
  if (isIpv4) writeIpv4Header(payload, header);
  else writeIpv6Header(payload, header);
  writeBytes(payload, headerBytes, sent.payload);
  return frame;
}

/** Changes the fields that no digest covers in the advertisement at the end of a frame. */
export function altered(
  frame: Uint8Array,
  fields: { readonly advbase?: number; readonly advskew?: number; readonly demote?: number },
): Uint8Array {
  const bytes = Uint8Array.from(frame);
  const message = bytes.subarray(bytes.length - ADVERTISEMENT_BYTES);
  if (fields.advskew !== undefined) message[2] = fields.advskew;
  if (fields.demote !== undefined) message[4] = fields.demote;
  if (fields.advbase !== undefined) message[5] = fields.advbase;
  const view = new DataView(message.buffer, message.byteOffset);
  view.setUint16(6, 0);
  view.setUint16(6, internetChecksum(message));
  return bytes;
}

/** Changes the source address of a frame: flips these bits of its last byte. */
export function fromElsewhere(frame: Uint8Array, bits: number): Uint8Array {
  const bytes = Uint8Array.from(frame);
  const header = bytes.subarray(ETHERNET_HEADER_BYTES);
  const isIpv4 = (header[0] ?? 0) >> 4 === 4;
  const last = isIpv4 ? 15 : 23;
  header[last] = (header[last] ?? 0) ^ bits;
  if (!isIpv4) return bytes;
  const view = new DataView(header.buffer, header.byteOffset);
  view.setUint16(10, 0);
  view.setUint16(10, internetChecksum(header.subarray(0, 20)));
  return bytes;
}
