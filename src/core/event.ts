/**
 * Events: what can happen to a CARP host. They come from src/kernel (the network, the clock, the outcome of
 * effects) and from the engine; `Host.handle` and `Host.command` are the only ways into the core. An event
 * carries facts, never decisions.
 */

import type { DigestExplanation } from "./digests/question.ts";
import type { Family, Harm, Link, Micros } from "./model.ts";

/**
 * A timer of the core: `advertise`, `master-down`, `announce` and `leave` belong to a virtual host, `grace` to an interface,
 * `retry` to the host. The core makes one object for each timer and arms and cancels it by that object.
 */
export type Timer =
  | VirtualHostTimer
  | { readonly kind: "grace"; readonly interface: string }
  | { readonly kind: "retry" };

export interface VirtualHostTimer {
  readonly kind: "advertise" | "master-down" | "announce" | "leave";
  readonly interface: string;
  readonly vhid: number;
}

/** A thing that effects put in place in the kernel or on disk, which can fail. */
export type Part =
  /** The Linux device of a carp interface with its addresses and routes. */
  | { readonly kind: "device"; readonly interface: string }
  /** The interface's entry in the data path, which lets packets pass only under its leases. */
  | { readonly kind: "filter"; readonly interface: string }
  /** Membership in the multicast MAC that balancing mode `ip` gives out. */
  | { readonly kind: "membership"; readonly interface: string }
  /** The sockets of a carpdev. */
  | { readonly kind: "listening"; readonly carpdev: string }
  | { readonly kind: "saved-state" };

/** The outcome of the effect that puts a part in place. No errors: the part is in place. */
export interface Performed {
  readonly kind: "performed";
  readonly part: Part;
  readonly errors: readonly string[];
  /** Of the errors together; absent: all. */
  readonly harm?: Harm | undefined;
  /** Whether it was found on a device that is to have its addresses, as a MASTER's: no other device can disprove it. */
  readonly whileActive?: boolean | undefined;
}

/**
 * Advertisements that repeat the frame of the last `fold` effect for this virtual host and family but for the counter and
 * the digest, which is right.
 */
export interface Repeated {
  readonly carpdev: string;
  readonly vhid: number;
  readonly family: Family;
  /** In the order of arrival. */
  readonly copies: readonly { readonly counter: bigint; readonly receivedUs: Micros }[];
}

export type Event =
  /** A frame with IP protocol 112 arrived on a carpdev. `receivedUs` is the kernel's time of receipt. */
  | {
      readonly kind: "frame";
      readonly carpdev: string;
      readonly bytes: Uint8Array;
      readonly receivedUs: Micros;
    }
  /** Advertisements arrived that repeat others; all that waited of each virtual host among them. */
  | { readonly kind: "repeated"; readonly all: readonly Repeated[] }
  /** A CARP packet reached this host on a device that none of its sockets listens on. */
  | { readonly kind: "stray"; readonly device: string; readonly family: Family }
  /** The rate limit dropped unauthenticated CARP packets unread. */
  | {
      readonly kind: "rate-limited";
      readonly device: string;
      readonly family: Family;
      readonly count: number;
    }
  | { readonly kind: "timer"; readonly timer: Timer }
  /** The outcome of an `advertise` effect. `error` is the errno name of the first transmission that failed. */
  | {
      readonly kind: "advertised";
      readonly interface: string;
      readonly vhid: number;
      readonly leftUs: Micros;
      /**
       * The family of each packet that left. A unicast peer that is down counts as left; none, and no error: there is
       * no other host to tell.
       */
      readonly left: readonly Family[];
      readonly error?: string | undefined;
    }
  /**
   * Of the advertisements made ahead (`advertise-ahead`) the one of this time did not leave, nor will any behind it. `inPart`:
   * it did over one family.
   */
  | {
      readonly kind: "ahead-ended";
      readonly interface: string;
      readonly vhid: number;
      readonly atUs: Micros;
      readonly inPart: boolean;
    }
  /** A frame of an `announce` effect did not leave; `error` is the errno name. */
  | {
      readonly kind: "announcement-failed";
      readonly interface: string;
      readonly vhid: number;
      readonly error: string;
    }
  | Performed
  /** A link appeared, or one of its properties changed. */
  | { readonly kind: "link"; readonly link: Link }
  | { readonly kind: "link-gone"; readonly name: string }
  /** A device that can be no carpdev appeared, with the reason; undefined: it is gone, or can be one now. */
  | { readonly kind: "unfit-link"; readonly name: string; readonly why: string | undefined }
  /**
   * The kernel adapter undid a change that another program had made to a device of ours or to this carpdev.
   */
  | { readonly kind: "repaired"; readonly interface: string; readonly what: string }
  /** It was found out why a digest is wrong. */
  | { readonly kind: "digest-explained"; readonly id: number; readonly explanation: DigestExplanation }
  /** IPv6 forwarding was read: with it, neighbour advertisements have the router flag. */
  | { readonly kind: "forwarding"; readonly ipv6: boolean }
  /** The kernel index of our own device became known, or the device is gone (0). */
  | { readonly kind: "device"; readonly interface: string; readonly index: number };
