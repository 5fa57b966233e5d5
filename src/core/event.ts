/**
 * What can happen to a CARP host. Events come from src/kernel (the network, the clock) and from the engine
 * (commands); `Host.handle` and `Host.command` are the only ways in. An event carries facts, never decisions.
 */

/** Microseconds of CLOCK_BOOTTIME: since boot, the time asleep included. */
export type Micros = number;

/** When something happens: on the clock that timers use, and on the one that advertisement counters use. */
export interface Instant {
  readonly us: Micros;
  /** Microseconds since the Unix epoch. May jump when somebody sets the clock; nothing is timed by it. */
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
  /** Its addresses in the kernel's order, tentative and failed ones left out. */
  readonly addresses: readonly InterfaceAddress[];
}

export type Event =
  /** A frame with IP protocol 112 arrived on a carpdev. `receivedUs` is the kernel's time of receipt. */
  | {
      readonly kind: "frame";
      readonly carpdev: string;
      readonly bytes: Uint8Array;
      readonly receivedUs: Micros;
    }
  /** A CARP packet reached this host on a device that no socket of ours listens on. */
  | { readonly kind: "stray"; readonly device: string; readonly family: Family }
  /** So many packets arrived on a device that these were not looked at. */
  | { readonly kind: "unexamined"; readonly device: string; readonly family: Family; readonly count: number }
  | { readonly kind: "timer"; readonly timer: TimerId }
  /** What became of an `advertise` effect. `error` is the errno name when no transmission of it left. */
  | {
      readonly kind: "advertised";
      readonly interface: string;
      readonly vhid: number;
      readonly leftUs: Micros;
      /** The families that left. A unicast peer that is down counts as left. */
      readonly left: readonly Family[];
      readonly error?: string | undefined;
    }
  /** A link appeared or anything about it changed. */
  | { readonly kind: "link"; readonly link: Link }
  | { readonly kind: "link-gone"; readonly name: string }
  /** The kernel adapter put back something that somebody else had changed on a device of ours, or on this carpdev. */
  | { readonly kind: "repaired"; readonly interface: string; readonly what: string }
  /** Whether this host forwards IPv6, so that its neighbour advertisements call it a router. */
  | { readonly kind: "forwarding"; readonly ipv6: boolean }
  /** The kernel index of our own device became known, or it is gone (0). */
  | { readonly kind: "device"; readonly interface: string; readonly index: number };

/** `advertise` and `master-down` belong to a virtual host, `leave` to an interface. */
export type TimerId = string;
