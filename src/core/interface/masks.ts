/**
 * Masks of shared addresses that differ from the carpdev's: an IPv4 address without a mask has its class's, which is
 * rarely meant. The routes of such a subnet stay the carpdev's; a person is told which mask to type.
 */

import { isLinkLocal } from "../../protocol/address.ts";
import { contains, netmask, overlap, sameSubnet } from "../../protocol/subnet.ts";
import type { InterfaceAddress } from "../model.ts";

/** A shared address with another mask than the carpdev has for the same network. */
export interface OtherMask {
  /** `10.0.0.1/8`. */
  readonly shared: string;
  /** The carpdev's: `10.0.0.2/24`. */
  readonly own: string;
  /** The words to type instead: `10.0.0.1/24 (netmask 255.255.255.0)`. */
  readonly use: string;
}

/**
 * Finds the masks that differ from the carpdev's.
 *
 * @param addresses the ones to look at
 * @param shared every address of the interface: with the carpdev's own MAC they are among the carpdev's
 */
export function otherMasks(
  addresses: readonly InterfaceAddress[],
  shared: readonly InterfaceAddress[],
  carpdevs: readonly InterfaceAddress[],
): OtherMask[] {
  const own = carpdevs.filter(({ address }) => shared.every((each) => each.address !== address));
  return addresses.flatMap((each) => {
    const other = otherMask(each, own);
    if (other === undefined) return [];
    const { family, address } = each;
    const length = other.prefixLength;
    const word = family === 4 ? `netmask ${netmask(length)}` : `prefixlen ${length}`;
    const use = `${address}/${length} (${word})`;
    return { shared: text(each), own: text(other), use };
  });
}

const text = ({ address, prefixLength }: InterfaceAddress) => `${address}/${prefixLength}`;

/** For the person whose command gave the address. */
export function maskWarning({ shared, own, use }: OtherMask, carpdev: string): string {
  return `${shared}: ${carpdev} has ${own}: use ${use}`;
}

/** The carpdev's address of the same network that has another mask; undefined: one has the same, or none is in it. */
function otherMask(shared: InterfaceAddress, own: readonly InterfaceAddress[]): InterfaceAddress | undefined {
  if (isAlone(shared) || isLinkLocal(shared.address)) return undefined;
  const near = own.filter((each) => each.family === shared.family && !isAlone(each) && overlap(each, shared));
  if (near.some((each) => sameSubnet(each, shared))) return undefined;
  return near.find(({ address, prefixLength }) => contains(address, prefixLength, shared.address)) ?? near[0];
}

/** Whether the mask is that of a single host, which has no subnet: as aliases are often given. */
function isAlone({ family, prefixLength }: InterfaceAddress): boolean {
  return prefixLength === (family === 4 ? 32 : 128);
}
