/** Which subnet an address is in, and what its last address is. Arithmetic only. */

import type { InterfaceAddress } from "../core/event.ts";
import { addressBytes, addressText } from "./netlink-bytes.ts";

/** undefined: a prefix of one or two addresses has none, nor has IPv6. */
export function broadcastOf(address: InterfaceAddress): Uint8Array | undefined {
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
