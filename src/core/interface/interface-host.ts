/** InterfaceHost: the part of the host that its carp interfaces use. */

import type { CounterBook } from "../counters/counter-book.ts";
import type { ReplayDefence } from "../counters/counter-window.ts";
import type { Demotion } from "../demotion.ts";
import type { Effect, LogFields } from "../effect.ts";
import type { NotInPlace } from "../failures.ts";
import type { Link, Micros } from "../model.ts";
import type { StatisticName } from "../statistics.ts";
import type { WrongDigestView } from "../view.ts";
import type { CarpInterface } from "./carp-interface.ts";

export interface InterfaceHost {
  readonly preempt: boolean;
  /** Of the interfaces that have no delay of their own. */
  readonly preemptDelayUs: Micros;
  /** TOS or traffic class of advertisements. */
  readonly trafficClass: number;
  /** Whether this host forwards IPv6: its neighbour advertisements then have the router flag. */
  readonly isRouter: boolean;
  /** `true`: this host can filter packets for several nodes. Otherwise the reason why not. */
  readonly balancing: true | string;
  /** How long a host signs as before after a change of the pass or the addresses. */
  readonly graceUs: Micros;
  readonly counters: CounterBook;
  readonly replayDefence: ReplayDefence;
  link(name: string): Link | undefined;
  /** What the kernel does not have of this interface. */
  notInPlace(of: CarpInterface): NotInPlace;
  /** What was found out about hosts whose digests are wrong. */
  wrongDigests(name: string): readonly WrongDigestView[];
  /** Its configuration has changed, or what that will be when it has left. */
  configurationChanged(of: CarpInterface): void;
  /** What failed for the former configuration says nothing about the new one. */
  configuredAnew(of: CarpInterface): void;
  readonly demotion: Demotion;
  emit(effect: Effect): void;
  log(priority: 2 | 3 | 4 | 5 | 6, text: string, fields: LogFields): void;
  /** Tells a person to do something about a carp interface. */
  complain(text: string, of: string): void;
  /** Counts in the statistics of the interface and of the host. */
  count(statistic: StatisticName, of: CarpInterface): void;
  /**
   * Reports that the nodes' settings changed; `settingsChanged` of the interface is called when the event is
   * handled.
   */
  settingsChanged(carpInterface: CarpInterface, atOnce: boolean): void;
  /** Reports that the interface has left: it may have been the last one on its carpdev. */
  hasLeft(): void;
}
