/**
 * What the core wants done. Effects are data: src/kernel and src/engine perform them in the order given, for one
 * interface strictly one after the other. Tests and the simulator read them instead.
 */

import type { SignedForm } from "../protocol/authentication.ts";
import type { Balancing } from "./configuration.ts";
import type { Family, InterfaceAddress, Micros, TimerId } from "./event.ts";
import type { News } from "./news.ts";

/** One packet of an advertisement: a whole Ethernet frame, or a CARP message for the kernel to route to a peer. */
export type Transmission =
  | { readonly family: Family; readonly frame: Uint8Array }
  | {
      readonly family: Family;
      /** The peer, canonical text. */
      readonly destination: string;
      /** Our own source address, canonical text. */
      readonly source: string;
      /** TOS or traffic class byte. */
      readonly trafficClass: number;
      /** The 36 bytes behind the IP header. */
      readonly payload: Uint8Array;
    };

/** The Linux device that stands for a carp interface, as it should be now. */
export interface Device {
  readonly name: string;
  readonly carpdev: string;
  /** The MAC that carp gives out, less the multicast bit, which no device can have. The carpdev's own: `realMac`. */
  readonly mac: string;
  /** No macvlan can carry its parent's MAC: the addresses go on the carpdev itself and no device is made. */
  readonly realMac: boolean;
  readonly mtu: number | undefined;
  /** MASTER of at least one node: link up and addresses in place. Otherwise neither. */
  readonly active: boolean;
  readonly addresses: readonly InterfaceAddress[];
}

/** What the kernel may let through for a carp interface, besides its leases. */
export interface Filter {
  /** The kernel's index of the carpdev, and its own MAC. */
  readonly carpdev: number;
  readonly carpdevMac: string;
  /** What ARP and neighbour discovery give out for the addresses. */
  readonly mac: string;
  /** The addresses are on the carpdev itself, under its own MAC. */
  readonly realMac: boolean;
  /** As it is in force: `none` with one node, never `none` with several. */
  readonly balancing: Balancing;
  /** Of the nodes, ascending. */
  readonly vhids: readonly number[];
  readonly addresses: readonly InterfaceAddress[];
}

/** syslog priority: 0 emergency to 7 debug. */
export type Priority = 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7;

export type VirtualHostState = "INIT" | "BACKUP" | "MASTER";

export interface Transition {
  readonly interface: string;
  readonly vhid: number;
  readonly from: VirtualHostState;
  readonly to: VirtualHostState;
  /** The rule that made it, in words. */
  readonly reason: string;
  /** Those that the virtual host shares. */
  readonly addresses: readonly InterfaceAddress[];
}

/**
 * A claim to the addresses: none of it may leave later than this, when another host may have them, nor when the lease
 * of its virtual host has been taken away since.
 */
interface Claim {
  readonly untilUs: Micros;
}

export type Effect =
  /**
   * Send, then report an `advertised` event at once; nothing is reported when it was too late for all of it. A bow-out
   * claims nothing: losing the lease is what it is about.
   */
  | ({
      readonly kind: "advertise";
      readonly interface: string;
      readonly vhid: number;
      readonly carpdev: string;
      readonly bowsOut: boolean;
      readonly transmissions: readonly Transmission[];
    } & Claim)
  /** Gratuitous ARP and unsolicited neighbour advertisements: send, nothing comes back. */
  | ({
      readonly kind: "announce";
      readonly interface: string;
      readonly vhid: number;
      readonly carpdev: string;
      readonly frames: readonly Uint8Array[];
    } & Claim)
  | { readonly kind: "arm"; readonly timer: TimerId; readonly atUs: Micros }
  | { readonly kind: "cancel"; readonly timer: TimerId }
  /** MASTER until `untilUs`, when everything before it is done; 0 takes the lease away, at once. */
  | { readonly kind: "lease"; readonly interface: string; readonly vhid: number; readonly untilUs: Micros }
  /** Make the device be so; null removes it. */
  | { readonly kind: "device"; readonly interface: string; readonly device: Device | null }
  /**
   * Hold packets against the leases of this interface; null ends that. A filter comes before its device, and goes
   * after it. Leases outlast a change of its addresses, and no other.
   */
  | { readonly kind: "filter"; readonly interface: string; readonly filter: Filter | null }
  /** Receive CARP on this carpdev, with its ARP settings as carp needs them. `index` is the kernel's. */
  | { readonly kind: "listen"; readonly carpdev: string; readonly index: number }
  /** No longer; its settings are put back. Only when what was to be sent there has left. */
  | { readonly kind: "ignore"; readonly carpdev: string }
  /**
   * However many packets arrive, advertisements with one of these digests are not to be lost among them. Replaces what
   * was said of the interface before.
   */
  | { readonly kind: "recognise"; readonly interface: string; readonly forms: readonly SignedForm[] }
  /** Save the host's greatest counter: it has gone ahead of what the next engine would begin with. */
  | { readonly kind: "save-counters" }
  | {
      readonly kind: "log";
      readonly priority: Priority;
      readonly text: string;
      /** Anybody on the network can cause as many of these as he likes. */
      readonly provoked?: boolean;
    }
  /** For those who follow the host: nothing has to be done. */
  | News
  /** A `down`, `destroy` or shutdown is over: a successor was heard, or nobody came. */
  | { readonly kind: "left"; readonly interface: string };
