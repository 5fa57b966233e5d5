/**
 * A carp interface: its nodes (virtual hosts) and what they share: whether it runs, its send errors, its device, how
 * it takes a new configuration and how it leaves. What it looks like on its segment is in appearance.ts; which
 * command changes what is decided in reconfigure.ts.
 */

import type { Advertisement } from "../protocol/advertisement.ts";
import type { SignedForm } from "../protocol/authentication.ts";
import { Appearance, identity, obstacleTo } from "./appearance.ts";
import type { InterfaceConfiguration } from "./configuration.ts";
import { type CounterName, type Counters, zeroCounters } from "./counters.ts";
import type { Demotion, Effective } from "./demotion.ts";
import type { Device, Effect, Filter } from "./effect.ts";
import type { Event, Family, Instant, InterfaceAddress, Link, Micros } from "./event.ts";
import { OwnCounters } from "./own-counters.ts";
import { ReplayWindow } from "./replay.ts";
import { SendRecord } from "./send-record.ts";
import { isBowOut } from "./timing.ts";
import type { DiscardView, InterfaceView } from "./view.ts";
import { type Heard, type Owner, VirtualHost } from "./virtual-host.ts";

/** The host, as its carp interfaces see it. */
export interface Host {
  readonly preempt: boolean;
  /** TOS or traffic class of advertisements. */
  readonly trafficClass: number;
  /** Whether this host forwards IPv6: neighbour advertisements say so. */
  readonly isRouter: boolean;
  /** Whether this host can filter packets for several nodes; else why not, in words. */
  readonly balancing: true | string;
  /** Every counter sent will be greater. */
  readonly counterFloor: bigint;
  link(name: string): Link | undefined;
  readonly demotion: Demotion;
  emit(effect: Effect): void;
  log(priority: 2 | 3 | 4 | 5 | 6, text: string): void;
  /** For this interface and for the host. */
  count(counter: CounterName, of: CarpInterface): void;
  /** Of what is sent, or what others have sent that is to be followed. */
  counted(counter: bigint): void;
  /** What its nodes advertise has changed: they are told when all is done that changes with it. */
  settingsChanged(carpInterface: CarpInterface, atOnce: boolean): void;
  /** It has left, or ceased to leave: nothing else may be left on its carpdev. */
  hasLeft(): void;
}

type Advertised = Extract<Event, { kind: "advertised" }>;

/** How long the addresses stay after a bow-out when nobody is heard to take over. */
const LINGER_US: Micros = 250_000;

export class CarpInterface implements Owner {
  #configuration: InterfaceConfiguration;
  #nodes: VirtualHost[] = [];
  #appearance: Appearance;
  /** By vhid: what a bow-out said, before everything was built anew, must not be believed when it comes back. */
  readonly #counters = new Map<number, OwnCounters>();
  readonly #replayWindows = new Map<number, ReplayWindow>();
  readonly #host: Host;
  index = 0;
  /** How often something that somebody else had changed was put back. */
  repairs = 0;
  /** What was sent for it, and of what was received that which names one of its vhids. */
  readonly counters: Counters = zeroCounters();
  #carpdevLost = false;
  readonly #sends = new SendRecord((demoted) => {
    if (demoted) this.#host.demotion.begin(this, "snderrors");
    else this.#host.demotion.end(this, "snderrors");
  });
  /** The last of each kind. */
  readonly #discarded = new Map<CounterName, DiscardView>();
  /** As last asked for, as text to compare. */
  #device: string | undefined;
  #filter: string | undefined;
  #recognised = "[]";
  #leaving: { readonly to: InterfaceConfiguration | undefined; readonly then: () => void } | undefined;

  constructor(configuration: InterfaceConfiguration, host: Host, now: Instant) {
    this.#configuration = configuration;
    this.#host = host;
    this.#appearance = new Appearance(configuration, this.#link);
    this.#build(now);
  }

  get configuration(): InterfaceConfiguration {
    return this.#configuration;
  }

  /** What it will be once it has left, while it is leaving; what it is otherwise. */
  get pendingConfiguration(): InterfaceConfiguration {
    return this.#leaving?.to ?? this.#configuration;
  }

  get name(): string {
    return this.#configuration.name;
  }

  get groups(): readonly string[] {
    return this.#configuration.groups;
  }

  get addresses(): readonly InterfaceAddress[] {
    return this.#configuration.addresses;
  }

  get advbase(): number {
    return this.#configuration.advbase;
  }

  get preempt(): boolean {
    return this.#host.preempt;
  }

  get nodes(): readonly VirtualHost[] {
    return this.#nodes;
  }

  get isLeaving(): boolean {
    return this.#leaving !== undefined;
  }

  /** Leaving, and not to come back. */
  get isDestroyed(): boolean {
    return this.#leaving !== undefined && this.#leaving.to === undefined;
  }

  get #link(): Link | undefined {
    const { carpdev } = this.#configuration;
    return carpdev === undefined ? undefined : this.#host.link(carpdev);
  }

  get #master(): boolean {
    return this.#nodes.some((node) => node.state === "MASTER");
  }

  get isRunning(): boolean {
    return this.#nodes.some((node) => node.state !== "INIT");
  }

  /**
   * Brings everything in line with the configuration and the state of the carpdev.
   *
   * @param leaseUntilUs the leases an engine before this one left: a node whose lease is in force goes on as MASTER
   */
  evaluate(now: Instant, leaseUntilUs: (vhid: number) => Micros = () => 0): void {
    if (this.#leaving !== undefined) return;
    const { up, carpdev, nodes } = this.#configuration;
    const link = this.#link;
    const lost = up && carpdev !== undefined && nodes.length > 0 && !(link?.up && link.carrier);
    const obstacle = obstacleTo(this.#configuration, link, this.#host.balancing);
    if (obstacle !== undefined) {
      for (const { vhid } of this.#nodes)
        if (leaseUntilUs(vhid) > now.us) this.emit({ kind: "lease", interface: this.name, vhid, untilUs: 0 });
      for (const node of this.#nodes) node.stop(obstacle, now);
      // It sends nothing now that could show it to be well again.
      this.#sends.forget();
    }
    this.#appearance = new Appearance(this.#configuration, link);
    this.#recognise(this.#appearance.signedForms);
    if (lost !== this.#carpdevLost) {
      this.#carpdevLost = lost;
      if (lost) this.#host.demotion.begin(this, "carpdev");
      else this.#host.demotion.end(this, "carpdev");
    }
    if (obstacle === undefined)
      for (const node of this.#nodes) if (node.state === "INIT") node.start(leaseUntilUs(node.vhid), now);
    this.updateDevice();
  }

  /**
   * Takes a new configuration. A change of identity passes through INIT; everything else takes effect as it runs.
   */
  reconfigure(next: InterfaceConfiguration, now: Instant): void {
    this.finishLeaving();
    const previous = this.#configuration;
    if (previous.up && !next.up) {
      this.#leave(next, () => this.#adopt(next, now), now);
      return;
    }
    this.#adopt(next, now);
  }

  #adopt(next: InterfaceConfiguration, now: Instant): void {
    const previous = this.#configuration;
    const { demote: previousDemote } = this.effective(0);
    const renewed = identity(previous) !== identity(next);
    if (renewed) {
      for (const node of this.#nodes) {
        node.bowOut(now);
        node.stop("its configuration changed", now);
      }
    }
    this.#configuration = next;
    this.#host.demotion.regroup(this);
    if (renewed) this.#build(now);
    else for (const [i, node] of next.nodes.entries()) (this.#nodes[i] as VirtualHost).advskew = node.advskew;
    this.evaluate(now);
    const advskews = (of: InterfaceConfiguration) => of.nodes.map((node) => node.advskew).join();
    const { demote } = this.effective(0);
    if (
      previous.advbase !== next.advbase ||
      advskews(previous) !== advskews(next) ||
      previousDemote !== demote
    )
      this.#host.settingsChanged(this, demote > previousDemote);
  }

  /** `state master` and its like: the rules of the protocol apply again from there. */
  force(state: "init" | "backup" | "master", now: Instant): void {
    for (const node of this.#nodes) {
      if (state === "master") node.forceMaster(now);
      else node.forceBackup(now);
    }
  }

  /** Leaves for good: bows out, stays until a successor is heard, then goes; `then` runs when it is gone. */
  destroy(then: () => void, now: Instant): void {
    this.finishLeaving();
    this.#leave(
      undefined,
      () => {
        for (const node of this.#nodes) node.stop("it is destroyed", now);
        this.#makeSo(null, null);
        this.#recognise([]);
        this.#host.demotion.forget(this);
        then();
      },
      now,
    );
  }

  #leave(to: InterfaceConfiguration | undefined, then: () => void, now: Instant): void {
    this.#leaving = { to, then };
    for (const node of this.#nodes) {
      node.bowOut(now);
      if (node.state !== "MASTER") node.stop(to === undefined ? "it is destroyed" : "it is down", now);
    }
    if (this.#master) this.emit({ kind: "arm", timer: `${this.name}/leave`, atUs: now.us + LINGER_US });
    else this.finishLeaving();
  }

  /** The successor is there, or nobody comes. */
  finishLeaving(): void {
    const leaving = this.#leaving;
    if (leaving === undefined) return;
    this.#leaving = undefined;
    this.emit({ kind: "cancel", timer: `${this.name}/leave` });
    leaving.then();
    this.#host.hasLeft();
    this.emit({ kind: "left", interface: this.name });
  }

  /** The virtual hosts of another interface may not be mine: whether `vhid` is one of this one's, and it runs. */
  node(vhid: number): VirtualHost | undefined {
    return this.#nodes.find((node) => node.vhid === vhid && node.state !== "INIT");
  }

  /** Whether advertisements of this family come by unicast. */
  isUnicast(family: Family): boolean {
    return (family === 4 ? this.#configuration.carppeer : this.#configuration.carppeer6) !== undefined;
  }

  verify(advertisement: Advertisement): boolean {
    return this.#appearance.verify(advertisement);
  }

  /** Whether it has been heard before, or is far behind what was heard or sent; if not, our counters will be greater. */
  isReplay(vhid: number, heard: Heard): boolean {
    const window = this.#replayWindows.get(vhid) ?? new ReplayWindow();
    this.#replayWindows.set(vhid, window);
    const own = this.#counters.get(vhid);
    if (window.isReplay(heard, own?.lastSent ?? 0n)) return true;
    own?.follow(heard.counter, heard.receivedUs);
    this.#host.counted(heard.counter);
    return false;
  }

  /** An advertisement with a valid digest arrived for one of the nodes. */
  accept(node: VirtualHost, heard: Heard, now: Instant): void {
    if (this.#leaving === undefined) {
      node.accept(heard, now);
      return;
    }
    if (node.state !== "MASTER") return;
    node.stop("a successor is heard", now);
    if (!this.#master) this.finishLeaving();
  }

  /** What became of an advertisement. */
  advertised({ vhid, left, leftUs, error }: Advertised, now: Instant): void {
    const node = this.#nodes.find((each) => each.vhid === vhid);
    if (left.length === 0) {
      const failure = { error: error ?? "nothing was sent", atUs: leftUs };
      node?.advertisementFailed();
      this.#host.count("sendFailed", this);
      this.emit({ kind: "send-failed", interface: this.name, vhid, error: failure.error });
      this.#sends.failed(failure, this.#nodes.length);
      return;
    }
    for (const family of left) this.#host.count(family === 4 ? "sentIpv4" : "sentIpv6", this);
    node?.advertisementLeft(leftUs, now);
    this.#sends.left(this.#nodes.length);
  }

  /** Something was received for it and not believed. */
  discarded(counter: CounterName, text: string, now: Instant): void {
    this.#discarded.set(counter, { counter, text, atUs: now.us });
  }

  settingsChanged(atOnce: boolean, now: Instant): void {
    for (const node of this.#nodes) node.settingsChanged(atOnce, now);
  }

  view(): InterfaceView {
    const { name, up, description, carpdev, advbase, carppeer, carppeer6, groups, addresses } =
      this.#configuration;
    const isRunning = this.isRunning;
    return {
      name,
      up,
      running: isRunning,
      mtu: this.#configuration.mtu ?? this.#link?.mtu ?? 1500,
      lladdr: this.#appearance.mac,
      description,
      index: this.index,
      carpdev,
      advbase,
      balancing: this.#appearance.mode,
      carppeer,
      carppeer6,
      nodes: this.#nodes.map((node) => node.view()),
      groups,
      addresses,
      status: this.#master ? "master" : isRunning ? "backup" : "invalid",
      repairs: this.repairs,
      sendFailure: this.#sends.failure,
      discarded: [...this.#discarded.values()],
      notRunning: isRunning ? undefined : obstacleTo(this.#configuration, this.#link, this.#host.balancing),
    };
  }

  // What its virtual hosts ask of it.

  label(vhid: number): string {
    return this.#nodes.length > 1 ? ` (vhid ${vhid})` : "";
  }

  effective(advskew: number): Effective {
    return this.#host.demotion.effective(advskew, this.groups);
  }

  source(family: Family): string | undefined {
    return this.#appearance.source(family);
  }

  get counterTag(): number {
    return this.#appearance.counterTag;
  }

  send(
    vhid: number,
    fields: { advbase: number; advskew: number; demote: number; counter: bigint },
    untilUs: Micros,
  ): void {
    const { name, carpdev } = this.#configuration;
    if (carpdev === undefined) throw new Error(`${name} advertises without a carpdev`);
    const transmissions = this.#appearance.transmissions({ vhid, ...fields }, this.#host.trafficClass);
    const bowsOut = isBowOut(fields);
    this.#host.counted(fields.counter);
    this.emit({ kind: "advertise", interface: name, vhid, carpdev, bowsOut, transmissions, untilUs });
  }

  announce(vhid: number, untilUs: Micros): void {
    const { name, carpdev } = this.#configuration;
    const frames = this.#appearance.announcements(this.#host.isRouter);
    if (carpdev !== undefined && frames.length > 0)
      this.emit({ kind: "announce", interface: name, vhid, carpdev, frames, untilUs });
  }

  mastershipChanged(): void {
    this.updateDevice();
  }

  emit(effect: Effect): void {
    this.#host.emit(effect);
  }

  log(priority: 2 | 4, text: string): void {
    this.#host.log(priority, text);
  }

  countTransitionToMaster(): void {
    this.#host.count("transitionsToMaster", this);
  }

  updateDevice(): void {
    this.#makeSo(this.#appearance.device(this.#master), this.#appearance.filter());
  }

  #recognise(forms: readonly SignedForm[]): void {
    const described = JSON.stringify(forms.map(({ vhid, key, message }) => [vhid, [...key], [...message]]));
    if (described === this.#recognised) return;
    this.#recognised = described;
    this.emit({ kind: "recognise", interface: this.name, forms });
  }

  /** The carpdev is back as a new device: what was built on the old one has to be built again. */
  forgetDevice(): void {
    if (this.#device !== undefined) this.#device = "forgotten";
  }

  /** Nothing may pass that the filter has not seen: it is there before the device, and goes after it. */
  #makeSo(device: Device | null, filter: Filter | null): void {
    const filterChanges = changes(filter, this.#filter);
    const deviceChanges = changes(device, this.#device);
    this.#filter = JSON.stringify(filter);
    this.#device = JSON.stringify(device);
    const { name } = this;
    if (filterChanges && filter !== null) this.emit({ kind: "filter", interface: name, filter });
    if (deviceChanges) this.emit({ kind: "device", interface: name, device });
    if (filterChanges && filter === null) this.emit({ kind: "filter", interface: name, filter });
  }

  #build(now: Instant): void {
    const counterFloor = this.#host.counterFloor;
    this.#nodes = this.#configuration.nodes.map(({ vhid, advskew }) => {
      const counters = this.#counters.get(vhid) ?? new OwnCounters(counterFloor, now);
      this.#counters.set(vhid, counters);
      return new VirtualHost(this, vhid, advskew, counters, now);
    });
  }
}

function changes(wanted: Device | Filter | null, described: string | undefined): boolean {
  return JSON.stringify(wanted) !== (described ?? "null");
}
