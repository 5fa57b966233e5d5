/**
 * InterfaceTransmitter: builds and emits the packets that the virtual hosts of a carp interface send:
 * advertisements, announcements (gratuitous ARP and neighbour advertisements) and concessions.
 */

import type { Effect } from "../effect.ts";
import type { Part } from "../election/announcements.ts";
import type { AdvertisedFields, FieldsAhead, Transmitter } from "../election/owner.ts";
import { isBowOut } from "../election/timing.ts";
import type { Family, Heard, Micros } from "../model.ts";
import type { Appearance } from "./appearance.ts";
import type { InterfaceConfiguration } from "./configuration.ts";
import type { Signing } from "./signing.ts";

/** The part of the carp interface that packets are built from. */
export interface Station {
  readonly configuration: InterfaceConfiguration;
  readonly appearance: Appearance;
  readonly signing: Signing;
}

export interface HostOfStation {
  /** TOS or traffic class of advertisements. */
  readonly trafficClass: number;
  /** Whether this host forwards IPv6: its neighbour advertisements then have the router flag. */
  readonly isRouter: boolean;
  emit(effect: Effect): void;
}

export class InterfaceTransmitter implements Transmitter {
  readonly #station: Station;
  readonly #host: HostOfStation;

  constructor(station: Station, host: HostOfStation) {
    this.#station = station;
    this.#host = host;
  }

  source(family: Family, peer: string): string | undefined {
    return this.#station.appearance.source(family, peer);
  }

  advertise(vhid: number, fields: AdvertisedFields, untilUs: Micros, waits: boolean): void {
    const { configuration, appearance, signing } = this.#station;
    const { name, carpdev } = configuration;
    if (carpdev === undefined) throw new Error(`${name} advertises without a carpdev`);
    const { trafficClass } = this.#host;
    const { advbase, advskew, demote, counter } = fields;
    const said = { vhid, advbase, advskew, demote, counter };
    const transmissions = appearance.transmissions(said, trafficClass, signing.formOf(vhid));
    signing.sent();
    const bowsOut = isBowOut(fields);
    this.#host.emit({
      kind: "advertise",
      interface: name,
      vhid,
      carpdev,
      bowsOut,
      waits,
      transmissions,
      untilUs,
    });
  }

  advertiseAhead(vhid: number, advertisements: readonly FieldsAhead[]): readonly Family[] | undefined {
    const { configuration, appearance, signing } = this.#station;
    const { name, carpdev } = configuration;
    if (
      carpdev === undefined ||
      configuration.carppeer !== undefined ||
      configuration.carppeer6 !== undefined
    )
      return undefined;
    const form = signing.formOf(vhid);
    const { trafficClass } = this.#host;
    const made = advertisements.map(({ fields, ...times }) => {
      const transmissions = appearance.transmissions({ vhid, ...fields }, trafficClass, form);
      return { ...times, frames: transmissions.filter((each) => "frame" in each) };
    });
    this.#host.emit({ kind: "advertise-ahead", interface: name, vhid, carpdev, advertisements: made });
    return made[0]?.frames.map(({ family }) => family);
  }

  get announceEveryUs(): Micros {
    return this.#station.appearance.announceEveryUs;
  }

  announce(vhid: number, untilUs: Micros, part?: Part): void {
    const { configuration, appearance } = this.#station;
    const { name, carpdev } = configuration;
    const frames = appearance.announcements(this.#host.isRouter, part);
    if (carpdev !== undefined && frames.length > 0)
      this.#host.emit({ kind: "announce", interface: name, vhid, carpdev, frames, untilUs });
  }

  mayConcedeTo(to: Pick<Heard, "family" | "source">): boolean {
    return this.#station.appearance.mayConcedeTo(to);
  }

  concede(
    vhid: number,
    fields: AdvertisedFields,
    to: Pick<Heard, "family" | "source">,
    untilUs: Micros,
  ): void {
    const { configuration, appearance, signing } = this.#station;
    const { name, carpdev } = configuration;
    const form = signing.formOf(vhid);
    const { trafficClass } = this.#host;
    const sent = appearance.concession({ vhid, ...fields }, to, { trafficClass, form });
    if (carpdev === undefined || sent === undefined) return;
    const transmissions = [sent];
    this.#host.emit({
      kind: "advertise",
      interface: name,
      vhid,
      carpdev,
      bowsOut: true,
      waits: false,
      transmissions,
      untilUs,
    });
  }
}
