/**
 * FreeBSD's way to name a carp interface: by its carpdev and a vhid. Finds the interface that a change is about,
 * and turns the change into one of that interface. Pure.
 */

import { parseAddress } from "../../protocol/address.ts";
import { addressClaim, type Claim, vhidClaim } from "../claims.ts";
import type { InterfaceChange, InterfaceConfiguration } from "./configuration.ts";
import type { Refused } from "./reconfigure.ts";

/** The claim of the interface that a change is about; undefined: the change tells of none. */
export function claimOn(carpdev: string, { vhid, removeAddresses }: InterfaceChange): Claim | undefined {
  if (vhid !== undefined) return vhidClaim(vhid, carpdev);
  const address = parseAddress(removeAddresses?.[0] ?? "")?.address;
  return address === undefined ? undefined : addressClaim(address, carpdev);
}

/**
 * Finds the carp interface on a carpdev that has the change's vhid among its nodes. Without a vhid: the one that has
 * the addresses which the change removes, as FreeBSD removes an address by `ifconfig em0 ADDRESS -alias`.
 */
export function interfaceOn(
  carpdev: string,
  { vhid, removeAddresses = [] }: InterfaceChange,
  interfaces: Iterable<InterfaceConfiguration>,
): InterfaceConfiguration | undefined {
  const removed = removeAddresses.map((address) => parseAddress(address)?.address);
  for (const each of interfaces) {
    const isMeant =
      vhid === undefined
        ? removed.length > 0 &&
          removed.every((text) => each.addresses.some(({ address }) => address === text))
        : each.nodes.some((node) => node.vhid === vhid);
    if (each.carpdev === carpdev && isMeant) return each;
  }
  return undefined;
}

/**
 * The change in the words of the interface's own: the vhid says which node is meant, and the other nodes stay.
 *
 * @param present the interface; undefined: the change is of a new one
 */
export function changeOn(
  carpdev: string,
  change: InterfaceChange,
  present: InterfaceConfiguration | undefined,
): InterfaceChange | Refused {
  const { vhid, advskew, ...others } = change;
  if (change.carpdev !== undefined && change.carpdev !== carpdev)
    return { error: `carpdev ${change.carpdev}: the carpdev is ${carpdev}` };
  if (vhid === undefined) {
    const only = change.removeAddresses !== undefined && Object.keys(change).length === 1;
    return only ? change : { error: `vhid: needed to say which virtual host on ${carpdev}` };
  }
  if (change.carpnodes !== undefined || present === undefined || present.nodes.length === 1)
    return { ...change, carpdev };
  if (advskew === undefined) return others;
  const carpnodes = present.nodes.map((node) => (node.vhid === vhid ? { vhid, advskew } : node));
  return { ...others, carpnodes };
}

/** Whether a change takes addresses away and gives none: nothing is created for that. */
export function onlyRemoves({ addAddresses, removeAddresses, removeFamilies }: InterfaceChange): boolean {
  return addAddresses === undefined && (removeAddresses !== undefined || removeFamilies !== undefined);
}

/** Whether a change takes an interface's last address. On FreeBSD the virtual host goes with it. */
export function takesLastAddress(
  change: InterfaceChange,
  before: InterfaceConfiguration,
  after: InterfaceConfiguration,
): boolean {
  const removes = change.removeAddresses !== undefined || change.removeFamilies !== undefined;
  return removes && before.addresses.length > 0 && after.addresses.length === 0;
}
