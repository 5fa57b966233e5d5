/**
 * Host routes: routes through a carp interface's device that the host's administrator or a hook added, from their
 * notifications. The kernel drops them together with the device's addresses, often without a notification, so they are
 * kept as the requests that add them again.
 */

import {
  addressText,
  attributes,
  FLAG,
  familyOf,
  MESSAGE,
  type Request,
  readOptional,
  readU32,
  u32,
  withAttributes,
  writeU32,
} from "./bytes.ts";

/** linux/rtnetlink.h */
const RTA = {
  DST: 1,
  OIF: 4,
  GATEWAY: 5,
  PRIORITY: 6,
  PREFSRC: 7,
  MULTIPATH: 9,
  CACHEINFO: 12,
  TABLE: 15,
  NH_ID: 30,
};
const HEADER_BYTES = 12;
/** Not an administrator's: unspecified, redirects, the kernel's own, router advertisements. */
const OTHER_PROTOCOLS: ReadonlySet<number> = new Set([0, 1, 2, 9]);
const RTM_F_CLONED = 0x200;
/** The only flag in a notification that a request may carry. */
const RTNH_F_ONLINK = 4;

export interface HostRoute {
  readonly index: number;
  /** Destination, type of service, table, metric and type. */
  readonly key: string;
  /** `to 0.0.0.0/0 via 10.0.0.254`, for messages. */
  readonly what: string;
  /** The address of this host that packets are sent from, where the route names one. */
  readonly source: string | undefined;
  /** Fails with EEXIST when it is there. */
  request(index: number): Request;
}

/** @returns undefined for a route of another kind, also one with several gateways or with a nexthop object */
export function parseHostRoute(body: Buffer): HostRoute | undefined {
  const family = familyOf(body.readUInt8(0));
  if (family === undefined || OTHER_PROTOCOLS.has(body.readUInt8(5))) return undefined;
  if ((readU32(body, 8) & RTM_F_CLONED) !== 0) return undefined;
  const found = attributes(body, HEADER_BYTES);
  const index = readOptional(found.get(RTA.OIF));
  if (index === 0 || found.has(RTA.MULTIPATH) || found.has(RTA.NH_ID)) return undefined;
  const destination = addressText(found.get(RTA.DST) ?? Buffer.alloc(family === 4 ? 4 : 16));
  const [length, tos, type] = [body.readUInt8(1), body.readUInt8(3), body.readUInt8(7)];
  const table = readOptional(found.get(RTA.TABLE)) || body.readUInt8(4);
  const [gateway, source] = [RTA.GATEWAY, RTA.PREFSRC].map((each) => {
    const address = found.get(each);
    return address && addressText(address);
  });
  return {
    index,
    key: `${destination}/${length} ${tos} ${table} ${readOptional(found.get(RTA.PRIORITY))} ${type}`,
    what: `to ${destination}/${length}${gateway === undefined ? "" : ` via ${gateway}`}`,
    source,
    request(through) {
      const header = Buffer.from(body.subarray(0, HEADER_BYTES));
      writeU32(header, 8, readU32(header, 8) & RTNH_F_ONLINK);
      const filled = withAttributes(header, (out) => {
        for (const [each, value] of found)
          if (each === RTA.OIF) out.push(each, u32(through));
          else if (each !== RTA.CACHEINFO) out.push(each, value);
      });
      return { type: MESSAGE.NEWROUTE, flags: FLAG.CREATE | FLAG.EXCL, body: filled };
    },
  };
}
