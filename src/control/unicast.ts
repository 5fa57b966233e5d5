/**
 * Tells whether a host may have an address for its own, by the special ranges of RFC 6890. Knows no segment
 * and no prefix.
 */

import { parseAddress } from "../protocol/address.ts";

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
