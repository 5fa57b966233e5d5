/**
 * The frames that ask a link who has an address, and the answers: ARP (RFC 826) and neighbour discovery (RFC 4861,
 * section 7.2). A question has an address of the host that asks, which no other host takes for a claim to the address
 * asked for (RFC 5227, section 2.1.1); without one over IPv4, it is a probe. Parsing trusts no length.
 */

import { addressBytes, formatAddress, formatMac, macBytes } from "./address.ts";
import { internetChecksum, pseudoHeaderSum } from "./checksum.ts";
import { bytesOf, ETHERNET_HEADER_BYTES, EtherType, ethernetFrame, writeBytes } from "./ethernet.ts";
import { IPV6_HEADER_BYTES, writeIpv6Header } from "./ip.ts";

const ARP_BYTES = 28;
const ARP_REQUEST = 1;
const ARP_REPLY = 2;
const BROADCAST_MAC = macBytes("ff:ff:ff:ff:ff:ff");
const NO_ADDRESS = new Uint8Array(4);

const ICMPV6 = 58;
const NEIGHBOUR_SOLICITATION = 135;
const NEIGHBOUR_ADVERTISEMENT = 136;
const SOLICITATION_BYTES = 32;
const OPTIONS_AT = 24;
const SOURCE_LINK_LAYER_ADDRESS = 1;
const TARGET_LINK_LAYER_ADDRESS = 2;
const SOLICITED_NODE = addressBytes("ff02::1:ff00:0");

export interface NeighbourQuestion {
  /** The MAC that asks: the device's, or a virtual one. The answer goes to it. */
  readonly mac: string;
  /** Its own address, of the family of the target; over IPv4 it may be missing. */
  readonly source: string | undefined;
  readonly target: string;
}

/** @returns undefined where there is no source for an IPv6 question */
export function neighbourQuestion({ mac, source, target }: NeighbourQuestion): Uint8Array | undefined {
  const wanted = addressBytes(target);
  const own = source === undefined ? undefined : addressBytes(source);
  if (own !== undefined && own.length !== wanted.length)
    throw new TypeError(`${source} asks for ${target}: not of one family`);
  if (wanted.length === 4) return arpRequest(macBytes(mac), own ?? NO_ADDRESS, wanted);
  return own && neighbourSolicitation(macBytes(mac), own, wanted);
}

function arpRequest(mac: Uint8Array, source: Uint8Array, target: Uint8Array): Uint8Array {
  const { frame, payload } = ethernetFrame(BROADCAST_MAC, mac, EtherType.arp, ARP_BYTES);
  payload.setUint16(0, 1);
  payload.setUint16(2, EtherType.ipv4);
  payload.setUint8(4, 6);
  payload.setUint8(5, 4);
  payload.setUint16(6, ARP_REQUEST);
  writeBytes(payload, 8, mac);
  writeBytes(payload, 14, source);
  writeBytes(payload, 24, target);
  return frame;
}

function neighbourSolicitation(mac: Uint8Array, source: Uint8Array, target: Uint8Array): Uint8Array {
  const destination = Uint8Array.from(SOLICITED_NODE);
  destination.set(target.subarray(13), 13);
  const to = Uint8Array.from([0x33, 0x33, ...destination.subarray(12)]);
  const length = IPV6_HEADER_BYTES + SOLICITATION_BYTES;
  const { frame, payload } = ethernetFrame(to, mac, EtherType.ipv6, length);
  const header = { source, destination, protocol: ICMPV6, trafficClass: 0, payloadBytes: SOLICITATION_BYTES };
  writeIpv6Header(payload, header);
  const message = new DataView(payload.buffer, payload.byteOffset + IPV6_HEADER_BYTES);
  message.setUint8(0, NEIGHBOUR_SOLICITATION);
  writeBytes(message, 8, target);
  message.setUint8(OPTIONS_AT, SOURCE_LINK_LAYER_ADDRESS);
  message.setUint8(OPTIONS_AT + 1, 1);
  writeBytes(message, OPTIONS_AT + 2, mac);
  const pseudo = pseudoHeaderSum(source, destination, ICMPV6, SOLICITATION_BYTES);
  message.setUint16(2, internetChecksum(bytesOf(message, 0, SOLICITATION_BYTES), pseudo));
  return frame;
}

/** A host says that it has the address, and at which MAC. MACs are lower-case, with colons. */
export interface NeighbourAnswer {
  readonly address: string;
  readonly mac: string;
  /** The MAC that the answer was sent to. */
  readonly to: string;
}

/** @returns undefined for a frame that is no answer, or garbled */
export function parseNeighbourAnswer(frame: Uint8Array): NeighbourAnswer | undefined {
  if (frame.length < ETHERNET_HEADER_BYTES + ARP_BYTES) return undefined;
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  const payload = new DataView(
    frame.buffer,
    frame.byteOffset + ETHERNET_HEADER_BYTES,
    frame.length - ETHERNET_HEADER_BYTES,
  );
  const said =
    view.getUint16(12) === EtherType.arp
      ? parseArpReply(payload)
      : view.getUint16(12) === EtherType.ipv6
        ? parseAdvertisement(payload, bytesOf(view, 6, 12))
        : undefined;
  return said && { ...said, to: formatMac(bytesOf(view, 0, 6)) };
}

type Said = Omit<NeighbourAnswer, "to">;

function parseArpReply(arp: DataView): Said | undefined {
  const isArp = arp.getUint16(0) === 1 && arp.getUint16(2) === EtherType.ipv4 && arp.getUint16(4) === 0x0604;
  if (!isArp || arp.getUint16(6) !== ARP_REPLY) return undefined;
  return { address: formatAddress(bytesOf(arp, 14, 18)), mac: formatMac(bytesOf(arp, 8, 14)) };
}

/** The MAC is that of the option, else the frame's: an answer to a question may be without the option. */
function parseAdvertisement(packet: DataView, sender: Uint8Array): Said | undefined {
  if (packet.byteLength < IPV6_HEADER_BYTES + OPTIONS_AT || packet.getUint8(6) !== ICMPV6) return undefined;
  const end = IPV6_HEADER_BYTES + packet.getUint16(4);
  if (packet.getUint8(IPV6_HEADER_BYTES) !== NEIGHBOUR_ADVERTISEMENT || end > packet.byteLength)
    return undefined;
  const target = IPV6_HEADER_BYTES + 8;
  let mac = sender;
  for (let at = IPV6_HEADER_BYTES + OPTIONS_AT; at + 8 <= end; ) {
    const units = packet.getUint8(at + 1);
    if (units === 0) return undefined;
    if (packet.getUint8(at) === TARGET_LINK_LAYER_ADDRESS) mac = bytesOf(packet, at + 2, at + 8);
    at += 8 * units;
  }
  return { address: formatAddress(bytesOf(packet, target, target + 16)), mac: formatMac(mac) };
}
