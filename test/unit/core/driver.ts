/**
 * Drives the core in tests: stations with timers, devices and leases, on the clock and the segments of `carpctl plan`.
 * Performs effects and reports their outcomes as an engine would, and keeps all of them to look at. Knows no rule of the
 * election.
 */

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { Folding } from "../../../src/cluster/plan/folding.ts";
import { Segment as Hub, type Plugged, SECOND, World } from "../../../src/cluster/plan/world.ts";
import type { Command } from "../../../src/core/command.ts";
import type { Effect } from "../../../src/core/effect.ts";
import type { Event, Repeated, Timer } from "../../../src/core/event.ts";
import { Host, type Outcome } from "../../../src/core/host.ts";
import type { InterfaceChange } from "../../../src/core/interface/configuration.ts";
import type {
  Device,
  Family,
  Filter,
  Instant,
  Link,
  Micros,
  Transmission,
  VirtualHostState,
} from "../../../src/core/model.ts";
import type { NodeView } from "../../../src/core/view.ts";
import { Waiting } from "../../../src/engine/waiting.ts";
import { ADVERTISEMENT_BYTES } from "../../../src/protocol/advertisement.ts";
import type { SignedForm } from "../../../src/protocol/authentication.ts";
import { onesComplementSum } from "../../../src/protocol/checksum.ts";
import { Ahead } from "../../sim/ahead.ts";

export { SECOND, World };

const EPOCH_AT_BOOT_US = 1_700_000_000 * SECOND;

/** The hub of `carpctl plan`. */
export class Segment extends Hub<Station> {
  override plug(station: Station, carpdev: string): void {
    super.plug(station, carpdev);
    station.wires.set(carpdev, this);
  }
}

export interface StationOptions {
  readonly links?: readonly Link[];
  readonly balancing?: true | string;
  readonly counterFloor?: bigint;
  /** Its system clock is ahead by this. Two hosts' clocks never agree exactly. */
  readonly epochOffsetUs?: Micros;
  /** Its wire folds frames that repeat others. */
  readonly folds?: boolean;
  /** It sends advertisements at their times that were made ahead. */
  readonly sendsAhead?: boolean;
}

/** A frame in the socket. */
interface Arrived {
  readonly carpdev: string;
  readonly bytes: Uint8Array;
  readonly receivedUs: Micros;
}

export class Station implements Plugged {
  readonly world: World;
  readonly host: Host;
  readonly links = new Map<string, Link>();
  readonly wires = new Map<string, Segment>();
  readonly timers = new Map<Timer, Micros>();
  readonly devices = new Map<string, Device>();
  readonly filters = new Map<string, Filter>();
  /** The end of each lease, by `carp0/1`; no entry: no lease. */
  readonly leases = new Map<string, Micros>();
  readonly listening = new Map<string, number>();
  /** The result of a send: undefined, or an errno name. */
  sending: (transmission: Transmission) => string | undefined = () => undefined;
  /** Every effect since `take`. */
  effects: Effect[] = [];
  epochOffsetUs: Micros;
  /** Whether the engine is stopped: its socket fills up, its timers wait. */
  isStalled = false;
  readonly #folding: Folding<Arrived> | undefined;
  readonly #waiting = new Waiting({
    clock: { now: () => this.now },
    wire: {
      latest: (carpdev, vhid) => this.#folding?.latest(carpdev, vhid),
      drain: () => this.catchUp(),
    },
    timers: { putOff: (timer, atUs) => this.#putOff(timer, atUs) },
  });
  /** What digests are checked with, by carp interface. */
  readonly #forms = new Map<string, readonly SignedForm[]>();
  readonly #socket: Arrived[] = [];
  readonly #ahead = new Ahead((of, { frames, leaseUntilUs }) => {
    const key = `${of.interface}/${of.vhid}`;
    for (const [at, frame] of frames.entries()) {
      if (this.sending(frame) !== undefined) return at;
      this.wires.get(of.carpdev)?.carry(this, frame);
    }
    this.leases.set(key, Math.max(this.leases.get(key) ?? 0, leaseUntilUs));
    return frames.length;
  });

  constructor(world: World, options: StationOptions = {}) {
    const {
      links = [link("eth0")],
      balancing = true,
      counterFloor,
      epochOffsetUs,
      sendsAhead = false,
    } = options;
    this.world = world;
    const before = world.add(this);
    this.epochOffsetUs = EPOCH_AT_BOOT_US + (epochOffsetUs ?? 17 * before);
    this.host = new Host({ balancing, counterFloor, sendsAhead });
    this.#folding = options.folds === true ? new Folding((each) => this.#isIntact(each)) : undefined;
    for (const each of links) this.link(each);
    this.take();
  }

  get now(): Instant {
    return { us: this.world.us, epochUs: this.world.us + this.epochOffsetUs };
  }

  // Events in.

  handle(event: Event): readonly Effect[] {
    return this.#performed(() => this.host.handle(event, this.now));
  }

  /** A frame reaches the socket; it is read at once unless the engine is stalled. */
  receive(carpdev: string, bytes: Uint8Array): void {
    if (!this.listening.has(carpdev)) return;
    this.#socket.push({ carpdev, bytes, receivedUs: this.world.us });
    if (!this.isStalled) this.#drain();
  }

  /** Handles this frame now. */
  hear(bytes: Uint8Array, receivedUs = this.world.us, carpdev = "eth0"): readonly Effect[] {
    return this.handle({ kind: "frame", carpdev, bytes, receivedUs });
  }

  link(changed: Link): readonly Effect[] {
    this.links.set(changed.name, changed);
    return this.handle({ kind: "link", link: changed });
  }

  linkGone(name: string): readonly Effect[] {
    this.links.delete(name);
    return this.handle({ kind: "link-gone", name });
  }

  hasAddress(carpdev: string, address: string): boolean {
    return this.links.get(carpdev)?.addresses.some((each) => each.address === address) === true;
  }

  get nextTimerUs(): Micros {
    if (this.isStalled) return Number.POSITIVE_INFINITY;
    return Math.min(this.#ahead.nextUs ?? Number.POSITIVE_INFINITY, ...this.timers.values());
  }

  /** Fires the timer that is due first, after the frames that have arrived are handled. */
  fire(): void {
    const atUs = this.nextTimerUs;
    this.#sendAhead();
    const [timer] = [...this.timers].find(([, dueUs]) => dueUs === atUs) ?? [];
    if (timer === undefined) return;
    this.#performed(() => {
      this.#drain();
      if (timer.kind === "master-down") this.#waiting.masterDown(timer);
      const dueUs = this.timers.get(timer);
      if (dueUs === undefined || dueUs > this.world.us) return [];
      this.timers.delete(timer);
      return this.host.handle({ kind: "timer", timer }, this.now);
    });
  }

  #putOff(timer: Timer, atUs: Micros): boolean {
    const armedUs = this.timers.get(timer);
    if (armedUs === undefined) return false;
    this.timers.set(timer, Math.max(armedUs, atUs));
    return Math.max(armedUs, atUs) > this.world.us;
  }

  /** Handles what waits because it repeats what was heard. */
  catchUp(): void {
    for (const event of repeatedOf(this.#folding?.flush())) this.#perform(this.host.handle(event, this.now));
  }

  resume(): void {
    this.isStalled = false;
    this.#drain();
  }

  // Commands in.

  command(command: Command): Outcome {
    this.#sendAhead();
    const outcome = this.host.command(command, this.now);
    if (!("error" in outcome)) this.#perform(outcome.effects);
    return outcome;
  }

  /** Carries out a command that must be accepted. @returns its effects */
  does(command: Command): readonly Effect[] {
    return this.#performed(() => {
      const outcome = this.host.command(command, this.now);
      assert.ok(!("error" in outcome), "error" in outcome ? outcome.error : "");
      return outcome.effects;
    });
  }

  set(name: string, change: InterfaceChange): readonly Effect[] {
    return this.does({ kind: "change", name, change });
  }

  sysctl(name: string, value: number): readonly Effect[] {
    return this.does({ kind: "set-sysctl", writes: [{ name: `net.inet.carp.${name}`, value }] });
  }

  /** Gives a command that must be refused. @returns the error */
  refuses(command: Command): string {
    const outcome = this.host.command(command, this.now);
    assert.ok("error" in outcome, "the command was accepted");
    return outcome.error;
  }

  shutdown(): readonly Effect[] {
    return this.#performed(() => this.host.shutdown(this.now));
  }

  // State.

  node(vhid = 1, name = "carp0"): NodeView {
    const node = this.host
      .interfaces()
      .find((each) => each.name === name)
      ?.nodes.find((each) => each.vhid === vhid);
    assert.ok(node, `${name} has no vhid ${vhid}`);
    return node;
  }

  state(vhid = 1, name = "carp0"): VirtualHostState {
    return this.node(vhid, name).state;
  }

  /** The armed timer of that name, as `timerName` has it. */
  timer(name: string): Timer | undefined {
    return [...this.timers.keys()].find((each) => timerName(each) === name);
  }

  /** Microseconds until the timer of that name fires; undefined: it is not armed. */
  dueIn(name: string): Micros | undefined {
    const timer = this.timer(name);
    const atUs = timer && this.timers.get(timer);
    return atUs === undefined ? undefined : atUs - this.world.us;
  }

  /** Microseconds until the lease expires; 0: there is none. */
  leaseLeft(vhid = 1, name = "carp0"): Micros {
    return Math.max(0, (this.leases.get(`${name}/${vhid}`) ?? 0) - this.world.us);
  }

  /** Takes the effects since the last call. */
  take(): readonly Effect[] {
    const { effects } = this;
    this.effects = [];
    return effects;
  }

  // Effects out.

  /** Outcomes to handle after the effects that are being performed. */
  readonly #reported: Event[] = [];
  #isPerforming = false;

  #performed(work: () => readonly Effect[]): readonly Effect[] {
    const before = this.effects.length;
    this.#sendAhead();
    this.#perform(work());
    return this.effects.slice(before);
  }

  /** What was made ahead leaves at its time. */
  #sendAhead(): void {
    this.#ahead.sendDue(this.world.us);
    for (const event of this.#ahead.takeEnded()) this.#perform(this.host.handle(event, this.now));
  }

  /** Performs effects, then handles what they reported. */
  #perform(effects: readonly Effect[]): void {
    if (this.#isPerforming) throw new Error("effects are performed while others are");
    this.#isPerforming = true;
    this.#performAll(effects);
    this.#isPerforming = false;
    for (let next = this.#reported.shift(); next !== undefined; next = this.#reported.shift())
      this.#perform(this.host.handle(next, this.now));
  }

  #performAll(effects: readonly Effect[]): void {
    for (const effect of effects) {
      this.effects.push(effect);
      switch (effect.kind) {
        case "arm":
          this.timers.set(effect.timer, effect.atUs);
          break;
        case "cancel":
          this.timers.delete(effect.timer);
          break;
        case "lease":
          if (effect.untilUs === 0) this.leases.delete(`${effect.interface}/${effect.vhid}`);
          else this.leases.set(`${effect.interface}/${effect.vhid}`, effect.untilUs);
          break;
        case "device":
          if (effect.device === null) this.devices.delete(effect.interface);
          else this.devices.set(effect.interface, effect.device);
          break;
        case "filter":
          if (effect.filter === null) this.filters.delete(effect.interface);
          else this.filters.set(effect.interface, effect.filter);
          break;
        case "listen":
          this.listening.set(effect.carpdev, effect.index);
          break;
        case "ignore":
          this.listening.delete(effect.carpdev);
          break;
        case "advertise":
          this.#advertise(effect);
          break;
        case "advertise-ahead":
          this.#ahead.add(effect, effect.advertisements);
          break;
        case "recall":
          this.#ahead.recall(effect.interface, effect.vhid);
          break;
        case "expect-digests":
          this.#forms.set(effect.interface, effect.forms);
          break;
        case "fold":
          this.#waiting.add(effect);
          this.#folding?.fold(effect.carpdev, effect.frame);
          break;
        case "unfold":
          this.#waiting.end();
          this.#reported.push(...repeatedOf(this.#folding?.end()));
          break;
        default:
          break;
      }
    }
  }

  #advertise({
    carpdev,
    interface: name,
    vhid,
    transmissions,
  }: Extract<Effect, { kind: "advertise" }>): void {
    const left: Family[] = [];
    let error: string | undefined;
    for (const transmission of transmissions) {
      const failure = this.sending(transmission);
      if (failure !== undefined) error = failure;
      else {
        left.push(transmission.family);
        this.wires.get(carpdev)?.carry(this, transmission);
      }
    }
    const leftUs = this.world.us;
    this.#reported.push({ kind: "advertised", interface: name, vhid, leftUs, left, error });
  }

  #drain(): void {
    this.#sendAhead();
    for (let frame = this.#socket.shift(); frame !== undefined; frame = this.#socket.shift()) {
      const { carpdev, bytes } = frame;
      const before = this.#folding === undefined ? [] : this.#folding.take(carpdev, bytes, frame);
      for (const event of repeatedOf(before)) this.#perform(this.host.handle(event, this.now));
      if (before !== undefined) this.#perform(this.host.handle({ kind: "frame", ...frame }, this.now));
    }
  }

  #isIntact({ bytes }: Arrived): boolean {
    const message = bytes.subarray(bytes.length - ADVERTISEMENT_BYTES);
    if (onesComplementSum(message) !== 0xffff) return false;
    return [...this.#forms.values()].flat().some((form) => {
      if (form.vhid !== message[1]) return false;
      const signed = Buffer.concat([form.message.subarray(0, -8), message.subarray(8, 16)]);
      return createHmac("sha1", form.key).update(signed).digest().equals(message.subarray(16));
    });
  }
}

function repeatedOf(all: readonly Repeated[] = []): Event[] {
  return all.length === 0 ? [] : [{ kind: "repeated", all }];
}

/** Names a timer: `carp0/1/advertise`, `carp0/grace`, `retry`. */
export function timerName(timer: Timer): string {
  if (timer.kind === "retry") return timer.kind;
  return timer.kind === "grace"
    ? `${timer.interface}/${timer.kind}`
    : `${timer.interface}/${timer.vhid}/${timer.kind}`;
}

/** Makes an Ethernet device, up and with carrier unless changed; eth0 has index 2 and 10.0.0.2/24. */
export function link(name: string, changes: Partial<Link> = {}): Link {
  const number = Number(name.replace(/\D/g, ""));
  return {
    name,
    index: number + 2,
    mac: `02:00:00:00:00:${(number + 16).toString(16)}`,
    mtu: 1500,
    up: true,
    carrier: true,
    addresses: [{ family: 4, address: `10.0.${number}.2`, prefixLength: 24 }],
    ...changes,
  };
}

export function ipv4(address: string, prefixLength = 24, alias = true) {
  return { family: 4 as const, address, prefixLength, alias };
}

export function ipv6(address: string, prefixLength = 64) {
  return { family: 6 as const, address, prefixLength, alias: true };
}

/** The configuration of most tests: vhid 1 on eth0, 10.0.0.1/24. */
export const PLAIN: InterfaceChange = { carpdev: "eth0", vhid: 1, addAddresses: [ipv4("10.0.0.1")] };

/** Makes a station whose carp0 is BACKUP. */
export function backup(change: InterfaceChange = {}, options: StationOptions = {}): Station {
  const station = new Station(new World(), options);
  station.set("carp0", { ...PLAIN, ...change });
  assert.equal(station.state(station.host.interfaces()[0]?.nodes[0]?.vhid), "BACKUP");
  station.take();
  return station;
}

/** Makes a station whose carp0 was forced to MASTER. */
export function master(change: InterfaceChange = {}, options: StationOptions = {}): Station {
  const station = backup(change, options);
  station.set("carp0", { state: "master" });
  station.take();
  return station;
}

/** The effects of one kind. */
export function only<K extends Effect["kind"]>(
  effects: readonly Effect[],
  kind: K,
): readonly Extract<Effect, { kind: K }>[] {
  return effects.filter((effect): effect is Extract<Effect, { kind: K }> => effect.kind === kind);
}

/** The transitions among the effects, as `INIT -> BACKUP`, in order. */
export function transitions(effects: readonly Effect[]): string[] {
  return only(effects, "transition").map(({ from, to }) => `${from} -> ${to}`);
}

/** The log lines among the effects, with their priority. */
export function logged(effects: readonly Effect[]): string[] {
  return only(effects, "log").map(({ priority, text }) => `${priority} ${text}`);
}
