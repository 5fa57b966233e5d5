/**
 * Effects: what the core wants done, as data. src/engine performs them through the adapters of src/kernel in
 * the order given, for one interface strictly one after the other. Tests and the simulator read them instead.
 */

import type { SignedForm } from "../protocol/authentication.ts";
import type { DigestExplanation, DigestQuestion } from "./digests/question.ts";
import type { Cause } from "./election/cause.ts";
import type { PeerChange } from "./election/peers.ts";
import type { Timer, VirtualHostTimer } from "./event.ts";
import type {
  Device,
  Filter,
  InterfaceAddress,
  Micros,
  Priority,
  Transmission,
  VirtualHostState,
} from "./model.ts";
import type { TransitionReason } from "./reason.ts";
import type { StatisticName } from "./statistics.ts";

/** A claim to the addresses: no packet of it may leave after `untilUs`, nor once its lease was taken away. */
interface Claim {
  readonly untilUs: Micros;
}

/** An advertisement that leaves at `atUs`, or later up to `untilUs`. */
export interface AdvertisementAhead extends Claim {
  readonly atUs: Micros;
  readonly leaseUntilUs: Micros;
  readonly frames: readonly FrameOf[];
}

/** A frame that is sent as it is, to the group. */
export type FrameOf = Extract<Transmission, { readonly frame: Uint8Array }>;

export type Effect =
  /**
   * Send, then report an `advertised` event; no event when it was too late for all its packets. `bowsOut`: it
   * claims nothing (a bow-out or a concession) and may leave without a lease. `waits`: only after the effects before
   * it, as for the device; any other leaves at once.
   */
  | ({
      readonly kind: "advertise";
      readonly interface: string;
      readonly vhid: number;
      readonly carpdev: string;
      readonly bowsOut: boolean;
      readonly waits: boolean;
      readonly transmissions: readonly Transmission[];
    } & Claim)
  /**
   * Send the advertisements at their times, behind those of the virtual host that wait already, and grant the lease with
   * each, until `recall`. Each counts as sent at its time. When one does not leave, none behind it may, and `ahead-ended`
   * comes before any other event. The interface's device is in place.
   */
  | {
      readonly kind: "advertise-ahead";
      readonly interface: string;
      readonly vhid: number;
      readonly carpdev: string;
      readonly advertisements: readonly AdvertisementAhead[];
    }
  /** Advertisements of `advertise-ahead` that have not left must not leave any more. */
  | { readonly kind: "recall"; readonly interface: string; readonly vhid: number }
  /**
   * Send gratuitous ARP and unsolicited neighbour advertisements; `announcement-failed` follows when one
   * fails.
   */
  | ({
      readonly kind: "announce";
      readonly interface: string;
      readonly vhid: number;
      readonly carpdev: string;
      readonly frames: readonly Uint8Array[];
    } & Claim)
  | { readonly kind: "arm"; readonly timer: Timer; readonly atUs: Micros }
  | { readonly kind: "cancel"; readonly timer: Timer }
  /** Grant the lease until `untilUs`, after the effects before it; 0 takes the lease away at once. */
  | { readonly kind: "lease"; readonly interface: string; readonly vhid: number; readonly untilUs: Micros }
  /** Create or change the Linux device; null removes it. `performed` follows. */
  | { readonly kind: "device"; readonly interface: string; readonly device: Device | null }
  /**
   * Let packets for this interface pass only under its leases; null removes the filter. A filter comes before
   * its device and goes after it. Leases outlast a change of its addresses, and no other change. `performed`
   * follows.
   */
  | { readonly kind: "filter"; readonly interface: string; readonly filter: Filter | null }
  /**
   * What follows for each of these interfaces waits until what came before is done for all of them: they exchange MACs,
   * and the kernel lets no two have the same.
   */
  | { readonly kind: "join"; readonly interfaces: readonly string[] }
  /**
   * Receive CARP on this carpdev, with its ARP settings as carp needs them. `index` is the kernel's.
   * `performed` follows.
   */
  | { readonly kind: "listen"; readonly carpdev: string; readonly index: number }
  /** Stop receiving on this carpdev and restore its settings, once every packet to be sent there has left. */
  | { readonly kind: "ignore"; readonly carpdev: string }
  /**
   * Advertisements with one of these digests are never dropped by the rate limit. Replaces the interface's
   * forms given before.
   */
  | { readonly kind: "expect-digests"; readonly interface: string; readonly forms: readonly SignedForm[] }
  /**
   * Advertisements that repeat this frame but for a greater counter and the digest may wait: for `unfold`, for another
   * frame of their virtual host, or for this timer, which each of them puts off to so long after its arrival. Then
   * `repeated` tells of them. The timer must not be put off for long without that.
   */
  | {
      readonly kind: "fold";
      readonly carpdev: string;
      readonly frame: Uint8Array;
      readonly timer: VirtualHostTimer;
      readonly waitUs: Micros;
    }
  /** No frame may wait any more. */
  | { readonly kind: "unfold" }
  /**
   * Find out why a digest is wrong, beside all other work (DigestSearch); `digest-explained` follows with the same id. The
   * question holds passes.
   */
  | { readonly kind: "explain-digest"; readonly id: number; readonly question: DigestQuestion }
  /** Save the state: counters have passed the saved reserve. `performed` follows. */
  | { readonly kind: "save" }
  | {
      readonly kind: "log";
      readonly priority: Priority;
      readonly text: string;
      readonly fields: LogFields;
      /** Any host on the network can cause this line: it is rate-limited. */
      readonly provoked?: boolean;
    }
  /**
   * A `down`, `destroy`, `state backup` or shutdown has ended: a successor was heard, or the linger time is over. After a
   * `state backup` of several nodes one for each.
   */
  | { readonly kind: "left"; readonly interface: string }
  | News;

/** What log lines tell of; each kind has an id of its own in the journal. */
export type LogEvent =
  | "transition"
  | "demotion"
  | "repaired"
  | "failure"
  | "discarded"
  | "rate-limited"
  | "signing"
  // Of the engine, not of the core.
  | "started"
  | "change"
  | "internal-error";

/** What a log line tells, as data, for a log that keeps more than its text. */
export interface LogFields {
  readonly event: LogEvent;
  /** A carp interface. */
  readonly interface?: string | undefined;
  readonly vhid?: number | undefined;
  readonly state?: VirtualHostState | undefined;
  readonly previousState?: VirtualHostState | undefined;
  /** In words. */
  readonly reason?: string | undefined;
}

/** News for subscribers; the kernel is not involved. The engine limits how often each is passed on. */
export type News =
  | ({ readonly kind: "transition" } & Transition)
  | ({ readonly kind: "demotion" } & DemotionChange)
  | {
      readonly kind: "discarded";
      readonly counter: StatisticName;
      /** The carp interface with the vhid that the packet names; undefined: there is none. */
      readonly interface: string | undefined;
      readonly text: string;
    }
  /** It was found out why another host's digests are wrong: told once for each host and cause. */
  | ({ readonly kind: "wrong-digest"; readonly interface: string; readonly vhid: number } & {
      readonly source: string;
    } & DigestExplanation)
  /** Another master was heard, or conceded, and this host stays MASTER: told once for each such meeting. */
  | ({ readonly kind: "contested" } & Contest)
  /** No packet of an advertisement left. */
  | {
      readonly kind: "send-failed";
      readonly interface: string;
      readonly vhid: number;
      readonly error: string;
    }
  | ({ readonly interface: string; readonly vhid: number } & PeerChange)
  | { readonly kind: "repaired"; readonly interface: string; readonly what: string }
  | { readonly kind: "complaint"; readonly text: string }
  | { readonly kind: "created"; readonly interface: string }
  | { readonly kind: "destroyed"; readonly interface: string };

/** A change of a virtual host's state. */
export interface Transition {
  readonly interface: string;
  readonly vhid: number;
  readonly from: VirtualHostState;
  readonly to: VirtualHostState;
  readonly reason: TransitionReason;
  /** The advertisement or timer behind the reason; absent: neither. */
  readonly cause?: Cause | undefined;
  /** The shared addresses of the virtual host. */
  readonly addresses: readonly InterfaceAddress[];
}

/** A contest that a MASTER has won. */
export interface Contest {
  readonly interface: string;
  readonly vhid: number;
  /** Source address of the other master's advertisement. */
  readonly source: string;
  /** The shared addresses of the virtual host. */
  readonly addresses: readonly InterfaceAddress[];
}

/** A change of a group's carp demote count, or of the host's demotion counter. */
export interface DemotionChange {
  /** Absent: the host's counter. */
  readonly group?: string | undefined;
  /** Less than 0 for a promotion. */
  readonly by: number;
  readonly to: number;
  /** The interface or command that made the change. */
  readonly who?: string | undefined;
  readonly reason: string;
}
