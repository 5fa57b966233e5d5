/**
 * Station: a simulated host that runs carpctl: its clock, its network cards, the leases and filters that its
 * kernel keeps without an engine, and the engine, if one runs. Reports everything to its `Witness` and checks
 * nothing but that counters grow.
 */

import type { Command } from "../../src/core/command.ts";
import type { AdvertisementAhead, Effect } from "../../src/core/effect.ts";
import type { InterfaceConfiguration } from "../../src/core/interface/configuration.ts";
import type { Filter, Instant, Link, Micros, Transmission, VirtualHostState } from "../../src/core/model.ts";
import { ADVERTISEMENT_BYTES, counterAt } from "../../src/protocol/advertisement.ts";
import { Clock } from "./clock.ts";
import { type Cause, Engine, type Saved } from "./engine.ts";
import { routedFrame } from "./frames.ts";
import type { KernelFault } from "./plan.ts";
import type { Random } from "./random.ts";
import { RecentCounters } from "./recent.ts";
import { type MadeCounters, Memory, madeIn, noteSent, timeOf } from "./replays.ts";
import type { Frame, Plugged, Segment } from "./segment.ts";
import { type Demotions, demotionsOf, type Settings, settingsOf } from "./settings.ts";
import { Violation } from "./violation.ts";
import { keyOf, nameOf, VirtualHosts } from "./virtual-hosts.ts";
import type { World } from "./world.ts";

/** A failed part must be in place this soon after its fault: it is tried again every second. */
const RECOVERS_WITHIN_US: Micros = 3_000_000;
const LINK_REPORTED_WITHIN_US: Micros = 20_000;

type Advertise = Extract<Effect, { kind: "advertise" }>;

/** The last advertisement of a virtual host that left. */
export interface LastSaid {
  readonly leftUs: Micros;
  readonly counter: bigint;
  /** The time of the counter. */
  readonly us: Micros;
  readonly advbase: number;
  readonly advskew: number;
  /** How many advertisements the host had heard by then. */
  readonly heardCount: number;
}

/** An advertisement that the core has made. */
interface Sent {
  readonly counter: bigint;
  /** The time of the counter. */
  readonly us: Micros;
  readonly advbase: number;
  readonly advskew: number;
  readonly demote: number;
}

const NOTHING_SENT: Sent = { counter: 0n, us: 0, advbase: -1, advskew: -1, demote: -1 };

/** The observer of a simulation, which checks the invariants. */
export interface Witness {
  /** The core has returned effects, which are not performed yet. */
  handled(station: Station, cause: Cause, effects: readonly Effect[]): void;
  /** The immediate effects of an event are done. */
  done(station: Station): void;
  /** A lease is about to change; `untilUs` is on the host's clock. */
  leaseChanges(station: Station, name: string, vhid: number, untilUs: Micros): void;
  /** A part could not be put in place. */
  lacks(station: Station): void;
  crashed(station: Station, cause: Cause, error: unknown): void;
}

export class Station implements Plugged {
  readonly id: number;
  readonly name: string;
  readonly world: World;
  /** The counters that any host has sent. */
  readonly made: MadeCounters;
  readonly random: Random;
  readonly clock: Clock;
  /** Whether its engines have advertisements that repeat others wait. */
  readonly folds: boolean;
  readonly links = new Map<string, Link>();
  /** The configurations in force, by carp interface. */
  configurations = new Map<string, InterfaceConfiguration>();
  /** The state of each virtual host, by its key (`carp0/1`), as all maps of virtual hosts here. */
  readonly states = new Map<string, VirtualHostState>();
  /** The end of each lease, on the host's clock; no entry: no lease. */
  readonly leases = new Map<string, Micros>();
  readonly lastSaid = new Map<string, LastSaid>();
  readonly filters = new Map<string, Filter>();
  readonly virtualHosts = new VirtualHosts();
  /** The latest counters that this engine sent. */
  readonly ownCounters = new Map<string, RecentCounters>();
  /** The greatest counter that any engine of this host sent, with its fields. */
  readonly #everSent = new Map<string, Sent>();
  readonly #memories = new Map<string, Memory>();
  allows = true;
  preempts = false;
  #preemptDelayS = 0;
  strictReplay = false;
  signsHeader = false;
  graceUs: Micros = 0;
  engine: Engine | undefined;
  saved: Saved | undefined;
  /** Sends fail with this error, each with this probability. */
  sendFault: { readonly error: string; readonly chance: number } | undefined;
  /** Kernel calls that fail at present. */
  readonly faults = new Set<KernelFault>();
  /** Parts that the kernel failed to put in place. */
  readonly unplaced = new Set<string>();
  slowDeviceUs: Micros = 0;
  isStopping = false;
  /** When a fault last began or ended that may have kept the host from hearing or being heard. */
  disturbedAtUs: Micros = 0;
  /** When the host last got a command. */
  commandedAtUs: Micros = 0;
  /** carp interfaces that have not left yet. */
  readonly #leaving = new Set<string>();
  readonly #givingWay = new Set<string>();
  /** How many advertisements it has heard. */
  heardCount = 0;
  /** How often its settings may have changed. */
  settingsChanges = 0;
  /** When its settings or a state last changed, on its clock. */
  changedUs: Micros = 0;
  /** Settings, cached until an event can change them. */
  readonly #settings = new Map<string, Settings>();
  #demotions: Demotions | undefined;
  readonly #witness: Witness;
  readonly #segments = new Map<string, Segment>();
  readonly #setup: readonly Command[];
  #tagsAround: ReadonlySet<number> | undefined;

  constructor(
    world: World,
    options: {
      readonly id: number;
      readonly random: Random;
      readonly witness: Witness;
      readonly driftPpm: number;
      readonly aheadUs: Micros;
      readonly folds: boolean;
      /** The commands of its configuration files, at every start. */
      readonly setup: readonly Command[];
    },
  ) {
    this.world = world;
    this.made = madeIn(world);
    this.id = options.id;
    this.name = `host${this.id}`;
    this.random = options.random;
    this.#witness = options.witness;
    this.#setup = options.setup;
    this.clock = new Clock(world, options);
    this.folds = options.folds;
  }

  get now(): Instant {
    return this.clock.now;
  }

  /** Its CLOCK_BOOTTIME. */
  get us(): Micros {
    return this.clock.us;
  }

  setSendFault(fault: Station["sendFault"]): void {
    this.sendFault = fault;
    this.disturbed();
  }

  /** @returns a function that ends it */
  setFault(fault: KernelFault): () => void {
    this.faults.add(fault);
    this.disturbed();
    return () => {
      this.faults.delete(fault);
      this.disturbed();
    };
  }

  notePlaced(part: string, isInPlace: boolean): void {
    const changed = isInPlace ? this.unplaced.delete(part) : !this.unplaced.has(part);
    if (!isInPlace) {
      this.unplaced.add(part);
      this.#witness.lacks(this);
    }
    if (changed) this.disturbed();
  }

  /** Whether a fault impairs the host at present. A failed part must be in place soon after its fault. */
  get isImpaired(): boolean {
    return (
      this.sendFault !== undefined ||
      this.faults.size > 0 ||
      (this.unplaced.size > 0 && this.world.us - this.disturbedAtUs < RECOVERS_WITHIN_US) ||
      !this.allows ||
      this.engine?.isStalled === true
    );
  }

  /** @returns the errno name when a send fails now */
  sendFailure(): string | undefined {
    if (this.sendFault === undefined || !this.random.chance(this.sendFault.chance)) return undefined;
    return this.sendFault.error;
  }

  // Segments.

  plug(segment: Segment): void {
    const name = segment.carpdev;
    this.#segments.set(name, segment);
    segment.plug(this);
    this.links.set(name, {
      name,
      index: segment.index + 2,
      mac: `02:00:00:00:${hex(segment.index)}:${hex(this.id)}`,
      mtu: 1500,
      up: true,
      carrier: true,
      addresses: [
        { family: 4, address: ownAddress(segment.index, this.id), prefixLength: 24 },
        { family: 6, address: `fe80::${this.id + 2}`, prefixLength: 64 },
      ],
    });
  }

  segmentOf(carpdev: string | undefined): Segment | undefined {
    return carpdev === undefined ? undefined : this.#segments.get(carpdev);
  }

  /** Its own IPv4 address on a carpdev. */
  ownAddressOn(carpdev: string): string | undefined {
    const segment = this.segmentOf(carpdev);
    return segment && ownAddress(segment.index, this.id);
  }

  owns(segment: Segment, address: string): boolean {
    return this.hasOn(segment.carpdev, address);
  }

  /** Whether the address is one of its own on that carpdev. */
  hasOn(carpdev: string, address: string): boolean {
    return this.links.get(carpdev)?.addresses.some((own) => own.address === address) === true;
  }

  receive(segment: Segment, frame: Frame): void {
    const { carpdev } = segment;
    if (this.links.get(carpdev)?.carrier) this.engine?.receive(carpdev, frame);
  }

  /** @returns the errno name when it does not leave */
  send(carpdev: string, transmission: Transmission): string | undefined {
    const failure = this.sendFailure();
    if (failure !== undefined) return failure;
    const segment = this.#segments.get(carpdev);
    if (segment === undefined) return "ENODEV";
    const isFrame = "frame" in transmission;
    // The kernel does not know the peer's MAC at all times.
    const onLink = isFrame || this.random.chance(0.5) ? undefined : transmission.onLink;
    const bytes = isFrame ? transmission.frame : (onLink ?? routedFrame(transmission));
    const to = isFrame ? undefined : transmission.destination;
    this.#note(carpdev, bytes);
    if (this.links.get(carpdev)?.carrier)
      segment.carry({ bytes, from: this, to, sentUs: this.world.us, reading: undefined });
    return undefined;
  }

  #note(carpdev: string, bytes: Uint8Array): void {
    const message = messageAt(bytes);
    const counter = counterAt(bytes, message);
    const said = {
      leftUs: this.us,
      counter,
      us: timeOf(counter),
      advskew: bytes[message + 2] as number,
      advbase: bytes[message + 5] as number,
      heardCount: this.heardCount,
    };
    for (const { key, configuration } of this.virtualHosts.with(bytes[message + 1] as number)) {
      if (configuration.carpdev !== carpdev) continue;
      const former = this.lastSaid.get(key);
      // The same once more, over the other family.
      if (former !== undefined && said.us < former.us)
        throw new Violation(
          "counters grow",
          `${this.name} ${key}: an older advertisement leaves after a newer one`,
        );
      this.lastSaid.set(key, said);
    }
  }

  disturbed(): void {
    this.disturbedAtUs = this.world.us;
  }

  setCarrier(carpdev: string, carrier: boolean): void {
    const link = this.links.get(carpdev);
    if (link === undefined) return;
    const changed = { ...link, carrier };
    this.links.set(carpdev, changed);
    this.disturbed();
    const { engine } = this;
    this.world.at(this.world.us + this.random.next() * LINK_REPORTED_WITHIN_US, () => {
      this.disturbed();
      engine?.whenRunning(() => engine.handle({ kind: "link", link: changed }));
    });
  }

  /** The carpdev is taken away and comes back as a new device. */
  replug(carpdev: string): void {
    const link = this.links.get(carpdev);
    const { engine } = this;
    if (link === undefined || engine === undefined) return;
    const changed = { ...link, index: link.index + 100 };
    this.links.set(carpdev, changed);
    this.disturbed();
    engine.unplug(carpdev);
    engine.whenRunning(() => {
      this.disturbed();
      engine.handle({ kind: "link-gone", name: carpdev });
      engine.handle({ kind: "link", link: changed });
    });
  }

  // The engine.

  start(): void {
    const { saved } = this;
    this.disturbed();
    const engine = new Engine(this, saved);
    this.engine = engine;
    engine.start(saved?.configuration);
    for (const name of [...this.filters.keys()])
      if (!this.configurations.has(name)) this.setFilter(name, null);
    if (!saved?.configuration.interfaces.length) for (const command of this.#setup) engine.command(command);
  }

  crash(): void {
    this.engine?.die();
    this.isStopping = false;
    this.engine = undefined;
    this.states.clear();
    this.#leaving.clear();
    this.#givingWay.clear();
    this.#forgetSettings();
    this.virtualHosts.clear();
    this.ownCounters.clear();
    for (const memory of this.#memories.values()) memory.restart();
    this.unplaced.clear();
    this.disturbed();
  }

  stop(stopped: () => void): void {
    const { engine } = this;
    if (engine === undefined) return;
    this.disturbed();
    this.isStopping = true;
    engine.stop(() => {
      if (this.engine !== engine) return;
      this.isStopping = false;
      for (const name of [...this.filters.keys()]) this.setFilter(name, null);
      engine.saveCounters();
      this.crash();
      stopped();
    });
  }

  stall(): void {
    this.engine?.stall();
    this.disturbed();
  }

  resume(framesFirst: boolean): void {
    this.engine?.resume(framesFirst);
    this.disturbed();
  }

  command(command: Command): void {
    this.commandedAtUs = this.world.us;
    this.engine?.command(command);
  }

  // Called by its engine.

  /** Calls the core, and shows its effects to the witness before they are performed. */
  asked(cause: Cause, work: () => readonly Effect[]): readonly Effect[] {
    let effects: readonly Effect[];
    try {
      effects = work();
    } catch (error) {
      this.#witness.crashed(this, cause, error);
      return [];
    }
    if (changesSettings(cause) || effects.some(isDemotion)) this.#forgetSettings();
    else if (cause.kind === "event" && cause.event.kind !== "advertised") this.changedUs = this.us;
    this.#witness.handled(this, cause, effects);
    for (const effect of effects)
      if (effect.kind === "transition") {
        this.states.set(keyOf(effect.interface, effect.vhid), effect.to);
        this.changedUs = this.us;
        this.#givingWay.delete(keyOf(effect.interface, effect.vhid));
      } else if (effect.kind === "destroyed") this.#forget(effect.interface);
      else if (effect.kind === "advertise") this.#rememberCounter(effect);
      else if (effect.kind === "left") this.#left(effect.interface);
    if (cause.kind === "command" || cause.kind === "restore") this.#refresh();
    if (cause.kind === "command" || cause.kind === "shutdown")
      for (const name of this.configurations.keys())
        if (this.engine?.host.isLeaving(name)) this.#leaving.add(name);
    if (cause.kind === "command")
      for (const key of this.states.keys()) {
        const [name = "", vhid] = key.split("/");
        if (this.engine?.host.givesWay(name, Number(vhid))) this.#givingWay.add(key);
      }
    return effects;
  }

  /** An advertisement leaves that was made ahead, for this time. */
  madeAhead(
    of: { readonly interface: string; readonly vhid: number },
    { frames, atUs }: Pick<AdvertisementAhead, "frames" | "atUs">,
  ): void {
    this.#rememberCounter({ ...of, transmissions: frames }, atUs);
  }

  #rememberCounter(
    {
      interface: name,
      vhid,
      transmissions: [first],
    }: Pick<Advertise, "interface" | "vhid" | "transmissions">,
    atUs = this.us,
  ): void {
    if (first === undefined) return;
    const bytes = "frame" in first ? first.frame : first.payload;
    const key = keyOf(name, vhid);
    const message = messageAt(bytes);
    const counter = counterAt(bytes, message);
    const sent = {
      counter,
      us: timeOf(counter),
      advbase: bytes[message + 5] as number,
      advskew: bytes[message + 2] as number,
      demote: bytes[message + 4] as number,
    };
    const before = this.#everSent.get(key) ?? NOTHING_SENT;
    const behindUs = before.us - sent.us;
    // A signed counter stays the same within a unit, with the same fields.
    const isRepeated = counter === before.counter && isSame(sent, before);
    if (!isRepeated && (behindUs > 0 || counter === before.counter))
      throw new Violation("counters grow", `${this.name} ${key}: ${behindUs} us less than before`);
    this.#everSent.set(key, sent);
    noteSent(this, key, sent);
    let own = this.ownCounters.get(key);
    if (own === undefined) {
      own = new RecentCounters();
      this.ownCounters.set(key, own);
    }
    own.add(counter, atUs);
  }

  #left(name: string): void {
    if (!this.engine?.host.isLeaving(name)) this.#leaving.delete(name);
    const configuration = this.engine?.host.configurations.find((each) => each.name === name);
    if (configuration === undefined) this.configurations.delete(name);
    else this.configurations.set(name, configuration);
    this.#forgetSettings();
    this.#learnSecrets();
  }

  /**
   * Forgets the counters of a destroyed interface: another one by the same name has sent and heard nothing
   * yet.
   */
  #forget(name: string): void {
    for (const key of [...this.ownCounters.keys()])
      if (key.startsWith(`${name}/`)) this.ownCounters.delete(key);
    for (const [key, memory] of this.#memories) if (key.startsWith(`${name}/`)) memory.restart();
  }

  /** The immediate effects of an event are done. */
  settled(): void {
    this.#witness.done(this);
  }

  #learnSecrets(): void {
    const { graceUs } = this;
    if (this.virtualHosts.read(this.configurations, { graceUs, us: this.us })) this.disturbed();
  }

  /** What a virtual host has heard and sent. */
  memory(key: string): Memory {
    let memory = this.#memories.get(key);
    if (memory === undefined) {
      memory = new Memory();
      this.#memories.set(key, memory);
    }
    return memory;
  }

  /** The tags in the counters of the hosts of ours on its segments. */
  tagsAround(): ReadonlySet<number> {
    this.#tagsAround ??= new Set(
      [...this.#segments.values()].flatMap(({ plugs }) =>
        plugs.filter((each) => each instanceof Station).map(({ id }) => id + 2),
      ),
    );
    return this.#tagsAround;
  }

  #forgetSettings(): void {
    this.#settings.clear();
    this.#demotions = undefined;
    this.settingsChanges++;
    this.changedUs = this.us;
  }

  get demotions(): Demotions {
    this.#demotions ??= demotionsOf(this);
    return this.#demotions;
  }

  settings(key: string): Settings {
    let known = this.#settings.get(key);
    if (known === undefined) {
      known = settingsOf(this, key);
      this.#settings.set(key, known);
    }
    return known;
  }

  /** How long a virtual host that is back preempts no healthy master. */
  preemptDelayUs(key: string): Micros {
    const its = this.configurations.get(nameOf(key))?.preemptdelay;
    return 1e6 * (its ?? this.#preemptDelayS);
  }

  /** Whether its interface had begun to leave before the present event. */
  isLeaving(key: string): boolean {
    return this.#leaving.has(nameOf(key));
  }

  /** Whether it gave way (`state backup`) before the present event, and waited for a successor. */
  givesWay(key: string): boolean {
    return this.#givingWay.has(key);
  }

  /** The source address of its advertisements, in the family of another address. */
  sourceOf(key: string, other: string): string | undefined {
    const carpdev = this.configurations.get(nameOf(key))?.carpdev ?? "";
    const family = other.includes(":") ? 6 : 4;
    return this.links.get(carpdev)?.addresses.find((each) => each.family === family)?.address;
  }

  /**
   * Reads the configurations in force again. An interface that is leaving keeps its former one until it has
   * left.
   */
  #refresh(): void {
    this.#forgetSettings();
    const host = this.engine?.host;
    if (host === undefined) return;
    const known = this.configurations;
    this.configurations = new Map();
    for (const each of host.configurations) this.configurations.set(each.name, each);
    for (const [name, configuration] of known)
      if (host.isLeaving(name)) this.configurations.set(name, configuration);
    const setting = (name: string) => host.sysctl(`net.inet.carp.${name}`)[0]?.value;
    this.graceUs = 1e6 * (setting("grace") ?? 0);
    this.#learnSecrets();
    const allowed = this.allows;
    this.allows = setting("allow") === 1;
    if (this.allows !== allowed) this.disturbed();
    this.preempts = setting("preempt") === 1;
    this.#preemptDelayS = setting("preempt_delay") ?? 0;
    this.strictReplay = setting("strict_replay") === 1;
    this.signsHeader = setting("signed_header") === 1;
  }

  readonly leaseUntilUs = (name: string, vhid: number): Micros => this.leases.get(keyOf(name, vhid)) ?? 0;

  setLease(name: string, vhid: number, untilUs: Micros): void {
    if (!this.filters.get(name)?.vhids.includes(vhid)) return;
    this.#witness.leaseChanges(this, name, vhid, untilUs);
    if (untilUs === 0) this.leases.delete(keyOf(name, vhid));
    else this.leases.set(keyOf(name, vhid), untilUs);
  }

  /** Replaces a filter. Leases outlast a change of the addresses, and no other change. */
  setFilter(name: string, filter: Filter | null): void {
    const former = this.filters.get(name);
    if (former !== undefined && (filter === null || identityOf(former) !== identityOf(filter)))
      for (const vhid of former.vhids) this.setLease(name, vhid, 0);
    if (filter === null) this.filters.delete(name);
    else this.filters.set(name, filter);
  }

  /** Begins to change a device. @returns how long that takes */
  changeDevice(): Micros {
    const takesUs = 300 + this.random.next() * 2_000 + this.slowDeviceUs;
    if (this.slowDeviceUs > 0) this.world.at(this.world.us + takesUs, () => this.disturbed());
    return takesUs;
  }

  /** When the lease expires, on the world's clock. */
  leaseEndUs(key: string): Micros {
    const untilUs = this.leases.get(key);
    return untilUs === undefined ? Number.NEGATIVE_INFINITY : this.clock.worldTimeOf(untilUs);
  }
}

function isDemotion({ kind }: Effect): boolean {
  return kind === "demotion";
}

/** Whether it can change settings without a demotion. */
function changesSettings({ kind }: Cause): boolean {
  return kind === "command" || kind === "restore" || kind === "shutdown";
}

export function ownAddress(segment: number, host: number): string {
  return `10.${segment}.0.${host + 2}`;
}

function identityOf({ carpdev, mac, realMac, balancing, vhids }: Filter): string {
  return [carpdev, mac, realMac, balancing, ...vhids].join();
}

/** Where the CARP message at the end of a frame begins. */
function messageAt(bytes: Uint8Array): number {
  return bytes.length - ADVERTISEMENT_BYTES;
}

function isSame(one: Sent, other: Sent): boolean {
  return one.advbase === other.advbase && one.advskew === other.advskew && one.demote === other.demote;
}

function hex(number: number): string {
  return number.toString(16).padStart(2, "0");
}
