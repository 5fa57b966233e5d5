/**
 * The configuration of one carp interface and the changes that a command makes to it, as plain data. Each
 * value is in range already (the schema of control messages checks it); reconfigure.ts checks whether values
 * fit together.
 */

import type { Balancing, CarpNode, InterfaceAddress } from "../model.ts";

/** In place of a MAC: the carpdev's own, whatever that is. */
export const CARPDEV_MAC = "carpdev";
/** Of one interface: the kernel takes longer to place more of them than a lease lasts. */
export const MAX_ADDRESSES = 5120;
/** Of one host: the kernel's data path has room for the leases of so many. */
export const MAX_INTERFACES = 4096;
/** Of one host's interfaces together. */
export const MAX_ADDRESSES_OF_HOST = 65_536;
/** That one interface is in. */
export const MAX_GROUPS = 256;

export interface InterfaceConfiguration {
  readonly name: string;
  readonly up: boolean;
  readonly carpdev: string | undefined;
  /** Ascending by vhid, distinct; empty until a vhid is set. */
  readonly nodes: readonly CarpNode[];
  readonly advbase: number;
  readonly pass: string;
  /** Unicast peers, as configured: distinct, at least one, perhaps this host itself. undefined: multicast. */
  readonly carppeer: readonly string[] | undefined;
  readonly carppeer6: readonly string[] | undefined;
  readonly balancing: Balancing;
  /** A MAC set by hand, or CARPDEV_MAC; undefined: the virtual MAC. */
  readonly lladdr: string | undefined;
  /** With CARPDEV_MAC: the MACs that the carpdev has had meanwhile, each of which may stand in a file for it. */
  readonly carpdevMacs: readonly string[];
  /** Seconds in which a MASTER announces each address once more; 0: it does not; undefined: the default. */
  readonly announce: number | undefined;
  /** Seconds in which it preempts no healthy master once it is back; undefined: net.inet.carp.preempt_delay. */
  readonly preemptdelay: number | undefined;
  /** In the order in which they were joined; `carp`, if joined, is first. */
  readonly groups: readonly string[];
  readonly description: string | undefined;
  readonly mtu: number | undefined;
  /** In the order in which they were given. */
  readonly addresses: readonly InterfaceAddress[];
}

/**
 * The changes of one command, applied together or not at all. Absent: unchanged. null: back to the default.
 */
export interface InterfaceChange {
  readonly carpdev?: string | undefined;
  readonly vhid?: number | undefined;
  readonly advbase?: number | undefined;
  readonly advskew?: number | undefined;
  readonly pass?: string | undefined;
  readonly carppeer?: readonly string[] | null | undefined;
  readonly carppeer6?: readonly string[] | null | undefined;
  readonly carpnodes?: readonly CarpNode[] | undefined;
  readonly balancing?: Balancing | undefined;
  readonly lladdr?: string | null | undefined;
  readonly announce?: number | null | undefined;
  readonly preemptdelay?: number | null | undefined;
  readonly joinGroups?: readonly string[] | undefined;
  readonly leaveGroups?: readonly string[] | undefined;
  readonly description?: string | null | undefined;
  readonly mtu?: number | undefined;
  readonly up?: boolean | undefined;
  readonly state?: "init" | "backup" | "master" | undefined;
  /** Ends the grace after a change of the pass or the addresses, of this command's too. */
  readonly grace?: "off" | undefined;
  /** `alias: false` on IPv4 replaces the first IPv4 address, as ifconfig does; on IPv6 it adds. */
  readonly addAddresses?: readonly (InterfaceAddress & { readonly alias: boolean })[] | undefined;
  /** Canonical texts. */
  readonly removeAddresses?: readonly string[] | undefined;
  /** `-inet`, `-inet6`: every address of that family goes. */
  readonly removeFamilies?: readonly (4 | 6)[] | undefined;
}
