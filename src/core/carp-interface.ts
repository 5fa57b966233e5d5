/**
 * A carp interface: its nodes (virtual hosts), its addresses, and everything they share: whether it runs, what its
 * advertisements look like, its send errors, its device, and how it leaves. Which command changes what is decided
 * in reconfigure.ts.
 */

import { broadcastAddress, multicastMac, virtualMac } from "../protocol/address.ts";
import { type Advertisement, encodeAdvertisement } from "../protocol/advertisement.ts";
import { Authentication } from "../protocol/authentication.ts";
import { advertisementFrame, gratuitousArp, unsolicitedNeighbourAdvertisement } from "../protocol/frame.ts";
import type { Balancing, InterfaceConfiguration } from "./configuration.ts";
import type { Effective } from "./demotion.ts";
import type { Device, Effect, Transmission } from "./effect.ts";
import type { Family, Instant, Link, Micros } from "./event.ts";
import { ReplayWindow } from "./replay.ts";
import { isBowOut } from "./timing.ts";
import type { InterfaceView } from "./view.ts";
import { type Heard, type Owner, VirtualHost } from "./virtual-host.ts";

/** The host, as its carp interfaces see it. */
export interface Host {
  readonly preempt: boolean;
  /** TOS or traffic class of advertisements. */
  readonly trafficClass: number;
  /** Whether this host forwards IPv6: neighbour advertisements say so. */
  readonly isRouter: boolean;
  /** Every counter sent will be greater. */
  readonly counterFloor: bigint;
  link(name: string): Link | undefined;
  effective(advskew: number, groups: readonly string[]): Effective;
  /** A fault of this interface begins (`by` 1) or ends (-1). */
  demote(carpInterface: CarpInterface, fault: Fault, by: 1 | -1): void;
  emit(effect: Effect): void;
  log(priority: 2 | 3 | 4 | 5 | 6, text: string): void;
  countSent(family: Family): void;
  countSendFailure(): void;
  countTransitionToMaster(): void;
  /** Its groups are others now: what it is demoted for goes with it. */
  regroup(carpInterface: CarpInterface): void;
  /** What its nodes advertise has changed: they are told when all is done that changes with it. */
  settingsChanged(carpInterface: CarpInterface, atOnce: boolean): void;
  /** It has left, or ceased to leave: nothing else may be left on its carpdev. */
  hasLeft(): void;
}

export type Fault = "carpdev" | "snderrors";

/** Sends of each node that have to fail, or to succeed, in a row before the interface is demoted, or no longer. */
const SENDS_PER_NODE_TO_JUDGE = 3;

/** How long the addresses stay after a bow-out when nobody is heard to take over. */
const LINGER_US: Micros = 250_000;

export class CarpInterface implements Owner {
  #configuration: InterfaceConfiguration;
  #nodes: VirtualHost[] = [];
  #authentications = new Map<number, Authentication>();
  readonly #replayWindows = new Map<number, ReplayWindow>();
  readonly #host: Host;
  index = 0;
  #carpdevLost = false;
  #sendErrors = 0;
  #goodSends = 0;
  #demotedForSendErrors = false;
  /** What was demoted for a fault, to take back exactly that. */
  readonly demotions = new Map<Fault, { readonly groups: readonly string[]; readonly factor: number }>();
  #device: string | undefined;
  #leaving: { readonly to: InterfaceConfiguration | undefined; readonly then: () => void } | undefined;

  constructor(configuration: InterfaceConfiguration, host: Host, now: Instant) {
    this.#configuration = configuration;
    this.#host = host;
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

  /** Balancing as it is in force: one node has nothing to balance, several always balance. */
  get #mode(): Balancing {
    const { nodes, balancing } = this.#configuration;
    if (nodes.length < 2) return "none";
    return balancing === "none" ? "ip" : balancing;
  }

  /** The MAC that carp gives out for the addresses. */
  get mac(): string | undefined {
    const { lladdr, nodes } = this.#configuration;
    const leader = nodes[0]?.vhid;
    if (lladdr !== undefined || leader === undefined) return lladdr;
    return this.#mode === "ip" ? multicastMac(leader) : virtualMac(leader);
  }

  get isRunning(): boolean {
    return this.#nodes.some((node) => node.state !== "INIT");
  }

  /** Brings everything in line with the configuration and the state of the carpdev. */
  evaluate(now: Instant): void {
    if (this.#leaving !== undefined) return;
    const { up, carpdev, nodes } = this.#configuration;
    const link = this.#link;
    const lost = up && carpdev !== undefined && nodes.length > 0 && !(link?.up && link.carrier);
    const obstacle = obstacleTo(this.#configuration, link);
    if (obstacle !== undefined) {
      for (const node of this.#nodes) node.stop(obstacle, now);
      // It sends nothing now that could show it to be well again.
      this.#forgetSendErrors();
    }
    this.#authenticate();
    this.updateDevice();
    if (lost !== this.#carpdevLost) {
      this.#carpdevLost = lost;
      this.#host.demote(this, "carpdev", lost ? 1 : -1);
    }
    if (obstacle === undefined) for (const node of this.#nodes) if (node.state === "INIT") node.start(now);
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
    this.#host.regroup(this);
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
        this.#setDevice(null);
        for (const fault of [...this.demotions.keys()]) this.#host.demote(this, fault, -1);
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
    return (
      this.#authentications.get(advertisement.vhid)?.verify(advertisement.counter, advertisement.digest) ??
      false
    );
  }

  /** Whether a source sends, for this vhid, a counter no greater than one it has sent before. */
  isReplay(vhid: number, source: string, counter: bigint): boolean {
    const window = this.#replayWindows.get(vhid) ?? new ReplayWindow();
    this.#replayWindows.set(vhid, window);
    return window.isReplay(source, counter);
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
  advertised(vhid: number, left: readonly Family[], leftUs: Micros, now: Instant): void {
    const toJudge = SENDS_PER_NODE_TO_JUDGE * Math.max(1, this.#nodes.length);
    if (left.length === 0) {
      this.#host.countSendFailure();
      this.#goodSends = 0;
      if (++this.#sendErrors < toJudge || this.#demotedForSendErrors) return;
      this.#demotedForSendErrors = true;
      this.#host.demote(this, "snderrors", 1);
      return;
    }
    for (const family of left) this.#host.countSent(family);
    this.#nodes.find((node) => node.vhid === vhid)?.advertisementLeft(leftUs, now);
    this.#sendErrors = 0;
    if (this.#demotedForSendErrors && ++this.#goodSends >= toJudge) this.#forgetSendErrors();
  }

  #forgetSendErrors(): void {
    this.#sendErrors = 0;
    this.#goodSends = 0;
    if (!this.#demotedForSendErrors) return;
    this.#demotedForSendErrors = false;
    this.#host.demote(this, "snderrors", -1);
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
      lladdr: this.mac,
      description,
      index: this.index,
      carpdev,
      advbase,
      balancing: this.#mode,
      carppeer,
      carppeer6,
      nodes: this.#nodes.map((node) => node.view()),
      groups,
      addresses,
      status: this.#master ? "master" : isRunning ? "backup" : "invalid",
      notRunning: isRunning ? undefined : obstacleTo(this.#configuration, this.#link),
    };
  }

  // What its virtual hosts ask of it.

  label(vhid: number): string {
    return this.#nodes.length > 1 ? ` (vhid ${vhid})` : "";
  }

  effective(advskew: number): Effective {
    return this.#host.effective(advskew, this.#configuration.groups);
  }

  source(family: Family): string | undefined {
    const { addresses } = this.#configuration;
    const shared = addresses.filter((each) => each.family === family);
    const own = this.#link?.addresses.find(
      (each) => each.family === family && !shared.some(({ address }) => address === each.address),
    );
    return (own ?? shared[0])?.address;
  }

  send(vhid: number, fields: { advbase: number; advskew: number; demote: number; counter: bigint }): void {
    const { name, carpdev, addresses, carppeer, carppeer6 } = this.#configuration;
    const authentication = this.#authentications.get(vhid);
    // A bow-out over the second family may leave after the successor has spoken over the first: it must not make the
    // switches believe that the shared MAC is still here.
    const sourceMac = isBowOut(fields) ? (this.#link?.mac ?? this.#sourceMac) : this.#sourceMac;
    if (carpdev === undefined || authentication === undefined || sourceMac === undefined)
      throw new Error(`${name} advertises without being configured`);
    const message = encodeAdvertisement({ vhid, ...fields }, authentication);
    const { trafficClass } = this.#host;
    const transmissions: Transmission[] = [];
    for (const family of [4, 6] as const) {
      const source = addresses.some((each) => each.family === family) ? this.source(family) : undefined;
      if (source === undefined) continue;
      const destination = family === 4 ? carppeer : carppeer6;
      transmissions.push(
        destination === undefined
          ? { family, frame: advertisementFrame({ sourceMac, source, trafficClass, message }) }
          : { family, destination, source, trafficClass, payload: message },
      );
    }
    this.emit({ kind: "advertise", interface: name, vhid, carpdev, transmissions });
  }

  /** Balanced addresses are never announced: the switches must not learn where they are. */
  announce(): void {
    const { name, carpdev, addresses } = this.#configuration;
    const mac = this.mac;
    if (carpdev === undefined || mac === undefined || this.#nodes.length > 1) return;
    const frames = addresses.map(({ family, address }) =>
      family === 4
        ? gratuitousArp(mac, address)
        : unsolicitedNeighbourAdvertisement({ mac, address, router: this.#host.isRouter }),
    );
    this.emit({ kind: "announce", interface: name, carpdev, frames });
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
    this.#host.countTransitionToMaster();
  }

  /** The Ethernet source of what we send: never a multicast address, in stealth never the shared one. */
  get #sourceMac(): string | undefined {
    const ownMac = this.#mode === "ip" || this.#mode === "ip-stealth";
    return ownMac ? this.#link?.mac : this.mac;
  }

  updateDevice(): void {
    const { name, carpdev, mtu, addresses } = this.#configuration;
    const mac = this.mac;
    if (carpdev === undefined || mac === undefined) {
      this.#setDevice(null);
      return;
    }
    const realMac = this.#link === undefined ? false : mac === this.#link.mac;
    this.#setDevice({ name, carpdev, mac, realMac, mtu, active: this.#master, addresses });
  }

  /** The carpdev is back as a new device: what was built on the old one has to be built again. */
  forgetDevice(): void {
    if (this.#device !== undefined) this.#device = "forgotten";
  }

  #setDevice(device: Device | null): void {
    const described = JSON.stringify(device);
    if (described === (this.#device ?? "null")) return;
    this.#device = described;
    this.emit({ kind: "device", interface: this.name, device });
  }

  #build(now: Instant): void {
    this.#nodes = this.#configuration.nodes.map(
      ({ vhid, advskew }) => new VirtualHost(this, vhid, advskew, this.#host.counterFloor, now),
    );
  }

  #authenticate(): void {
    const { nodes, pass, addresses, lladdr } = this.#configuration;
    const leader = nodes[0]?.vhid;
    this.#authentications = new Map(
      nodes.map(({ vhid }) => {
        const setByHand = lladdr !== undefined && lladdr !== virtualMac(vhid) && lladdr !== this.#link?.mac;
        const handSetLladdr = vhid === leader && setByHand ? lladdr : undefined;
        const texts = addresses.map((each) => each.address);
        return [vhid, new Authentication({ pass, vhid, addresses: texts, handSetLladdr })];
      }),
    );
  }
}

/** What keeps an interface from running, in words; undefined when nothing does. */
export function obstacleTo(
  configuration: InterfaceConfiguration,
  link: Link | undefined,
): string | undefined {
  const { up, carpdev, nodes, addresses } = configuration;
  if (!up) return "it is down";
  if (nodes.length === 0) return "no vhid is set";
  if (carpdev === undefined) return "no carpdev is set";
  if (link === undefined) return `carpdev ${carpdev} is missing`;
  if (!link.up) return `carpdev ${carpdev} is down`;
  if (!link.carrier) return `carpdev ${carpdev} has no carrier`;
  if (addresses.length === 0) return "no address is set";
  return undefined;
}

/** What makes another virtual host of it when it changes, as text to compare. */
function identity(of: InterfaceConfiguration): string {
  const { carpdev, nodes, balancing, lladdr } = of;
  const addresses = of.addresses.map(({ family, address, prefixLength, broadcast }) => [
    address,
    prefixLength,
    family === 4 ? (broadcast ?? broadcastAddress(address, prefixLength)) : undefined,
  ]);
  return JSON.stringify([carpdev, nodes.map((node) => node.vhid), balancing, lladdr, addresses]);
}
