/**
 * What a user configures, as plain data: the parameters of one carp interface and the changes a command makes to
 * them. Values here are in range already (the control messages' schema saw to it); whether they make sense together
 * is decided in carp-interface.ts and host.ts.
 */

import type { InterfaceAddress } from "./event.ts";
import type { NamedDemotion } from "./view.ts";

export type Balancing = "none" | "ip" | "ip-unicast" | "ip-stealth";

export interface CarpNode {
  readonly vhid: number;
  readonly advskew: number;
}

export interface InterfaceConfiguration {
  readonly name: string;
  readonly up: boolean;
  readonly carpdev: string | undefined;
  /** Ascending by vhid, distinct; empty until a vhid is set. */
  readonly nodes: readonly CarpNode[];
  readonly advbase: number;
  readonly pass: string;
  readonly carppeer: string | undefined;
  readonly carppeer6: string | undefined;
  readonly balancing: Balancing;
  /** Set by hand; undefined: the virtual MAC. */
  readonly lladdr: string | undefined;
  /** In the order they were joined; `carp`, where it is among them, first. */
  readonly groups: readonly string[];
  readonly description: string | undefined;
  readonly mtu: number | undefined;
  /** In the order they were given. */
  readonly addresses: readonly InterfaceAddress[];
}

/** Changes of one command, applied together or not at all. Absent: leave alone. null: back to the default. */
export interface InterfaceChange {
  readonly carpdev?: string | undefined;
  readonly vhid?: number | undefined;
  readonly advbase?: number | undefined;
  readonly advskew?: number | undefined;
  readonly pass?: string | undefined;
  readonly carppeer?: string | null | undefined;
  readonly carppeer6?: string | null | undefined;
  readonly carpnodes?: readonly CarpNode[] | undefined;
  readonly balancing?: Balancing | undefined;
  readonly lladdr?: string | null | undefined;
  readonly joinGroups?: readonly string[] | undefined;
  readonly leaveGroups?: readonly string[] | undefined;
  readonly description?: string | null | undefined;
  readonly mtu?: number | undefined;
  readonly up?: boolean | undefined;
  readonly state?: "init" | "backup" | "master" | undefined;
  /** `alias: false` on IPv4 replaces the first IPv4 address, as ifconfig does; on IPv6 it adds. */
  readonly addAddresses?: readonly (InterfaceAddress & { readonly alias: boolean })[] | undefined;
  /** Canonical texts. */
  readonly removeAddresses?: readonly string[] | undefined;
  /** `-inet`, `-inet6`: every address of that family goes. */
  readonly removeFamilies?: readonly (4 | 6)[] | undefined;
}

/** The value as given: what a variable becomes by it depends on the variable. */
export interface SysctlWrite {
  readonly name: string;
  readonly value: number;
}

/** Everything a user can ask of the host that changes something. */
export type Command =
  /** Without a name: the next free carpN. */
  | { readonly kind: "create"; readonly name?: string | undefined }
  | { readonly kind: "destroy"; readonly name: string }
  /** Creates the interface when it does not exist. */
  | { readonly kind: "change"; readonly name: string; readonly change: InterfaceChange }
  /** Makes of the interface exactly this change to a new one. Creates it when it does not exist. */
  | {
      readonly kind: "replace";
      readonly name: string;
      readonly change: InterfaceChange;
      /** Only says whether it would change anything, or be refused. */
      readonly dryRun?: boolean | undefined;
    }
  /** Adds to the carp demote count of a group; never below 0. */
  | { readonly kind: "demote-group"; readonly group: string; readonly by: number }
  /** Several in this order, all of them or none. */
  | { readonly kind: "set-sysctl"; readonly writes: readonly SysctlWrite[] }
  | DemotionCommand;

/** Parts of `net.inet.carp.demotion` with a name, each there once. */
export type DemotionCommand =
  /** Replaces what this reason added before. */
  | { readonly kind: "demote"; readonly reason: string; readonly by: number }
  | { readonly kind: "promote"; readonly reason: string }
  | { readonly kind: "maintenance"; readonly on: boolean }
  /** The service checks have run: which of them failed. */
  | { readonly kind: "services"; readonly failed: readonly string[] };

export interface HostConfiguration {
  readonly interfaces: readonly InterfaceConfiguration[];
  readonly sysctl: readonly { readonly name: string; readonly value: number }[];
  /** Groups whose carp demote count somebody raised; absent: none. */
  readonly groups?: readonly { readonly name: string; readonly carpDemoteCount: number }[] | undefined;
  /** What the host is demoted for by name, on top of the counter among the variables; absent: nothing. */
  readonly reasons?: readonly NamedDemotion[] | undefined;
}
