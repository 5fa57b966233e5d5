/**
 * Applies a command's changes to the configuration of a carp interface, all together, and refuses them with
 * one line when the result would conflict with itself, the carpdev or another interface. Pure: returns a new
 * configuration.
 */

import { isLinkLocal, parseAddress } from "../../protocol/address.ts";
import { contains } from "../../protocol/subnet.ts";
import { type Claim, claimsOf } from "../claims.ts";
import type { CarpNode, InterfaceAddress, Link } from "../model.ts";
import {
  CARPDEV_MAC,
  type InterfaceChange,
  type InterfaceConfiguration,
  MAX_ADDRESSES,
  MAX_GROUPS,
} from "./configuration.ts";

/** The rest of the host, which a change must not conflict with. */
export interface Surroundings {
  /** `true`: this host can filter packets for several nodes. Otherwise the reason why not. */
  readonly balancing: true | string;
  readonly links: ReadonlyMap<string, Link>;
  /** Devices that can be no carpdev, and why. */
  readonly unfit: ReadonlyMap<string, string>;
  /** The name of another carp interface that has this claim; undefined: it is free. */
  readonly claimedBy: (claim: Claim) => string | undefined;
  /** Whether the change is one of a configuration file, which is applied before the host is as it should be. */
  readonly isFromFile: boolean;
}

export type Refused = { readonly error: string };

/** MACs of a carpdev that are remembered. */
const MAX_CARPDEV_MACS = 8;

/** The configuration of a new interface. */
export function newInterface(name: string): InterfaceConfiguration {
  return {
    name,
    up: false,
    carpdev: undefined,
    nodes: [],
    advbase: 1,
    pass: "",
    carppeer: undefined,
    carppeer6: undefined,
    balancing: "none",
    lladdr: undefined,
    carpdevMacs: [],
    announce: undefined,
    preemptdelay: undefined,
    groups: ["carp"],
    description: undefined,
    mtu: undefined,
    addresses: [],
  };
}

/**
 * Applies a change, or refuses it.
 *
 * @param before the configuration that is changed: the present one, or that of a new interface
 */
export function applyChange(
  present: InterfaceConfiguration,
  change: InterfaceChange,
  surroundings: Surroundings,
  before = present,
): InterfaceConfiguration | Refused {
  const addresses = changedAddresses(before, change);
  if ("error" in addresses) return addresses;
  const nodes = changedNodes(before, change);
  if ("error" in nodes) return nodes;
  const groups = changedGroups(before, change);
  if ("error" in groups) return groups;
  const set = <T>(changed: T | null | undefined, was: T | undefined) =>
    changed === undefined ? was : changed === null ? undefined : changed;
  const carpdev = change.carpdev ?? before.carpdev ?? carpdevFor(addresses.list, present, surroundings.links);
  const after: InterfaceConfiguration = {
    name: before.name,
    // Giving an address brings the interface up, as with ifconfig.
    up: change.up ?? (before.up || (change.addAddresses?.length ?? 0) > 0),
    carpdev,
    nodes: nodes.list,
    advbase: change.advbase ?? before.advbase,
    pass: change.pass ?? before.pass,
    carppeer: set(change.carppeer, before.carppeer),
    carppeer6: set(change.carppeer6, before.carppeer6),
    balancing: change.balancing ?? before.balancing,
    ...followMac(
      { lladdr: set(change.lladdr, before.lladdr) },
      carpdev === undefined ? undefined : surroundings.links.get(carpdev),
      present.carpdev === carpdev ? present.carpdevMacs : [],
    ),
    announce: set(change.announce, before.announce),
    preemptdelay: set(change.preemptdelay, before.preemptdelay),
    groups: groups.list,
    description: set(change.description, before.description),
    mtu: change.mtu ?? before.mtu,
    addresses: addresses.list,
  };
  const conflict = conflictOf(present, after, change, surroundings);
  return conflict === undefined ? after : { error: conflict };
}

/** Finds the conflict that makes a configuration impossible; undefined: there is none. */
function conflictOf(
  before: InterfaceConfiguration,
  after: InterfaceConfiguration,
  change: InterfaceChange,
  { balancing, links, unfit, claimedBy, isFromFile }: Surroundings,
): string | undefined {
  const { carpdev, nodes } = after;
  const link = carpdev === undefined ? undefined : links.get(carpdev);
  // At boot a carpdev may come late. An interface that has one already is not taken from it for a typing error.
  const waits = isFromFile && (before.carpdev === undefined || !links.has(before.carpdev));
  const isUnfit = carpdev !== undefined && unfit.has(carpdev);
  if (
    change.carpdev !== undefined &&
    link === undefined &&
    change.carpdev !== before.carpdev &&
    !(waits && !isUnfit)
  )
    return `carpdev ${change.carpdev}: ${unfit.get(change.carpdev) ?? "no such device"}`;
  // A restored interface with several nodes may still be changed in other ways, taken down and destroyed.
  if (
    nodes.length > 1 &&
    balancing !== true &&
    !(before.nodes.length > 1 && change.carpnodes === undefined)
  ) {
    const words = nodes.map((node) => `${node.vhid}:${node.advskew}`).join();
    return `carpnodes ${words}: ${balancing}`;
  }
  for (const claim of claimsOf(after, link?.mac)) {
    const other = claimedBy(claim);
    if (other === undefined) continue;
    return `${claim.what} is already used by ${other}${claim.carpdev === undefined ? "" : ` on ${claim.carpdev}`}`;
  }
  const own = new Set(after.addresses.map(({ address }) => address));
  // A carpdev may have got a shared address later, which is told of: that hinders no other change.
  if (carpdev === before.carpdev) for (const { address } of before.addresses) own.delete(address);
  for (const { address } of link?.addresses ?? [])
    if (!isFromFile && own.has(address))
      return `${address} is ${carpdev}'s own address: a shared address must be another one`;
  if (change.mtu !== undefined && change.mtu !== before.mtu && link !== undefined && change.mtu > link.mtu)
    return `mtu ${change.mtu}: ${carpdev} takes at most ${link.mtu}`;
  return undefined;
}

/**
 * Follows the carpdev's MAC from now on if `lladdr` is that MAC, or one that the carpdev had while it was
 * followed: the same file can be applied again when it has another one.
 *
 * @param followed the MACs that the carpdev had while it was followed
 */
export function followMac<T extends Pick<InterfaceConfiguration, "lladdr">>(
  configuration: T,
  link: Link | undefined,
  followed: readonly string[],
): T & Pick<InterfaceConfiguration, "lladdr" | "carpdevMacs"> {
  const { lladdr } = configuration;
  const known = [...new Set([...followed, ...(link === undefined ? [] : [link.mac])])];
  if (lladdr !== CARPDEV_MAC && !known.includes(lladdr ?? "")) return { ...configuration, carpdevMacs: [] };
  return { ...configuration, lladdr: CARPDEV_MAC, carpdevMacs: known.slice(-MAX_CARPDEV_MACS) };
}

function changedAddresses(
  before: InterfaceConfiguration,
  change: InterfaceChange,
): { list: readonly InterfaceAddress[] } | Refused {
  // In order; an interface may have thousands.
  const list = new Map(before.addresses.map((each) => [each.address, each]));
  for (const { address, family } of before.addresses)
    if (change.removeFamilies?.includes(family)) list.delete(address);
  for (const address of change.removeAddresses ?? [])
    if (!list.delete(canonicalAddress(address)))
      return { error: `${address}: no such address on ${before.name}` };
  for (const { alias, ...given } of change.addAddresses ?? []) {
    const added = { ...given, address: canonicalAddress(given.address) };
    const replaces = !alias && added.family === 4 && !list.has(added.address);
    const first = replaces ? list.values().find(({ family }) => family === 4) : undefined;
    if (first === undefined) list.set(added.address, added);
    else {
      const others = [...list.values()];
      others[others.indexOf(first)] = added;
      list.clear();
      for (const each of others) list.set(each.address, each);
    }
  }
  if (list.size > Math.max(MAX_ADDRESSES, before.addresses.length))
    return { error: `${before.name}: an interface has at most ${MAX_ADDRESSES} addresses` };
  return { list: [...list.values()] };
}

function canonicalAddress(text: string): string {
  return parseAddress(text)?.address ?? text;
}

function changedNodes(
  before: InterfaceConfiguration,
  change: InterfaceChange,
): { list: readonly CarpNode[] } | Refused {
  if (change.carpnodes !== undefined) {
    if (change.vhid !== undefined) return { error: `vhid ${change.vhid}: cannot be combined with carpnodes` };
    if (change.advskew !== undefined)
      return { error: `advskew ${change.advskew}: cannot be combined with carpnodes` };
    const list = [...change.carpnodes].sort((a, b) => a.vhid - b.vhid);
    const twice = list.find((node, i) => list[i + 1]?.vhid === node.vhid);
    if (twice === undefined) return { list };
    const words = change.carpnodes.map((node) => `${node.vhid}:${node.advskew}`).join();
    return { error: `carpnodes ${words}: duplicate vhid ${twice.vhid}` };
  }
  if (change.vhid !== undefined)
    return { list: [{ vhid: change.vhid, advskew: change.advskew ?? before.nodes[0]?.advskew ?? 0 }] };
  if (change.advskew === undefined) return { list: before.nodes };
  const [only, ...more] = before.nodes;
  if (only === undefined) return { error: `advskew ${change.advskew}: ${before.name} has no vhid yet` };
  if (more.length > 0)
    return { error: `advskew ${change.advskew}: ${before.name} has several nodes: use carpnodes` };
  return { list: [{ vhid: only.vhid, advskew: change.advskew }] };
}

function changedGroups(
  before: InterfaceConfiguration,
  change: InterfaceChange,
): { list: readonly string[] } | Refused {
  for (const group of change.leaveGroups ?? [])
    if (!before.groups.includes(group)) return { error: `group ${group}: ${before.name} is not in it` };
  const kept = before.groups.filter((group) => !change.leaveGroups?.includes(group));
  const groups = new Set([...kept, ...(change.joinGroups ?? [])]);
  if (groups.size > Math.max(MAX_GROUPS, before.groups.length))
    return { error: `${before.name}: an interface is in at most ${MAX_GROUPS} groups` };
  return { list: groups.has("carp") ? [...new Set(["carp", ...groups])] : [...groups] };
}

/**
 * Chooses the carpdev when none is given: the device that has an address in the same subnet as one of ours;
 * of several the present one, which also stays while it is away and no other device fits. Link-local
 * addresses are in every device's subnet and do not count.
 */
function carpdevFor(
  addresses: readonly InterfaceAddress[],
  { carpdev }: InterfaceConfiguration,
  links: ReadonlyMap<string, Link>,
): string | undefined {
  const presentFirst = [...links.values()].sort(
    (a, b) => Number(b.name === carpdev) - Number(a.name === carpdev),
  );
  for (const { family, address } of addresses)
    for (const link of presentFirst)
      for (const own of link.addresses)
        if (
          own.family === family &&
          !isLinkLocal(address) &&
          contains(own.address, own.prefixLength, address)
        )
          return link.name;
  const isAway = carpdev !== undefined && !links.has(carpdev) && addresses.length > 0;
  return isAway ? carpdev : undefined;
}
