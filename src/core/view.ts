/**
 * Views: the state of a host as plain data, which the engine sends to clients and the commands render. A view
 * never holds a secret.
 */

import type { DigestExplanation } from "./digests/question.ts";
import type { Peer } from "./election/peers.ts";
import type { SendFailure } from "./interface/send-record.ts";
import type { Balancing, Fault, InterfaceAddress, Micros, VirtualHostState } from "./model.ts";
import type { NotRunningKind, Problem } from "./reason.ts";
import type { StatisticName } from "./statistics.ts";

export interface NodeView {
  readonly vhid: number;
  /** The configured advskew. */
  readonly advskew: number;
  /** The advertised advskew: demotion added. */
  readonly effectiveAdvskew: number;
  readonly demote: number;
  readonly state: VirtualHostState;
  /** When it entered that state. */
  readonly sinceUs: Micros;
  readonly transitions: number;
  /** BACKUP with preempt on: from when on it preempts a slower master, in the past too. */
  readonly mayPreemptAtUs?: Micros | undefined;
  /** The other host last heard for this vhid, if any. */
  readonly heard:
    | {
        readonly source: string;
        readonly advbase: number;
        readonly advskew: number;
        readonly demote: number;
        readonly atUs: Micros;
      }
    | undefined;
  /** The other hosts that advertise this virtual host at present. */
  readonly peers: readonly Peer[];
  /** Whether the digests it sends cover the link-local addresses; undefined where it has none. */
  readonly signsLinkLocals?: boolean | undefined;
  /** Which peers cannot agree about that, until they are no longer heard. */
  readonly linkLocalConflict?: { readonly text: string; readonly untilUs: Micros } | undefined;
}

/**
 * What a discarded packet tells besides its counter: the digest is wrong; it is our own advertisement, or a recorded
 * one; or its digest is right, and `carppeer` is set here and not there, or there and not here, or does not name the
 * sender.
 */
export type DiscardCause = "digest" | "own" | "recorded" | "peer-here" | "peer-there" | "peer-unlisted";

/** A packet that was received for an interface and discarded. */
export interface DiscardView {
  readonly counter: StatisticName;
  readonly cause: DiscardCause | undefined;
  readonly source: string;
  /** The reason for the discard, in words. */
  readonly text: string;
  readonly atUs: Micros;
}

/** Another CARP group on a carpdev, by a host of it. */
export interface OtherGroup {
  readonly vhid: number;
  readonly source: string;
  readonly atUs: Micros;
}

/** Why the digests of another host are wrong here. It is never believed for that. */
export interface WrongDigestView extends DigestExplanation {
  readonly vhid: number;
  readonly source: string;
  /** When the last such advertisement was discarded. */
  readonly atUs: Micros;
  /** After this time without another one that host may advertise no more. */
  readonly untilUs: Micros;
}

/** What a changed interface signs with and believes besides the present pass and addresses; see interface/grace.ts. */
export interface GraceView {
  /** It still signs as before the change. */
  readonly signsOld: boolean;
  /** Until then it signs and believes as it does now. */
  readonly untilUs: Micros;
  /** The old is believed until then at least, unless that is extended. */
  readonly believesUntilUs: Micros;
  /** Whether an old pass is believed. */
  readonly pass: boolean;
  /** Whether advertisements over old addresses are believed. */
  readonly addresses: boolean;
  /** The peers that were heard signing as before. */
  readonly usedBy: readonly { readonly source: string; readonly atUs: Micros }[];
}

export interface InterfaceView {
  readonly name: string;
  readonly up: boolean;
  readonly running: boolean;
  readonly mtu: number;
  /** The MAC given out for the addresses; undefined before there is a vhid or a hand-set lladdr. */
  readonly lladdr: string | undefined;
  readonly description: string | undefined;
  /** Kernel index of the device; 0 while there is none. */
  readonly index: number;
  readonly carpdev: string | undefined;
  readonly advbase: number;
  readonly balancing: Balancing;
  /** As configured; undefined: multicast. */
  readonly carppeer: readonly string[] | undefined;
  readonly carppeer6: readonly string[] | undefined;
  /** Seconds in which a MASTER announces each address once more, if set. */
  readonly announce: number | undefined;
  /** Seconds in which it preempts no healthy master once it is back, if set. */
  readonly preemptdelay: number | undefined;
  /** The pass or the addresses were changed; undefined: the old are not believed any more. */
  readonly grace?: GraceView | undefined;
  readonly nodes: readonly NodeView[];
  readonly groups: readonly string[];
  readonly addresses: readonly InterfaceAddress[];
  readonly status: "master" | "backup" | "invalid";
  /** Number of changes by other programs that were undone, on this device or on its carpdev. */
  readonly repairs: number;
  /** Why its advertisements do not leave; undefined when they do. */
  readonly sendFailure: SendFailure | undefined;
  /** The last discarded packet for each counter and cause since the interface was created. */
  readonly discarded: readonly DiscardView[];
  /** The hosts whose digests are wrong, and why; those whose digests were not looked into yet are left out. */
  readonly wrongDigests?: readonly WrongDigestView[] | undefined;
  /** The text of the obstacle that keeps it from running; undefined when it runs. */
  readonly notRunning: string | undefined;
  /** The name of that obstacle; none when it is down as configured. */
  readonly notRunningKind?: NotRunningKind | undefined;
  /**
   * What is wrong with it, whether it runs or not: parts that the kernel does not have, and shared addresses that its
   * carpdev has as well.
   */
  readonly problems: readonly Problem[];
}

export interface GroupView {
  readonly name: string;
  readonly carpDemoteCount: number;
  readonly interfaces: readonly string[];
}

/** A part of `net.inet.carp.demotion` with a name. */
export interface NamedDemotion {
  readonly reason: string;
  readonly by: number;
}

/** A systemd unit that demotes the host while it is not active. */
export interface UnitDemotion {
  readonly unit: string;
  readonly by: number;
  readonly active: boolean;
}

/** `net.inet.carp.demotion` and its parts: the counter is the sum of all the others. */
export interface DemotionView {
  readonly counter: number;
  /** The sum of what was written to the variable. */
  readonly written: number;
  readonly reasons: readonly NamedDemotion[];
  /** Units that demote; active units add nothing. */
  readonly units: readonly UnitDemotion[];
  readonly faults: readonly {
    readonly interface: string;
    readonly fault: Fault;
    readonly by: number;
  }[];
}
