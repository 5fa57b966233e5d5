/**
 * The few rtnetlink messages carp needs, to and from bytes: links, addresses, and how a macvlan is made, changed and
 * removed. Only the attributes named here are read, so one that a newer kernel adds or lengthens harms nobody.
 * It holds no socket and no state.
 */

import ipaddr from "ipaddr.js";
import { AttrStream, parseAttributes } from "netlink";
import type { Family, InterfaceAddress } from "../core/event.ts";

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

/** net/if.h */
export const IFF_UP = 0x1;
export const IFF_LOOPBACK = 0x8;
export const IFF_LOWER_UP = 0x10000;
export const ARPHRD_ETHER = 1;

/** linux/if_addr.h */
export const IFA_F_NODAD = 0x02;
export const IFA_F_DADFAILED = 0x08;
export const IFA_F_TENTATIVE = 0x40;
export const IFA_F_NOPREFIXROUTE = 0x200;

const AF_INET = 2;
const AF_INET6 = 10;

const IFLA = {
  ADDRESS: 1,
  IFNAME: 3,
  MTU: 4,
  LINK: 5,
  LINKINFO: 18,
  IFALIAS: 20,
  EXT_MASK: 29,
  PROTO_DOWN: 39,
} as const;
const IFLA_INFO_KIND = 1;
const IFLA_INFO_DATA = 2;
const IFLA_MACVLAN_MODE = 1;
const MACVLAN_MODE_BRIDGE = 4;
const RTEXT_FILTER_SKIP_STATS = 8;

const RTA = { DST: 1, OIF: 4, PRIORITY: 6 } as const;
const RT_TABLE_MAIN = 254;
const RTPROT_KERNEL = 2;
const RT_SCOPE_UNIVERSE = 0;
const RTN_UNICAST = 1;
/** What the kernel gives a subnet that comes with an address. */
const SUBNET_METRIC = 256;
const LINK_LOCAL = { address: "fe80::", prefixLength: 64 } as const;

const IFA = { ADDRESS: 1, LOCAL: 2, BROADCAST: 4, FLAGS: 8 } as const;

export interface KernelLink {
  readonly index: number;
  readonly name: string;
  /** ARPHRD_* */
  readonly type: number;
  /** IFF_* */
  readonly flags: number;
  readonly mac: string;
  readonly mtu: number;
  /** The link below, 0 when there is none. */
  readonly parentIndex: number;
  readonly kind: string | undefined;
  readonly bridgeMode: boolean;
  readonly alias: string | undefined;
  readonly protoDown: boolean;
}

export interface KernelAddress extends InterfaceAddress {
  readonly index: number;
  /** IFA_F_* */
  readonly flags: number;
}

export type Notice =
  | { readonly kind: "link"; readonly gone: boolean; readonly link: KernelLink }
  | { readonly kind: "address"; readonly gone: boolean; readonly address: KernelAddress };

/** One request, without the header that numbers it. */
export interface Request {
  readonly type: number;
  readonly flags: number;
  readonly body: Uint8Array;
}

/** @returns undefined for what carp has no use for, and for what is too short to be what it says. */
export function parseNotice(type: number, body: Buffer): Notice | undefined {
  try {
    if (type === MESSAGE.NEWLINK || type === MESSAGE.DELLINK) {
      const link = parseLink(body);
      return link && { kind: "link", gone: type === MESSAGE.DELLINK, link };
    }
    if (type === MESSAGE.NEWADDR || type === MESSAGE.DELADDR) {
      const address = parseAddress(body);
      return address && { kind: "address", gone: type === MESSAGE.DELADDR, address };
    }
  } catch {
    return undefined;
  }
  return undefined;
}

function attributes(body: Buffer, headerBytes: number): Map<number, Buffer> {
  const found = new Map<number, Buffer>();
  parseAttributes(body.subarray(headerBytes), (attribute) => found.set(attribute.type, attribute.data));
  return found;
}

function parseLink(body: Buffer): KernelLink | undefined {
  // A bridge reports its ports in this group too (AF_BRIDGE), and their leaving as a deletion.
  if (body.readUInt8(0) !== 0) return undefined;
  const found = attributes(body, 16);
  const name = found.get(IFLA.IFNAME);
  const mtu = found.get(IFLA.MTU);
  // Wireless drivers send link messages that carry nothing but their own event.
  if (name === undefined || mtu === undefined) return undefined;
  const info = found.get(IFLA.LINKINFO);
  const infoFound = info ? attributes(info, 0) : undefined;
  const kind = infoFound?.get(IFLA_INFO_KIND);
  const data = infoFound?.get(IFLA_INFO_DATA);
  const kindText = kind && text(kind);
  const alias = found.get(IFLA.IFALIAS);
  const mode = kindText === "macvlan" && data ? attributes(data, 0).get(IFLA_MACVLAN_MODE) : undefined;
  return {
    index: readU32(body, 4),
    name: text(name),
    type: readU16(body, 2),
    flags: readU32(body, 8),
    mac: macText(found.get(IFLA.ADDRESS)),
    mtu: readU32(mtu, 0),
    parentIndex: readOptional(found.get(IFLA.LINK)),
    kind: kindText,
    bridgeMode: mode !== undefined && readU32(mode, 0) === MACVLAN_MODE_BRIDGE,
    alias: alias && text(alias),
    protoDown: found.get(IFLA.PROTO_DOWN)?.[0] === 1,
  };
}

function parseAddress(body: Buffer): KernelAddress | undefined {
  const found = attributes(body, 8);
  // IFA_ADDRESS is the other end on a point-to-point link; IFA_LOCAL, where present, is always ours.
  const bytes = found.get(IFA.LOCAL) ?? found.get(IFA.ADDRESS);
  const family = familyOf(body.readUInt8(0));
  if (bytes === undefined || family === undefined || bytes.length !== (family === 4 ? 4 : 16))
    return undefined;
  const flags = found.get(IFA.FLAGS);
  const broadcast = found.get(IFA.BROADCAST);
  return {
    index: readU32(body, 4),
    family,
    address: addressText(bytes),
    prefixLength: body.readUInt8(1),
    ...(broadcast === undefined ? {} : { broadcast: addressText(broadcast) }),
    flags: flags ? readU32(flags, 0) : body.readUInt8(2),
  };
}

export const linkDump = (): Request => ({
  type: MESSAGE.GETLINK,
  flags: FLAG.DUMP,
  body: linkBody(0, 0, 0, (out) => out.push(IFLA.EXT_MASK, u32(RTEXT_FILTER_SKIP_STATS))),
});

export const addressDump = (): Request => ({
  type: MESSAGE.GETADDR,
  flags: FLAG.DUMP,
  body: Buffer.alloc(8),
});

/** Answered like a notification. The kernel tells of changes to a link that is down only when asked. */
export const linkQuery = (name: string): Request => ({
  type: MESSAGE.GETLINK,
  flags: 0,
  body: linkBody(0, 0, 0, (out) => {
    out.push(IFLA.IFNAME, cString(name));
    out.push(IFLA.EXT_MASK, u32(RTEXT_FILTER_SKIP_STATS));
  }),
});

/** A macvlan in bridge mode. The kernel takes neither an alias nor protodown here: `linkChange` by name follows. */
export function macvlanCreation(link: {
  readonly name: string;
  readonly parentIndex: number;
  readonly mac: string;
  readonly mtu: number | undefined;
}): Request {
  const body = linkBody(0, 0, 0, (out) => {
    out.push(IFLA.IFNAME, cString(link.name));
    out.push(IFLA.LINK, u32(link.parentIndex));
    out.push(IFLA.ADDRESS, macBytes(link.mac));
    if (link.mtu !== undefined) out.push(IFLA.MTU, u32(link.mtu));
    out.push(IFLA.LINKINFO, (info) => {
      info.push(IFLA_INFO_KIND, cString("macvlan"));
      info.push(IFLA_INFO_DATA, (data) => data.push(IFLA_MACVLAN_MODE, u32(MACVLAN_MODE_BRIDGE)));
    });
  });
  return { type: MESSAGE.NEWLINK, flags: FLAG.CREATE | FLAG.EXCL, body };
}

export interface LinkChange {
  readonly mac?: string | undefined;
  readonly mtu?: number | undefined;
  readonly alias?: string | undefined;
  readonly protoDown?: boolean | undefined;
  readonly up?: boolean | undefined;
}

/** The link is named by its index, or by its name where the index is not known yet. */
export function linkChange(which: number | string, change: LinkChange): Request {
  const mask = change.up === undefined ? 0 : IFF_UP;
  const body = linkBody(typeof which === "number" ? which : 0, change.up ? IFF_UP : 0, mask, (out) => {
    if (typeof which === "string") out.push(IFLA.IFNAME, cString(which));
    if (change.mac !== undefined) out.push(IFLA.ADDRESS, macBytes(change.mac));
    if (change.mtu !== undefined) out.push(IFLA.MTU, u32(change.mtu));
    if (change.alias !== undefined) out.push(IFLA.IFALIAS, cString(change.alias));
    if (change.protoDown !== undefined) out.push(IFLA.PROTO_DOWN, Uint8Array.of(change.protoDown ? 1 : 0));
  });
  return { type: MESSAGE.SETLINK, flags: 0, body };
}

export const linkRemoval = (index: number): Request => ({
  type: MESSAGE.DELLINK,
  flags: 0,
  body: linkBody(index, 0, 0, () => undefined),
});

/** Fails with EEXIST when the address is there already. */
export function addressAddition(index: number, address: InterfaceAddress, flags: number): Request {
  const broadcast = broadcastOf(address);
  const body = addressBody(index, address, (out) => {
    if (broadcast !== undefined) out.push(IFA.BROADCAST, broadcast);
    out.push(IFA.FLAGS, u32(flags));
  });
  return { type: MESSAGE.NEWADDR, flags: FLAG.CREATE | FLAG.EXCL, body };
}

export const addressRemoval = (index: number, address: InterfaceAddress): Request => ({
  type: MESSAGE.DELADDR,
  flags: 0,
  body: addressBody(index, address, () => undefined),
});

/**
 * The way to IPv6's link-local addresses, as the kernel makes it for a device with one of its own. Fails with EEXIST
 * when it is there already.
 */
export function linkLocalRoute(index: number): Request {
  const { address, prefixLength } = LINK_LOCAL;
  const header = Buffer.alloc(12);
  header.set([AF_INET6, prefixLength, 0, 0, RT_TABLE_MAIN, RTPROT_KERNEL, RT_SCOPE_UNIVERSE, RTN_UNICAST]);
  const body = withAttributes(header, (out) => {
    out.push(RTA.DST, addressBytes(address));
    out.push(RTA.OIF, u32(index));
    out.push(RTA.PRIORITY, u32(SUBNET_METRIC));
  });
  // Without EXCL: that would mind the other devices' routes.
  return { type: MESSAGE.NEWROUTE, flags: FLAG.CREATE, body };
}

function linkBody(index: number, flags: number, mask: number, fill: (out: AttrStream) => void): Uint8Array {
  const header = Buffer.alloc(16);
  writeU32(header, 4, index);
  writeU32(header, 8, flags);
  writeU32(header, 12, mask);
  return withAttributes(header, fill);
}

function addressBody(index: number, address: InterfaceAddress, fill: (out: AttrStream) => void): Uint8Array {
  const header = Buffer.alloc(8);
  header[0] = address.family === 4 ? AF_INET : AF_INET6;
  header[1] = address.prefixLength;
  writeU32(header, 4, index);
  return withAttributes(header, (out) => {
    out.push(IFA.LOCAL, addressBytes(address.address));
    out.push(IFA.ADDRESS, addressBytes(address.address));
    fill(out);
  });
}

function withAttributes(header: Uint8Array, fill: (out: AttrStream) => void): Uint8Array {
  const out = new AttrStream();
  fill(out);
  return Buffer.concat([header, ...out.bufs]);
}

function broadcastOf(address: InterfaceAddress): Uint8Array | undefined {
  if (address.family === 6 || address.prefixLength > 30) return undefined;
  if (address.broadcast !== undefined) return addressBytes(address.broadcast);
  return addressBytes(address.address).map(
    (byte, at) => byte | (0xff >> clamp(address.prefixLength - at * 8)),
  );
}

/** Two addresses are in the same subnet when their prefixes are the same: only then do their routes compete. */
export function samePrefix(one: InterfaceAddress, other: InterfaceAddress): boolean {
  return one.prefixLength === other.prefixLength && prefixOf(one) === prefixOf(other);
}

/** The subnet of an address, as text to compare. */
export function prefixOf({ address, prefixLength }: InterfaceAddress): string {
  const bytes = addressBytes(address).map((byte, at) => byte & ~(0xff >> clamp(prefixLength - at * 8)));
  return `${addressText(bytes)}/${prefixLength}`;
}

const clamp = (bits: number) => Math.min(8, Math.max(0, bits));

/** The one spelling of an address that this directory compares by. */
export const canonical = (address: string): string => addressText(addressBytes(address));

const addressBytes = (address: string): Uint8Array => Uint8Array.from(ipaddr.parse(address).toByteArray());
const addressText = (bytes: Uint8Array): string => ipaddr.fromByteArray([...bytes]).toString();

function familyOf(af: number): Family | undefined {
  if (af === AF_INET) return 4;
  return af === AF_INET6 ? 6 : undefined;
}

const macText = (bytes: Buffer | undefined): string => bytes?.toString("hex").match(/../g)?.join(":") ?? "";
const macBytes = (mac: string): Uint8Array => Buffer.from(mac.replaceAll(":", ""), "hex");
const cString = (value: string): Uint8Array => Buffer.from(`${value}\0`);
const text = (bytes: Buffer): string => bytes.toString("utf8").replace(/\0.*$/s, "");

// Netlink speaks the machine's own byte order.
const little = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;
const readU16 = (from: Buffer, at: number) => (little ? from.readUInt16LE(at) : from.readUInt16BE(at));
const readU32 = (from: Buffer, at: number) => (little ? from.readUInt32LE(at) : from.readUInt32BE(at));
const readOptional = (from: Buffer | undefined) => (from === undefined ? 0 : readU32(from, 0));
function writeU32(into: Buffer, at: number, value: number): void {
  if (little) into.writeUInt32LE(value, at);
  else into.writeUInt32BE(value, at);
}
function u32(value: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  writeU32(bytes, 0, value);
  return bytes;
}
