/**
 * Subnet arithmetic: prefixes, netmasks and broadcast addresses, on canonical address text. Pure; it must never know
 * which addresses this machine has.
 */

import { addressBytes, type Family, formatAddress, parseAddress } from "./address.ts";

export interface PrefixedAddress {
  readonly address: string;
  readonly prefixLength: number;
}

/** The subnet of an address, as text to compare: `10.0.0.0/24`. Takes a prefix length too great for the whole address. */
export function subnetOf({ address, prefixLength }: PrefixedAddress): string {
  const bytes = addressBytes(address).map((byte, i) => byte & maskByte(prefixLength, i));
  return `${formatAddress(bytes)}/${prefixLength}`;
}

/**
 * The addresses of a subnet that no host has: the network's (with IPv6 that of its routers, RFC 4291), and of IPv4 the
 * broadcast address. None where a prefix leaves one or two addresses (RFC 3021, RFC 6164).
 */
export function withoutHost({ address, prefixLength }: PrefixedAddress): {
  readonly network?: string;
  readonly broadcast?: string;
} {
  const isIPv6 = address.includes(":");
  if (prefixLength >= (isIPv6 ? 127 : 31)) return {};
  const [network = ""] = subnetOf({ address, prefixLength }).split("/");
  return isIPv6 ? { network } : { network, broadcast: broadcastAddress(address, prefixLength) };
}

/** Whether both have the same prefix, of the same length: only then do their connected routes compete. */
export function sameSubnet(a: PrefixedAddress, b: PrefixedAddress): boolean {
  return a.prefixLength === b.prefixLength && subnetOf(a) === subnetOf(b);
}

/** Whether one of the two subnets is in the other, or both are the same. */
export function overlap(a: PrefixedAddress, b: PrefixedAddress): boolean {
  const prefixLength = Math.min(a.prefixLength, b.prefixLength);
  return contains(a.address, prefixLength, b.address);
}

/**
 * Makes a test whether a subnet overlaps one of these, which takes no longer for many of them: a host may have
 * thousands of addresses.
 */
export function overlapWith(subnets: readonly PrefixedAddress[]): (subnet: PrefixedAddress) => boolean {
  const byLength = Map.groupBy(subnets, ({ prefixLength }) => prefixLength);
  const known = new Map<string, ReadonlySet<string>>();
  const shortened = (to: number, length: number, of: readonly PrefixedAddress[]) => {
    const key = `${length} to ${to}`;
    const found = known.get(key) ?? new Set(of.map(({ address }) => subnetOf({ address, prefixLength: to })));
    known.set(key, found);
    return found;
  };
  return ({ address, prefixLength }) =>
    [...byLength].some(([length, of]) => {
      const shorter = Math.min(length, prefixLength);
      return shortened(shorter, length, of).has(subnetOf({ address, prefixLength: shorter }));
    });
}

/** The broadcast address as given, or as the prefix has it; a prefix of one or two addresses has none, nor has IPv6. */
export function broadcastOf({
  family,
  address,
  prefixLength,
  broadcast,
}: PrefixedAddress & { readonly family: Family; readonly broadcast?: string | undefined }):
  | string
  | undefined {
  if (family === 6) return undefined;
  return broadcast ?? (prefixLength > 30 ? undefined : broadcastAddress(address, prefixLength));
}

/** Whether an address is inside network/prefixLength; bits of `network` behind the prefix do not matter. */
export function contains(network: string, prefixLength: number, address: string): boolean {
  const net = addressBytes(network);
  const bytes = addressBytes(address);
  requirePrefixLength(prefixLength, net.length * 8);
  if (net.length !== bytes.length) return false;
  return net.every((byte, i) => {
    const mask = maskByte(prefixLength, i);
    return (byte & mask) === ((bytes[i] ?? 0) & mask);
  });
}

/** The mask's byte number i. */
function maskByte(prefixLength: number, i: number): number {
  const bits = Math.min(8, Math.max(0, prefixLength - i * 8));
  return (0xff00 >> bits) & 0xff;
}

function requirePrefixLength(prefixLength: number, most: number): void {
  if (!Number.isInteger(prefixLength) || prefixLength < 0 || prefixLength > most) {
    throw new RangeError(`prefix length ${prefixLength}: must be 0..${most}`);
  }
}

/** The IPv4 netmask: 24 -> 255.255.255.0. */
export function netmask(prefixLength: number): string {
  requirePrefixLength(prefixLength, 32);
  return formatAddress(Uint8Array.from([0, 1, 2, 3], (i) => maskByte(prefixLength, i)));
}

/** The prefix length of an IPv4 netmask, 255.255.255.0 or 0xffffff00; undefined when it is neither, or has holes. */
export function prefixLengthOf(mask: string): number | undefined {
  const bits = maskBits(mask);
  if (bits === undefined) return undefined;
  const prefixLength = Math.clz32(~bits);
  const hostBits = 2 ** (32 - prefixLength);
  return bits === 2 ** 32 - hostBits ? prefixLength : undefined;
}

function maskBits(mask: string): number | undefined {
  if (/^0x[0-9a-f]{1,8}$/i.test(mask)) return Number(mask);
  const parsed = parseAddress(mask);
  if (parsed?.family !== 4) return undefined;
  return parsed.bytes.reduce((bits, byte) => bits * 256 + byte, 0);
}

/** The IPv4 address with every host bit set. */
export function broadcastAddress(address: string, prefixLength: number): string {
  requirePrefixLength(prefixLength, 32);
  return formatAddress(ipv4Bytes(address).map((byte, i) => byte | (0xff & ~maskByte(prefixLength, i))));
}

/** The prefix length of an IPv4 address without a netmask: its class's, and class C's beyond the classes. */
export function classfulPrefixLength(address: string): number {
  const first = ipv4Bytes(address)[0] ?? 0;
  if (first < 128) return 8;
  return first < 192 ? 16 : 24;
}

function ipv4Bytes(address: string): Uint8Array {
  const bytes = addressBytes(address);
  if (bytes.length !== 4) throw new TypeError(`${address}: not an IPv4 address`);
  return bytes;
}
