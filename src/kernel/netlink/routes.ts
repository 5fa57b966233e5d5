/**
 * The routes that the kernel makes with an address: which they are, their keys, the requests that make them again, and
 * parsing their deletion. The kernel makes them once and never again, so they have to be watched.
 */

import type { InterfaceAddress } from "../../core/model.ts";
import { subnetOf } from "../../protocol/subnet.ts";
import {
  AF_INET,
  AF_INET6,
  addressBytes,
  addressText,
  attributes,
  broadcastBytes,
  FLAG,
  familyOf,
  MESSAGE,
  type Request,
  readOptional,
  u32,
  withAttributes,
} from "./bytes.ts";

/** linux/rtnetlink.h */
const RTA = { DST: 1, OIF: 4, PRIORITY: 6, PREFSRC: 7, TABLE: 15 } as const;
const RT_TABLE = { main: 254, local: 255 } as const;
const RTPROT_KERNEL = 2;
const SCOPE = { universe: 0, link: 253, host: 254 } as const;
const RTN = { unicast: 1, local: 2, broadcast: 3, multicast: 5 } as const;
export type RouteKind = keyof typeof RTN;

/** The metric that the kernel gives IPv6 routes of an address. */
const METRIC = 256;

/** A route in a notification. */
export interface KernelRoute {
  readonly index: number;
  /** See `routeKey`. */
  readonly key: string;
  readonly table: number;
}

/** A route that belongs to an address of ours. */
export interface WantedRoute {
  readonly key: string;
  /** `to 10.0.0.0/24`, for messages. */
  readonly what: string;
  /** Fails with EEXIST when it is there already. `table`: another one than the kernel's choice. */
  request(index: number, table?: number): Request;
}

export const routeKey = (kind: RouteKind, address: string, prefixLength: number): string =>
  `${kind} ${address}/${prefixLength}`;

/** @returns undefined for a route without one outgoing device */
export function parseRoute(body: Buffer): KernelRoute | undefined {
  const family = familyOf(body.readUInt8(0));
  const kind = (Object.keys(RTN) as RouteKind[]).find((each) => RTN[each] === body.readUInt8(7));
  const found = attributes(body, 12);
  const index = readOptional(found.get(RTA.OIF));
  if (family === undefined || kind === undefined || index === 0) return undefined;
  const destination = found.get(RTA.DST) ?? Buffer.alloc(family === 4 ? 4 : 16);
  const table = readOptional(found.get(RTA.TABLE)) || body.readUInt8(4);
  return { index, key: routeKey(kind, addressText(destination), body.readUInt8(1)), table };
}

/**
 * The routes of an address on a device; `routed`: with the route to its subnet. IPv6's local route is left out: the
 * kernel removes it with the address only when the kernel made it, so the address is added anew instead.
 */
export function routesOf(address: InterfaceAddress, routed: boolean): WantedRoute[] {
  if (address.family === 6) return routed ? [subnetRoute(address)] : [];
  const broadcast = broadcastBytes(address);
  return [
    ipv4Route("local", address.address, 32, address),
    ...(broadcast === undefined ? [] : [ipv4Route("broadcast", addressText(broadcast), 32, address)]),
    ...(routed ? [subnetRoute(address)] : []),
  ];
}

function subnetRoute(address: InterfaceAddress): WantedRoute {
  const [subnet = "", length = ""] = subnetOf(address).split("/");
  if (address.family === 4) return ipv4Route("unicast", subnet, Number(length), address);
  return ipv6Route("unicast", subnet, Number(length));
}

const ipv4Route = (kind: RouteKind, to: string, length: number, { address }: InterfaceAddress) =>
  route(AF_INET, kind, { to, length, from: address });
const ipv6Route = (kind: RouteKind, to: string, length: number) => route(AF_INET6, kind, { to, length });

function route(
  family: number,
  kind: RouteKind,
  { to, length, from }: { readonly to: string; readonly length: number; readonly from?: string },
): WantedRoute {
  const isIPv4 = family === AF_INET;
  const scope = !isIPv4 ? SCOPE.universe : kind === "local" ? SCOPE.host : SCOPE.link;
  return {
    key: routeKey(kind, to, length),
    what: `to ${to}/${length}`,
    request(index, table = kind === "unicast" ? RT_TABLE.main : RT_TABLE.local) {
      const header = Buffer.alloc(12);
      header.set([family, length, 0, 0, table < 256 ? table : 0, RTPROT_KERNEL, scope, RTN[kind]]);
      const body = withAttributes(header, (out) => {
        out.push(RTA.DST, addressBytes(to));
        out.push(RTA.OIF, u32(index));
        out.push(RTA.TABLE, u32(table));
        if (from !== undefined) out.push(RTA.PREFSRC, addressBytes(from));
        if (!isIPv4) out.push(RTA.PRIORITY, u32(METRIC));
      });
      // IPv6 without EXCL, which would fail for another device's route. IPv4 with it: an address that was not the first
      // of its subnet has a route with another source than this.
      return { type: MESSAGE.NEWROUTE, flags: FLAG.CREATE | (isIPv4 ? FLAG.EXCL : 0), body };
    },
  };
}

/** The route to link-local addresses, as the kernel makes it for a device with a link-local address. */
export const LINK_LOCAL = ipv6Route("unicast", "fe80::", 64);

/** The routes of every device that has an IPv6 address. */
export const IPV6_ROUTES = [LINK_LOCAL, ipv6Route("multicast", "ff00::", 8)];
