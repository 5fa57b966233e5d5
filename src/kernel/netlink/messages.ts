/**
 * The few rtnetlink messages carp needs, to and from bytes: links, addresses, and how a macvlan is made, changed and
 * removed. Only the attributes named here are read, so one that a newer kernel adds or lengthens does no harm. Holds no
 * socket and no state.
 */

import type { InterfaceAddress } from "../../core/model.ts";
import { type LinkSettings, parseSettings } from "../settings/link-settings.ts";
import {
  AF_INET,
  AF_INET6,
  type AttributeWriter,
  addressBytes,
  addressText,
  attributes,
  broadcastBytes,
  cString,
  FLAG,
  familyOf,
  MESSAGE,
  macBytes,
  macText,
  type Request,
  readOptional,
  readU16,
  readU32,
  text,
  u32,
  withAttributes,
  writeU32,
} from "./bytes.ts";
import { type HostRoute, parseHostRoute } from "./host-routes.ts";
import { type KernelRoute, parseRoute } from "./routes.ts";

/** net/if.h */
export const IFF_UP = 0x1;
export const IFF_LOOPBACK = 0x8;
/** It is up, and the kernel sends through it: where the carrier comes back, a worker sees to that later. */
export const IFF_RUNNING = 0x40;
export const IFF_NOARP = 0x80;
export const IFF_MULTICAST = 0x1000;
export const IFF_LOWER_UP = 0x10000;
export const ARPHRD_ETHER = 1;

/** linux/if_addr.h */
export const IFA_F_NODAD = 0x02;
export const IFA_F_DADFAILED = 0x08;
/** Not chosen as a source address while there is another. */
export const IFA_F_DEPRECATED = 0x20;
export const IFA_F_TENTATIVE = 0x40;
/** The address has no lifetime. */
export const IFA_F_PERMANENT = 0x80;
export const IFA_F_NOPREFIXROUTE = 0x200;

const IFLA = {
  ADDRESS: 1,
  IFNAME: 3,
  MTU: 4,
  LINK: 5,
  MASTER: 10,
  LINKINFO: 18,
  IFALIAS: 20,
  AF_SPEC: 26,
  EXT_MASK: 29,
  PROTO_DOWN: 39,
} as const;
const LINK_ATTRIBUTES: ReadonlySet<number> = new Set(Object.values(IFLA));
const IFLA_INFO_KIND = 1;
const IFLA_INFO_DATA = 2;
const IFLA_MACVLAN_MODE = 1;
const MACVLAN_MODE_BRIDGE = 4;
const RTEXT_FILTER_SKIP_STATS = 8;

const IFA = { ADDRESS: 1, LOCAL: 2, BROADCAST: 4, CACHEINFO: 6, FLAGS: 8 } as const;
const FOREVER = 0xffff_ffff;

export interface KernelLink {
  readonly index: number;
  readonly name: string;
  /** ARPHRD_* */
  readonly type: number;
  /** IFF_* */
  readonly flags: number;
  readonly mac: string;
  readonly mtu: number;
  /** The link below (IFLA_LINK), 0 when there is none. */
  readonly parentIndex: number;
  /** The bridge, bond or VRF it belongs to, 0 when there is none. */
  readonly masterIndex: number;
  readonly kind: string | undefined;
  readonly bridgeMode: boolean;
  readonly alias: string | undefined;
  readonly protoDown: boolean;
  readonly settings: LinkSettings;
}

export interface KernelAddress extends InterfaceAddress {
  readonly index: number;
  /** IFA_F_* */
  readonly flags: number;
}

export type Notice =
  | { readonly kind: "link"; readonly gone: boolean; readonly link: KernelLink }
  | { readonly kind: "address"; readonly gone: boolean; readonly address: KernelAddress }
  /** A route that the kernel had made was deleted. */
  | { readonly kind: "route-gone"; readonly route: KernelRoute }
  /** A route of the host's own. `byKernel`: it went with something else. */
  | {
      readonly kind: "host-route";
      readonly gone: boolean;
      readonly byKernel: boolean;
      readonly route: HostRoute;
    };

/** @param port of the process that caused it; 0: the kernel. @returns undefined for a message that carp does not need, and for one that is too short */
export function parseNotice(type: number, body: Buffer, port = 0): Notice | undefined {
  try {
    if (type === MESSAGE.NEWLINK || type === MESSAGE.DELLINK) {
      const link = parseLink(body);
      return link && { kind: "link", gone: type === MESSAGE.DELLINK, link };
    }
    if (type === MESSAGE.NEWADDR || type === MESSAGE.DELADDR) {
      const address = parseAddress(body);
      return address && { kind: "address", gone: type === MESSAGE.DELADDR, address };
    }
    if (type === MESSAGE.NEWROUTE || type === MESSAGE.DELROUTE) {
      const gone = type === MESSAGE.DELROUTE;
      // A copy: a host route is kept, and the body is part of a buffer with many.
      const route = parseHostRoute(Buffer.from(body));
      if (route !== undefined) return { kind: "host-route", gone, byKernel: port === 0, route };
      const lost = gone ? parseRoute(body) : undefined;
      return lost && { kind: "route-gone", route: lost };
    }
  } catch {
    return undefined;
  }
  return undefined;
}

function parseLink(body: Buffer): KernelLink | undefined {
  // A bridge reports its ports in this group too (AF_BRIDGE), and their leaving as a deletion.
  if (body.readUInt8(0) !== 0) return undefined;
  const found = attributes(body, 16, LINK_ATTRIBUTES);
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
    masterIndex: readOptional(found.get(IFLA.MASTER)),
    kind: kindText,
    bridgeMode: mode !== undefined && readU32(mode, 0) === MACVLAN_MODE_BRIDGE,
    alias: alias && text(alias),
    protoDown: found.get(IFLA.PROTO_DOWN)?.[0] === 1,
    settings: parseSettings(found.get(IFLA.AF_SPEC)),
  };
}

function parseAddress(body: Buffer): KernelAddress | undefined {
  const found = attributes(body, 8);
  // IFA_ADDRESS is the peer's on a point-to-point link; IFA_LOCAL, where present, is always this host's.
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

/** Asks for one link; the answer is like a notification. The kernel sends none for changes to a link that is down. */
export const linkQuery = (which: number | string): Request => ({
  type: MESSAGE.GETLINK,
  flags: 0,
  body: linkBody(typeof which === "number" ? which : 0, 0, 0, (out) => {
    if (typeof which === "string") out.push(IFLA.IFNAME, cString(which));
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
  readonly arp?: boolean | undefined;
  readonly multicast?: boolean | undefined;
  /** 0: releases it from its master. */
  readonly masterIndex?: number | undefined;
}

/** Changes a link, found by its index, or by its name where the index is not known yet. */
export function linkChange(which: number | string, change: LinkChange): Request {
  const { up, arp, multicast } = change;
  const flags = (up ? IFF_UP : 0) | (arp === false ? IFF_NOARP : 0) | (multicast ? IFF_MULTICAST : 0);
  const mask =
    (up === undefined ? 0 : IFF_UP) |
    (arp === undefined ? 0 : IFF_NOARP) |
    (multicast === undefined ? 0 : IFF_MULTICAST);
  const body = linkBody(typeof which === "number" ? which : 0, flags, mask, (out) => {
    if (typeof which === "string") out.push(IFLA.IFNAME, cString(which));
    if (change.mac !== undefined) out.push(IFLA.ADDRESS, macBytes(change.mac));
    if (change.mtu !== undefined) out.push(IFLA.MTU, u32(change.mtu));
    if (change.alias !== undefined) out.push(IFLA.IFALIAS, cString(change.alias));
    if (change.protoDown !== undefined) out.push(IFLA.PROTO_DOWN, Uint8Array.of(change.protoDown ? 1 : 0));
    if (change.masterIndex !== undefined) out.push(IFLA.MASTER, u32(change.masterIndex));
  });
  return { type: MESSAGE.SETLINK, flags: 0, body };
}

export const linkRemoval = (index: number): Request => ({
  type: MESSAGE.DELLINK,
  flags: 0,
  body: linkBody(index, 0, 0, () => undefined),
});

/** Adds an address; fails with EEXIST when it is there already. */
export function addressAddition(index: number, address: InterfaceAddress, flags: number): Request {
  const broadcast = broadcastBytes(address);
  const body = addressBody(index, address, (out) => {
    if (broadcast !== undefined) out.push(IFA.BROADCAST, broadcast);
    out.push(IFA.FLAGS, u32(flags & ~IFA_F_DEPRECATED));
    // The kernel takes this flag from the lifetimes alone: preferred and valid.
    if ((flags & IFA_F_DEPRECATED) !== 0) out.push(IFA.CACHEINFO, Buffer.concat([0, FOREVER, 0, 0].map(u32)));
  });
  return { type: MESSAGE.NEWADDR, flags: FLAG.CREATE | FLAG.EXCL, body };
}

export const addressRemoval = (index: number, address: InterfaceAddress): Request => ({
  type: MESSAGE.DELADDR,
  flags: 0,
  body: addressBody(index, address, () => undefined),
});

function linkBody(
  index: number,
  flags: number,
  mask: number,
  fill: (out: AttributeWriter) => void,
): Uint8Array {
  const header = Buffer.alloc(16);
  writeU32(header, 4, index);
  writeU32(header, 8, flags);
  writeU32(header, 12, mask);
  return withAttributes(header, fill);
}

function addressBody(
  index: number,
  address: InterfaceAddress,
  fill: (out: AttributeWriter) => void,
): Uint8Array {
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
