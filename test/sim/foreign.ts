/**
 * Foreign: a host that runs another CARP implementation. Models OpenBSD's, FreeBSD's and ucarp's rules as far
 * as another host can tell them apart. Shares the services of the plan over IPv4, and has no leases.
 */

import type { Command } from "../../src/core/command.ts";
import { readCounter } from "../../src/core/counters/counter-format.ts";
import type { Micros } from "../../src/core/model.ts";
import { comparePrecedence } from "../../src/protocol/address.ts";
import { encodeAdvertisement } from "../../src/protocol/advertisement.ts";
import { Authentication, type DigestForm } from "../../src/protocol/authentication.ts";
import { advertisementFrame } from "../../src/protocol/frame.ts";
import { simulatedHmac } from "./digests.ts";
import { intervalOf, isBowOut, read } from "./hearing.ts";
import type { Kind, Service } from "./plan.ts";
import type { Random } from "./random.ts";
import { type MadeCounters, madeIn } from "./replays.ts";
import type { Frame, Plugged, Segment } from "./segment.ts";
import { ownAddress } from "./station.ts";
import { keyOf, secretOf } from "./virtual-hosts.ts";
import type { World } from "./world.ts";

/** The kernel's clock ticks a hundred times a second. */
const TIMER_LATE_US: Micros = 10_000;

const MAX_DEMOTED_ADVSKEW = 240;

type ForeignKind = Exclude<Kind, "carpctl">;

interface VirtualHost {
  readonly service: Service;
  readonly vhid: number;
  readonly advskew: number;
  readonly authentication: Authentication;
  /** The same for all hosts with its secret. */
  readonly group: string;
  state: "BACKUP" | "MASTER";
  /** Number of its present timer: timers with another number do nothing. */
  generation: number;
  counter: bigint;
  /** Whether it has heard a counter, and counts on from that. */
  follows: boolean;
  /** The frame that it sent first. */
  frame: Uint8Array | undefined;
}

interface Advertised {
  readonly source: string;
  readonly advbase: number;
  readonly advskew: number;
  readonly intervalUs: Micros;
  readonly demote: number;
}

export class Foreign implements Plugged {
  readonly id: number;
  readonly kind: ForeignKind;
  disturbedAtUs: Micros = 0;
  readonly #world: World;
  readonly #made: MadeCounters;
  readonly #random: Random;
  readonly #preempts: boolean;
  readonly #rate: number;
  readonly #segments = new Map<number, Segment>();
  readonly #virtualHosts: VirtualHost[];
  #isUp = false;
  /** The sum of the demotions by commands. */
  #demotion = 0;

  constructor(
    world: World,
    options: {
      readonly id: number;
      readonly kind: ForeignKind;
      readonly random: Random;
      readonly preempts: boolean;
      readonly driftPpm: number;
      readonly services: readonly Service[];
      readonly advskews: readonly (readonly number[])[];
    },
  ) {
    this.#world = world;
    this.#made = madeIn(world);
    this.id = options.id;
    this.kind = options.kind;
    this.#random = options.random;
    this.#preempts = options.preempts;
    this.#rate = 1 + options.driftPpm / 1e6;
    this.#virtualHosts = options.services.flatMap((service, i) =>
      service.vhids.map((vhid, j) => {
        const { pass, addresses } = service;
        return {
          service,
          vhid,
          advskew: options.advskews[i]?.[j] ?? 0,
          authentication: new Authentication({ pass, vhid, addresses, hmac: simulatedHmac }),
          group: `${keyOf(service.name, vhid)}|${secretOf({ pass, addresses }, vhid)}`,
          state: "BACKUP" as const,
          generation: 0,
          counter: this.#drawCounter(),
          follows: false,
          frame: undefined,
        };
      }),
    );
  }

  get name(): string {
    return `${this.kind}${this.id}`;
  }

  plug(segment: Segment): void {
    this.#segments.set(segment.index, segment);
    segment.plug(this);
  }

  owns(segment: Segment, address: string): boolean {
    return address === ownAddress(segment.index, this.id);
  }

  /** Adds its virtual hosts on the segment to their groups; see masters.ts. */
  participate(
    segment: Segment,
    add: (
      group: string,
      participant: { readonly host: Foreign; readonly isMaster: boolean; readonly intervalUs: Micros },
    ) => void,
  ): void {
    if (!this.#isUp) return;
    for (const vh of this.#virtualHosts)
      if (vh.service.segment === segment.index)
        add(vh.group, { host: this, isMaster: vh.state === "MASTER", intervalUs: this.#intervalUs(vh) });
  }

  start(): void {
    this.#isUp = true;
    this.disturbedAtUs = this.#world.us;
    for (const vh of this.#virtualHosts) {
      vh.follows = false;
      vh.counter = this.#drawCounter();
      this.#wait(vh);
    }
  }

  /** Stops the host. @param quietly without a bow-out, which ucarp never sends */
  stop(quietly: boolean): void {
    for (const vh of this.#virtualHosts) {
      if (vh.state === "MASTER" && !quietly && this.kind !== "ucarp") this.#send(vh, 255, 255);
      vh.generation++;
    }
    this.#isUp = false;
    this.disturbedAtUs = this.#world.us;
  }

  /** Carries out the demotions among a plan's commands, except on ucarp, which has none. */
  command(command: Command): void {
    const by =
      command.kind === "demote-group"
        ? command.by
        : command.kind === "set-sysctl"
          ? (command.writes.find(({ name }) => name === "net.inet.carp.demotion")?.value ?? 0)
          : 0;
    if (by === 0 || this.kind === "ucarp") return;
    this.#demotion = Math.max(0, this.#demotion + by);
    this.disturbedAtUs = this.#world.us;
    if (!this.#isUp || by < 0) return;
    for (const vh of this.#virtualHosts)
      if (vh.state === "MASTER") this.#send(vh, vh.service.advbase, this.#advskew(vh));
  }

  /** FreeBSD's digests cover link-local addresses, and it understands no others. */
  get #form(): DigestForm {
    return { linkLocals: this.kind === "freebsd" ? "covered" : "left-out" };
  }

  /** The demote byte: OpenBSD advertises demotion with it, FreeBSD raises advskew instead. */
  get #demote(): number {
    return this.kind === "openbsd" ? Math.min(255, this.#demotion) : 0;
  }

  #advskew({ advskew }: VirtualHost): number {
    const isRaised = this.kind === "freebsd" && this.#demotion > 0;
    return isRaised ? Math.min(MAX_DEMOTED_ADVSKEW, advskew + this.#demotion) : advskew;
  }

  #intervalUs(vh: VirtualHost): Micros {
    return intervalOf(vh.service.advbase, this.#advskew(vh));
  }

  receive(segment: Segment, frame: Frame): void {
    const { said } = read(frame);
    if (!this.#isUp || said?.multicast !== true) return;
    const { vhid, counter, digest } = said;
    const vh = this.#virtualHosts.find(
      (each) => each.vhid === vhid && each.service.segment === segment.index,
    );
    if (vh === undefined) return;
    const form = vh.authentication.verify(counter, digest);
    if (form === undefined || (form.linkLocals !== "none" && form.linkLocals !== this.#form.linkLocals))
      return;
    if (frame.from === undefined) this.disturbedAtUs = this.#world.us;
    // OpenBSD's counter never changes, and it recognises its own; the others count on from the counter they
    // hear.
    if (this.kind === "openbsd" && counter === vh.counter) return;
    if (this.kind !== "openbsd") {
      vh.counter = counter;
      vh.follows = true;
    }
    const { source, advbase, advskew, demote } = said;
    this.#heard(vh, segment, {
      source,
      advbase,
      advskew,
      demote,
      intervalUs: intervalOf(advbase, advskew),
    });
  }

  #heard(vh: VirtualHost, segment: Segment, said: Advertised): void {
    // Only OpenBSD has demote counts and compares the demote byte.
    const other = { ...said, demote: this.kind === "openbsd" ? said.demote : 0 };
    const ownUs = this.#intervalUs(vh);
    if (vh.state === "MASTER") {
      if (!this.#yieldsTo(other, ownUs, ownAddress(segment.index, this.id))) return;
      if (this.kind === "ucarp") this.#send(vh, vh.service.advbase, this.#advskew(vh));
      vh.state = "BACKUP";
      this.#wait(vh);
      return;
    }
    const preempts = this.#preempts && ownUs < other.intervalUs && other.demote >= this.#demote;
    const isTooSlow = other.intervalUs > this.#slowestUs(vh);
    if (preempts || other.demote > this.#demote || isTooSlow) this.#takeOver(vh);
    else this.#wait(vh);
  }

  #yieldsTo(other: Advertised, ownUs: Micros, own: string): boolean {
    if (other.demote < this.#demote) return true;
    if (isBowOut(other) || other.demote > this.#demote || other.intervalUs > ownUs) return false;
    if (other.intervalUs < ownUs) return true;
    // Two BSD hosts both yield and leave the tie to their timers; of two ucarps the lower address stays.
    return this.kind !== "ucarp" || comparePrecedence(other.source, own) < 0;
  }

  #takeOver(vh: VirtualHost): void {
    vh.state = "MASTER";
    this.#advertise(vh);
  }

  #advertise(vh: VirtualHost): void {
    this.#send(vh, vh.service.advbase, this.#advskew(vh));
    this.#after(vh, this.#intervalUs(vh), () => this.#advertise(vh));
  }

  /**
   * Waits for the master-down time: three intervals on OpenBSD and FreeBSD, three advbases and one advskew on
   * ucarp.
   */
  #wait(vh: VirtualHost): void {
    const waitUs = this.kind === "ucarp" ? this.#slowestUs(vh) : 3 * this.#intervalUs(vh);
    this.#after(vh, waitUs, () => this.#takeOver(vh));
  }

  /**
   * The longest interval of a master that a BACKUP waits for. ucarp makes no exception for an advbase of 0.
   */
  #slowestUs({ service: { advbase }, advskew }: VirtualHost): Micros {
    if (this.kind === "ucarp") return 3e6 * advbase + (advskew * 1e6) / 256;
    return advbase > 0 ? 3e6 * advbase : Number.POSITIVE_INFINITY;
  }

  #after(vh: VirtualHost, us: Micros, happen: () => void): void {
    const generation = ++vh.generation;
    const lateUs = this.#random.next() * TIMER_LATE_US;
    this.#world.at(this.#world.us + us / this.#rate + lateUs, () => {
      if (vh.generation === generation) happen();
    });
  }

  #send(vh: VirtualHost, advbase: number, advskew: number): void {
    const segment = this.#segments.get(vh.service.segment);
    if (segment === undefined) return;
    if (this.kind !== "openbsd")
      vh.counter = vh.follows ? BigInt.asUintN(64, vh.counter + 1n) : this.#drawCounter();
    const fields = { vhid: vh.vhid, advbase, advskew, demote: this.#demote, counter: vh.counter };
    this.#made.note(fields, { host: this.id, isOurs: false });
    const message = encodeAdvertisement(fields, vh.authentication, this.#form);
    const bytes = this.#frame(vh, segment, message);
    segment.carry({ bytes, from: this, to: undefined, sentUs: this.#world.us, reading: undefined });
  }

  /** The frame of an advertisement: only the message at its end changes. */
  #frame(vh: VirtualHost, segment: Segment, message: Uint8Array): Uint8Array {
    const source = ownAddress(segment.index, this.id);
    vh.frame ??= advertisementFrame({
      sourceMac: "02:00:00:00:fe:01",
      source,
      trafficClass: 0x10,
      message,
    });
    // From Node's pool, as the engine's.
    const bytes = Buffer.from(vh.frame);
    bytes.set(message, bytes.length - message.length);
    return bytes;
  }

  /** Draws the first counter; OpenBSD keeps it, and is refused for ever where it reads as one of ours that was changed. */
  #drawCounter(): bigint {
    const half = () => BigInt(this.#random.integer(0, 2 ** 32 - 1));
    const counter = (half() << 32n) | half();
    return this.kind === "openbsd" && readCounter(counter) !== undefined ? this.#drawCounter() : counter;
  }
}
