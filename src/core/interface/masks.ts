/**
 * Masks of shared addresses that differ from the carpdev's: an IPv4 address without a mask has its class's, which is
 * rarely meant. The routes of such a subnet stay the carpdev's; the warning names the mask to type.
 */

import { isLinkLocal } from "../../protocol/address.ts";
import {
  contains,
  netmask,
  overlap,
  overlapWith,
  type PrefixedAddress,
  subnetOf,
} from "../../protocol/subnet.ts";
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

/** The first ones tell enough. */
const MOST = 16;

/**
 * Finds the masks that differ from the carpdev's: the first sixteen.
 *
 * @param addresses the ones to look at
 * @param shared every address of the interface: with the carpdev's own MAC they are among the carpdev's
 */
export function otherMasks(
  addresses: readonly InterfaceAddress[],
  shared: readonly InterfaceAddress[],
  carpdevs: readonly InterfaceAddress[],
): OtherMask[] {
  const ours = new Set(shared.map(({ address }) => address));
  const own = carpdevs.filter((each) => !ours.has(each.address) && !isAlone(each));
  const hasNeighbour = overlapWith(own);
  const subnets = new Set(own.map(subnetOf));
  const other = addresses.filter(
    (each) =>
      !isAlone(each) && !isLinkLocal(each.address) && !subnets.has(subnetOf(each)) && hasNeighbour(each),
  );
  return other.slice(0, MOST).map((each) => {
    const near = own.filter((neighbour) => neighbour.family === each.family && overlap(neighbour, each));
    const { address, prefixLength } =
      near.find((neighbour) => contains(neighbour.address, neighbour.prefixLength, each.address)) ??
      near[0] ??
      each;
    const word = each.family === 4 ? `netmask ${netmask(prefixLength)}` : `prefixlen ${prefixLength}`;
    const use = `${each.address}/${prefixLength} (${word})`;
    return { shared: text(each), own: text({ address, prefixLength }), use };
  });
}

const text = ({ address, prefixLength }: PrefixedAddress) => `${address}/${prefixLength}`;

/** For the person whose command gave the address. */
export function maskWarning({ shared, own, use }: OtherMask, carpdev: string): string {
  return `${shared}: ${carpdev} has ${own}: use ${use}`;
}

/** Whether the mask is that of a single host, which has no subnet: as aliases are often given. */
function isAlone({ family, prefixLength }: InterfaceAddress): boolean {
  return prefixLength === (family === 4 ? 32 : 128);
}
