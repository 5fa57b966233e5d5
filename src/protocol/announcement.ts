/**
 * The frames that move traffic to a new MASTER: gratuitous ARP (RFC 826, RFC 5227) and unsolicited neighbour
 * advertisements (RFC 4861, section 7.2.6). Built, never read.
 */

import { addressBytes, macBytes } from "./address.ts";
import { internetChecksum, pseudoHeaderSum } from "./checksum.ts";
import { bytesOf, EtherType, ethernetFrame, writeBytes } from "./ethernet.ts";
import { IPV6_HEADER_BYTES, writeIpv6Header } from "./ip.ts";

const ARP_BYTES = 28;
const ARP_REQUEST = 1;
const BROADCAST_MAC = macBytes("ff:ff:ff:ff:ff:ff");

const ALL_NODES = addressBytes("ff02::1");
const ALL_NODES_MAC = macBytes("33:33:00:00:00:01");
const ICMPV6 = 58;
const NEIGHBOUR_ADVERTISEMENT = 136;
const NEIGHBOUR_ADVERTISEMENT_BYTES = 32;
const ROUTER = 0x8000_0000;
const OVERRIDE = 0x2000_0000;
const TARGET_LINK_LAYER_ADDRESS = 2;

/**
 * A broadcast request in which an address asks for itself: 42 bytes.
 * @param ethernetSource where it differs from the MAC that is announced.
 */
export function gratuitousArp(mac: string, address: string, ethernetSource = mac): Uint8Array {
  const ip = addressBytes(address);
  if (ip.length !== 4) throw new TypeError(`${address}: not an IPv4 address`);
  const { frame, payload } = ethernetFrame(BROADCAST_MAC, macBytes(ethernetSource), EtherType.arp, ARP_BYTES);
  payload.setUint16(0, 1);
  payload.setUint16(2, EtherType.ipv4);
  payload.setUint8(4, 6);
  payload.setUint8(5, 4);
  payload.setUint16(6, ARP_REQUEST);
  writeBytes(payload, 8, macBytes(mac));
  writeBytes(payload, 14, ip);
  writeBytes(payload, 24, ip);
  return frame;
}

export interface NeighbourAdvertisement {
  readonly mac: string;
  readonly address: string;
  /** Whether this host forwards IPv6. */
  readonly router: boolean;
  /** Set when it differs from the MAC that is announced. */
  readonly ethernetSource?: string | undefined;
}

/** From the address to all nodes, override set: 86 bytes. */
export function unsolicitedNeighbourAdvertisement(options: NeighbourAdvertisement): Uint8Array {
  const { mac, address, router, ethernetSource = mac } = options;
  const source = addressBytes(address);
  if (source.length !== 16) throw new TypeError(`${address}: not an IPv6 address`);
  const length = IPV6_HEADER_BYTES + NEIGHBOUR_ADVERTISEMENT_BYTES;
  const { frame, payload } = ethernetFrame(ALL_NODES_MAC, macBytes(ethernetSource), EtherType.ipv6, length);
  writeIpv6Header(payload, {
    source,
    destination: ALL_NODES,
    protocol: ICMPV6,
    trafficClass: 0,
    payloadBytes: NEIGHBOUR_ADVERTISEMENT_BYTES,
  });
  const message = new DataView(payload.buffer, payload.byteOffset + IPV6_HEADER_BYTES);
  message.setUint8(0, NEIGHBOUR_ADVERTISEMENT);
  message.setUint32(4, router ? ROUTER + OVERRIDE : OVERRIDE);
  writeBytes(message, 8, source);
  message.setUint8(24, TARGET_LINK_LAYER_ADDRESS);
  message.setUint8(25, 1);
  writeBytes(message, 26, macBytes(mac));
  const pseudo = pseudoHeaderSum(source, ALL_NODES, ICMPV6, NEIGHBOUR_ADVERTISEMENT_BYTES);
  message.setUint16(2, internetChecksum(bytesOf(message, 0, NEIGHBOUR_ADVERTISEMENT_BYTES), pseudo));
  return frame;
}
