/**
 * Tells whether a host may have an address for its own: by the special ranges of RFC 6890, and by its place in its
 * subnet. Knows no segment.
 */

import { parseAddress } from "../protocol/address.ts";
import { type PrefixedAddress, subnetOf, withoutHost } from "../protocol/subnet.ts";

/** Neither multicast, broadcast, loopback nor unspecified. False for what is no address at all. */
export function isUnicast(text: string): boolean {
  const parsed = parseAddress(text);
  if (parsed === undefined) return false;
  const { family, address, bytes } = parsed;
  const first = bytes[0] ?? 0;
  if (family === 6) return first !== 0xff && address !== "::" && address !== "::1";
  const thisNetwork = first === 0;
  const loopback = first === 127;
  const multicast = first >= 224 && first < 240;
  return !thisNetwork && !loopback && !multicast && address !== "255.255.255.255";
}

/** Why no host may have the address in its subnet, as the rest of a line that begins with it; undefined: one may. */
export function notAHosts(
  of: PrefixedAddress & { readonly broadcast?: string | undefined },
): string | undefined {
  const { address } = of;
  const { network, broadcast } = withoutHost(of);
  if (address === broadcast || address === of.broadcast)
    return "not a unicast address (it is the network's broadcast address)";
  if (address !== network) return undefined;
  const what = address.includes(":") ? "the subnet-router anycast address" : "the address";
  return `not a host's address (it is ${what} of the network ${subnetOf(of)})`;
}
