/**
 * The data that events, effects and views are made of: times, addresses, links, devices, filters and
 * transmissions. Plain values without behaviour. Imports nothing of the core, so that every file of it may
 * import this one.
 */

/** Microseconds of CLOCK_BOOTTIME: since boot, the time asleep included. */
export type Micros = number;

/** The time of an event, on the two clocks that the core needs. */
export interface Instant {
  /** The clock of timers and leases. */
  readonly us: Micros;
  /** Microseconds since the Unix epoch, for advertisement counters. May jump when the system clock is set. */
  readonly epochUs: number;
}

export type Family = 4 | 6;

export interface InterfaceAddress {
  readonly family: Family;
  /** Canonical text: `10.0.0.1`, `2001:db8::1`. */
  readonly address: string;
  readonly prefixLength: number;
  /** IPv4 only; derived from the prefix when absent. */
  readonly broadcast?: string | undefined;
}

/** A network device that could be, or is, a carpdev. */
export interface Link {
  readonly name: string;
  readonly index: number;
  /** Lower-case, colon-separated. */
  readonly mac: string;
  readonly mtu: number;
  /** Administratively up (IFF_UP). */
  readonly up: boolean;
  /** Carrier present (IFF_LOWER_UP). */
  readonly carrier: boolean;
  /** The device's addresses in the kernel's order, without tentative and failed ones. */
  readonly addresses: readonly InterfaceAddress[];
}

export type VirtualHostState = "INIT" | "BACKUP" | "MASTER";

/** An advertisement with a valid digest, as it was received. */
export interface Heard {
  readonly family: Family;
  readonly source: string;
  readonly advbase: number;
  readonly advskew: number;
  readonly demote: number;
  readonly counter: bigint;
  readonly receivedUs: Micros;
}

export type Balancing = "none" | "ip" | "ip-unicast" | "ip-stealth";

export interface CarpNode {
  readonly vhid: number;
  readonly advskew: number;
}

/** syslog priority: 0 emergency to 7 debug. */
export type Priority = 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7;

/**
 * How much of an interface's service errors take away: none of it, some of its addresses, or all, so that the host
 * cannot answer.
 */
export type Harm = "none" | "some" | "all";

/**
 * A fault that demotes an interface: its carpdev is lost, parts of it are not in place in the kernel, or its
 * advertisements do not leave.
 */
export type Fault = "carpdev" | "device" | "snderrors";

/**
 * One packet of an advertisement: a whole Ethernet frame, or a CARP message for a peer, for the kernel to
 * route.
 */
export type Transmission =
  | { readonly family: Family; readonly frame: Uint8Array }
  | {
      readonly family: Family;
      /** The peer, canonical text. */
      readonly destination: string;
      /** This host's source address, canonical text. */
      readonly source: string;
      /** TOS or traffic class byte. */
      readonly trafficClass: number;
      /** The 36 bytes behind the IP header. */
      readonly payload: Uint8Array;
      /**
       * The same packet as a frame whose Ethernet destination is zero; absent where the kernel must send it. It
       * is to be preferred when the peer's MAC is known, which goes there.
       */
      readonly onLink?: Uint8Array | undefined;
    };

/** The Linux device of a carp interface, as it should be now. */
export interface Device {
  readonly name: string;
  readonly carpdev: string;
  /** The MAC given out for the addresses, without the multicast bit, which no device can have. */
  readonly mac: string;
  /**
   * Own-MAC mode: `mac` is the carpdev's, which no macvlan can carry. The addresses go on the carpdev itself.
   */
  readonly realMac: boolean;
  readonly mtu: number | undefined;
  /** MASTER of at least one node: the link is up and the addresses are in place. Otherwise neither. */
  readonly active: boolean;
  readonly addresses: readonly InterfaceAddress[];
}

/** The packets that the kernel may let through for a carp interface, subject to its leases. */
export interface Filter {
  /** The kernel's index of the carpdev. */
  readonly carpdev: number;
  /** The carpdev's own MAC. */
  readonly carpdevMac: string;
  /** The MAC that ARP and neighbour discovery give out for the addresses. */
  readonly mac: string;
  /** Own-MAC mode: the addresses are on the carpdev itself, under its own MAC. */
  readonly realMac: boolean;
  /** The mode in force: `none` with one node, never `none` with several. */
  readonly balancing: Balancing;
  /** The host has bowed out: what it still sends must not make switches look here for the virtual MAC. */
  readonly leaves: boolean;
  /** The vhids of the nodes, ascending. */
  readonly vhids: readonly number[];
  readonly addresses: readonly InterfaceAddress[];
}
