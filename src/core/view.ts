/**
 * What can be read of a host: plain data that the engine answers with and the commands render. No secrets in it.
 */

import type { Balancing } from "./configuration.ts";
import type { CounterName } from "./counters.ts";
import type { VirtualHostState } from "./effect.ts";
import type { InterfaceAddress, Micros } from "./event.ts";
import type { Peer } from "./peers.ts";
import type { SendFailure } from "./send-record.ts";

export interface NodeView {
  readonly vhid: number;
  /** As configured. */
  readonly advskew: number;
  /** As advertised: demotion added. */
  readonly effectiveAdvskew: number;
  readonly demote: number;
  readonly state: VirtualHostState;
  /** When it came into that state. */
  readonly sinceUs: Micros;
  readonly transitions: number;
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
  /** The other hosts that advertise it at present. */
  readonly peers: readonly Peer[];
}

/** Something was received for an interface and not believed. */
export interface DiscardView {
  readonly counter: CounterName;
  /** What was wrong with it, from whom. */
  readonly text: string;
  readonly atUs: Micros;
}

export interface InterfaceView {
  readonly name: string;
  readonly up: boolean;
  readonly running: boolean;
  readonly mtu: number;
  /** What carp gives out; undefined before there is a vhid or a hand-set lladdr. */
  readonly lladdr: string | undefined;
  readonly description: string | undefined;
  /** Kernel index of the device; 0 while there is none. */
  readonly index: number;
  readonly carpdev: string | undefined;
  readonly advbase: number;
  readonly balancing: Balancing;
  readonly carppeer: string | undefined;
  readonly carppeer6: string | undefined;
  readonly nodes: readonly NodeView[];
  readonly groups: readonly string[];
  readonly addresses: readonly InterfaceAddress[];
  readonly status: "master" | "backup" | "invalid";
  /** How often something that somebody else had changed was put back, here or on the carpdev. */
  readonly repairs: number;
  /** Why its advertisements do not leave; undefined when they do. */
  readonly sendFailure: SendFailure | undefined;
  /** The last of each kind since the interface was created. */
  readonly discarded: readonly DiscardView[];
  /** Why it does not run, in words a person can act on; undefined when it runs. */
  readonly notRunning: string | undefined;
}

export interface GroupView {
  readonly name: string;
  readonly carpDemoteCount: number;
  readonly interfaces: readonly string[];
}

/** A part of `net.inet.carp.demotion` that somebody gave a name. */
export interface NamedDemotion {
  readonly reason: string;
  readonly by: number;
}

/** What `net.inet.carp.demotion` is made of: the counter is the sum of all the others. */
export interface DemotionView {
  readonly counter: number;
  /** The sum of what was written to the variable. */
  readonly written: number;
  readonly reasons: readonly NamedDemotion[];
  readonly faults: readonly {
    readonly interface: string;
    readonly fault: "carpdev" | "snderrors";
    readonly by: number;
  }[];
}
