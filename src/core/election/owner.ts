/** Owner: the part of a carp interface that its virtual hosts use. */

import type { HeaderFields } from "../counters/counter-format.ts";
import type { CounterStyle } from "../counters/own-counters.ts";
import type { Effective } from "../demotion.ts";
import type { Effect, LogFields } from "../effect.ts";
import type { Family, Heard, InterfaceAddress, Micros } from "../model.ts";
import type { Part } from "./announcements.ts";

export interface Owner {
  readonly name: string;
  readonly advbase: number;
  readonly preempt: boolean;
  /** How long a virtual host that is back leaves a healthy master alone. */
  readonly preemptDelayUs: Micros;
  readonly addresses: readonly InterfaceAddress[];
  readonly transmitter: Transmitter;
  /** The vhid for messages: ` (vhid 2)` when there are several nodes, otherwise empty. */
  label(vhid: number): string;
  effective(advskew: number): Effective;
  readonly counterStyle: CounterStyle;
  /** A node became MASTER or ceased to be. */
  mastershipChanged(): void;
  /** Advertisements that repeat others are handed over at once again: a node decides about them anew. */
  unfold(): void;
  /** Whether advertisements may be made ahead: nothing changes about them as time passes. */
  readonly mayAdvertiseAhead: boolean;
  /** An advertisement made ahead has left. */
  leftAhead(families: readonly Family[]): void;
  /** A node has sent a bow-out. */
  bowedOut(): void;
  emit(effect: Effect): void;
  log(priority: 2 | 4, text: string, fields: LogFields): void;
  countTransitionToMaster(): void;
}

export type AdvertisedFields = HeaderFields & { readonly counter: bigint };

/** An advertisement to be sent ahead. */
export interface FieldsAhead {
  readonly fields: AdvertisedFields;
  readonly atUs: Micros;
  readonly untilUs: Micros;
  readonly leaseUntilUs: Micros;
}

/** Sends the packets of a virtual host. */
export interface Transmitter {
  /** The source address of our advertisements in that family to this host. */
  source(family: Family, peer: string): string | undefined;
  /**
   * Sends the advertisement, unless that would be later than `untilUs`.
   *
   * @param waits until the device is in place
   */
  advertise(vhid: number, fields: AdvertisedFields, untilUs: Micros, waits: boolean): void;
  /**
   * Sends these ahead.
   *
   * @returns the families of each; undefined: this interface's advertisements cannot be sent so, none is
   */
  advertiseAhead(vhid: number, advertisements: readonly FieldsAhead[]): readonly Family[] | undefined;
  /**
   * Sends gratuitous ARP and neighbour advertisements, for every address or some, unless that would be later
   * than `untilUs`.
   */
  announce(vhid: number, untilUs: Micros, part?: Part): void;
  /** The time in which a MASTER announces each address once more; 0: it does not. */
  readonly announceEveryUs: Micros;
  /** Whether a master that this host gives way to is told: it has something to announce, and can be reached. */
  mayConcedeTo(to: Pick<Heard, "family" | "source">): boolean;
  /** Tells that master alone that this host gave way, unless that would be later than `untilUs`. */
  concede(
    vhid: number,
    fields: AdvertisedFields,
    to: Pick<Heard, "family" | "source">,
    untilUs: Micros,
  ): void;
}
