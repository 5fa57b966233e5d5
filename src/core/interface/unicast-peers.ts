/**
 * Unicast peers: the other hosts among the configured carppeer addresses, and how each is reached from the
 * carpdev. All hosts of a cluster can have the same list, so this host's own addresses in it are skipped.
 */

import { contains } from "../../protocol/subnet.ts";
import type { Family, InterfaceAddress, Link } from "../model.ts";
import type { InterfaceConfiguration } from "./configuration.ts";

/** The route to a unicast peer. */
export interface UnicastPeer {
  /** The source address of advertisements to it: the carpdev's in its subnet, or else its first one. */
  readonly source: string | undefined;
  /** Whether it is in a subnet of the carpdev; otherwise routers are in between. */
  readonly isOnLink: boolean;
}

/** The unicast peers of a family by address; undefined: advertisements of that family are multicast. */
export type UnicastPeers = ReadonlyMap<string, UnicastPeer> | undefined;

export function unicastPeers(
  family: Family,
  configuration: InterfaceConfiguration,
  link: Link | undefined,
): UnicastPeers {
  const configured = configuredPeers(family, configuration);
  if (configured === undefined) return undefined;
  const onCarpdev = (link?.addresses ?? []).filter((each) => each.family === family);
  const own = ownAddresses(family, configuration, link);
  const first = (own[0] ?? configuration.addresses.find((each) => each.family === family))?.address;
  const isOwn = new Set(ownPeers(family, configuration, link));
  return new Map(
    configured
      .filter((address) => !isOwn.has(address))
      .map((address) => [
        address,
        {
          source: inSubnetOf(address, own)?.address ?? first,
          isOnLink: inSubnetOf(address, onCarpdev) !== undefined,
        },
      ]),
  );
}

export function configuredPeers(
  family: Family,
  { carppeer, carppeer6 }: Pick<InterfaceConfiguration, "carppeer" | "carppeer6">,
): readonly string[] | undefined {
  return family === 4 ? carppeer : carppeer6;
}

/** The configured peers that are this host itself: addresses of the carpdev. */
export function ownPeers(
  family: Family,
  configuration: InterfaceConfiguration,
  link: Link | undefined,
): readonly string[] {
  const configured = configuredPeers(family, configuration) ?? [];
  return configured.filter((peer) => link?.addresses.some(({ address }) => address === peer));
}

/** The carpdev's addresses of a family that are not shared, in the kernel's order. */
export function ownAddresses(
  family: Family,
  { addresses: shared }: InterfaceConfiguration,
  link: Link | undefined,
): readonly InterfaceAddress[] {
  return (link?.addresses ?? []).filter(
    (each) => each.family === family && !shared.some(({ address }) => address === each.address),
  );
}

/** Finds the first address whose subnet has the peer in it. */
function inSubnetOf(peer: string, addresses: readonly InterfaceAddress[]): InterfaceAddress | undefined {
  return addresses.find(({ address, prefixLength }) => contains(address, prefixLength, peer));
}
