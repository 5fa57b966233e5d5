/**
 * CarpInterface: the nodes (virtual hosts) of one carp interface and their common state: whether it runs, its
 * send errors, its device, a change of its configuration, and leaving. appearance.ts computes what it looks
 * like on its segment; reconfigure.ts decides which command changes what.
 */

import type { Hmac } from "../../protocol/authentication.ts";
import { addressClaim, type Claim } from "../claims.ts";
import type { CounterBook } from "../counters/counter-book.ts";
import type { ReplayDefence } from "../counters/counter-window.ts";
import type { CounterStyle } from "../counters/own-counters.ts";
import type { Demotion, Effective } from "../demotion.ts";
import type { Effect, LogFields } from "../effect.ts";
import type { Owner } from "../election/owner.ts";
import { SECOND } from "../election/timing.ts";
import { type Silence, VirtualHost } from "../election/virtual-host.ts";
import type { Event, Part } from "../event.ts";
import type { NotInPlace } from "../failures.ts";
import type { Family, Filter, Heard, Instant, InterfaceAddress, Link, Micros } from "../model.ts";
import { RareMap } from "../rare.ts";
import type { Obstacle } from "../reason.ts";
import { type StatisticName, type Statistics, zeroStatistics } from "../statistics.ts";
import type { DiscardView, InterfaceView, WrongDigestView } from "../view.ts";
import { Appearance, addressing, identity } from "./appearance.ts";
import { Condition } from "./condition.ts";
import type { InterfaceConfiguration } from "./configuration.ts";
import { Faults } from "./faults.ts";
import { interfaceView } from "./interface-view.ts";
import { Leaving } from "./leaving.ts";
import { Placement } from "./placement.ts";
import { followMac } from "./reconfigure.ts";
import { SendRecord } from "./send-record.ts";
import { type SignedAs, Signing } from "./signing.ts";
import { InterfaceTransmitter } from "./transmitter.ts";

/** The part of the host that its carp interfaces use. */
export interface Host {
  readonly preempt: boolean;
  /** Of the interfaces that have no delay of their own. */
  readonly preemptDelayUs: Micros;
  /** TOS or traffic class of advertisements. */
  readonly trafficClass: number;
  /** Whether this host forwards IPv6: its neighbour advertisements then have the router flag. */
  readonly isRouter: boolean;
  /** `true`: this host can filter packets for several nodes. Otherwise the reason why not. */
  readonly balancing: true | string;
  /** In place of HMAC-SHA1; undefined: the true one. */
  readonly hmac: Hmac | undefined;
  /** How long a host signs as before after a change of the pass or the addresses. */
  readonly graceUs: Micros;
  readonly counters: CounterBook;
  /** Whether advertisements are sent without this host where they can be made ahead. */
  readonly sendsAhead: boolean;
  readonly replayDefence: ReplayDefence;
  /** Advertisements that repeat others are handed over at once again. */
  unfold(): void;
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

type Advertised = Extract<Event, { kind: "advertised" }>;

export class CarpInterface implements Owner {
  #configuration: InterfaceConfiguration;
  #nodes: VirtualHost[] = [];
  #appearance: Appearance;
  readonly transmitter: InterfaceTransmitter;
  readonly signing: Signing;
  readonly #host: Host;
  index = 0;
  /** Number of changes by other programs that were undone. */
  repairs = 0;
  /**
   * Statistics of the packets sent for this interface, and of the packets received that name one of its
   * vhids.
   */
  readonly statistics: Statistics = zeroStatistics();
  readonly #faults: Faults;
  readonly #sends = new SendRecord((demoted) => this.#faults.set("snderrors", demoted));
  /** The last discarded packet for each counter and cause. */
  readonly #discarded = new RareMap<string, DiscardView>();
  readonly #placement: Placement;
  readonly #leaving: Leaving;

  constructor(configuration: InterfaceConfiguration, host: Host, now: Instant) {
    this.#configuration = configuration;
    this.#host = host;
    this.#faults = new Faults(this, host);
    const emit = (effect: Effect) => host.emit(effect);
    this.#placement = new Placement(configuration.name, emit);
    this.#leaving = new Leaving(configuration.name, emit);
    this.signing = new Signing(configuration, {
      emit,
      log: (text, vhid) => host.log(2, text, { event: "signing", interface: configuration.name, vhid }),
      believedChanged: () => this.#appear(),
    });
    this.#appearance = new Appearance(configuration, this.#link, this.signing.believed, host.hmac);
    this.transmitter = new InterfaceTransmitter(this, host);
    this.#build(now);
  }

  get configuration(): InterfaceConfiguration {
    return this.#configuration;
  }

  /** The configuration once it has left, while it is leaving; otherwise the present one. */
  get pendingConfiguration(): InterfaceConfiguration {
    return this.#leaving.to ?? this.#configuration;
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

  get preemptDelayUs(): Micros {
    const { preemptdelay } = this.#configuration;
    return preemptdelay === undefined ? this.#host.preemptDelayUs : preemptdelay * SECOND;
  }

  get nodes(): readonly VirtualHost[] {
    return this.#nodes;
  }

  get isLeaving(): boolean {
    return this.#leaving.isUnderWay;
  }

  /** Whether it is leaving because it was destroyed. */
  get isDestroyed(): boolean {
    return this.#leaving.isDestroyed;
  }

  /** What it looks like on its segment at present. */
  get appearance(): Appearance {
    return this.#appearance;
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
   * Starts or stops the nodes and updates the device, as the configuration and the state of the carpdev
   * demand.
   *
   * @param leaseUntilUs the leases that an earlier engine left: a node whose lease is in force goes on as
   * MASTER
   */
  evaluate(now: Instant, leaseUntilUs: (vhid: number) => Micros = () => 0): void {
    if (this.isLeaving) return;
    const link = this.#link;
    const condition = this.#condition;
    const { obstacle } = condition;
    if (obstacle !== undefined) {
      // A host that can still send lets another one take over at once.
      if (obstacle.kind === "not-in-place") for (const node of this.#nodes) node.bowOut(now);
      for (const { vhid } of this.#nodes)
        if (leaseUntilUs(vhid) > now.us) this.emit({ kind: "lease", interface: this.name, vhid, untilUs: 0 });
      for (const node of this.#nodes) node.stop({ kind: "not-running", obstacle }, now);
      // It sends nothing from now on that could end the demotion for failed sends.
      this.#sends.forget();
    }
    this.recall(now);
    const formerMac = this.#appearance.mac;
    this.#followMac(link);
    this.#appear();
    this.#faults.follow(condition);
    if (obstacle === undefined)
      for (const node of this.#nodes) if (node.state === "INIT") node.start(leaseUntilUs(node.vhid), now);
    this.updateDevice();
    // A change of configuration that gives it another MAC passes through INIT.
    if (formerMac !== undefined && formerMac !== this.#appearance.mac)
      for (const node of this.#nodes) node.macChanged(now);
    for (const node of this.#nodes) node.paceAnnouncements(now);
  }

  #followMac(link: Link | undefined): void {
    const former = this.#configuration;
    const next = followMac(former, link, former.carpdevMacs);
    if (next.lladdr === former.lladdr && next.carpdevMacs.join() === former.carpdevMacs.join()) return;
    this.#configuration = next;
    this.#host.configurationChanged(this);
    // The next engine has to know the MACs.
    this.emit({ kind: "save" });
  }

  /** Computes what it looks like anew, if that may have changed. */
  #appear(): void {
    const { believed } = this.signing;
    const link = this.#link;
    if (!this.#appearance.isOf(this.#configuration, link, believed))
      this.#appearance = new Appearance(this.#configuration, link, believed, this.#host.hmac);
    this.#placement.expectDigests(this.#appearance.signedForms);
  }

  /**
   * Takes a new configuration. A change of identity passes through INIT; other changes take effect as it
   * runs.
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

  /**
   * Gives its vhids, MAC and addresses up, so that other interfaces of this host can have them: its device is set down
   * before it, or another one, changes.
   *
   * @param next what it is reconfigured to afterwards; when it remains the same virtual host it gives nothing up
   * @param isTaken whether another interface has it then
   */
  release(next: InterfaceConfiguration, isTaken: (claim: Claim) => boolean, now: Instant): void {
    this.finishLeaving();
    const { carpdev } = this.#configuration;
    const givesUp = this.addresses.some(({ address }) => isTaken(addressClaim(address, carpdev)));
    if (!givesUp && !this.#isRenewedBy(next)) return;
    for (const node of this.#nodes) {
      node.bowOut(now);
      node.stop({ kind: "identity-changed" }, now);
    }
    this.updateDevice();
  }

  #adopt(next: InterfaceConfiguration, now: Instant): void {
    const previous = this.#configuration;
    const { demote: previousDemote } = this.effective(0);
    const renewed = this.#isRenewedBy(next);
    const readdressed = addressing(previous) !== addressing(next);
    if (renewed) {
      for (const node of this.#nodes) {
        node.bowOut(now);
        node.stop({ kind: "identity-changed" }, now);
      }
    }
    this.#configuration = next;
    this.#host.configurationChanged(this);
    this.#host.unfold();
    this.signing.change(
      next,
      { isElsewhere: place(previous) !== place(next), graceUs: this.#host.graceUs },
      now.us,
    );
    this.#host.demotion.regroup(this);
    if (renewed || readdressed) this.#host.configuredAnew(this);
    if (renewed) this.#build(now);
    else for (const [i, node] of next.nodes.entries()) (this.#nodes[i] as VirtualHost).advskew = node.advskew;
    this.evaluate(now);
    if (readdressed && !renewed) for (const node of this.#nodes) node.announce(now);
    const advskews = (of: InterfaceConfiguration) => of.nodes.map((node) => node.advskew).join();
    const { demote } = this.effective(0);
    if (
      previous.advbase !== next.advbase ||
      advskews(previous) !== advskews(next) ||
      previousDemote !== demote
    )
      this.#host.settingsChanged(this, demote > previousDemote);
  }

  /** Whether a change passes through INIT: peers know the virtual hosts no longer. */
  #isRenewedBy(next: InterfaceConfiguration): boolean {
    const previous = this.#configuration;
    if (identity(previous) !== identity(next)) return true;
    // Without addresses it does not run.
    if (next.addresses.length === 0) return previous.addresses.length > 0;
    return this.#host.graceUs === 0 && addressing(previous) !== addressing(next);
  }

  /**
   * Forces a state (`state master`); the rules of the protocol apply again from there.
   *
   * @param vhid of one node; undefined: of all
   */
  force(state: "init" | "backup" | "master", now: Instant, vhid?: number): void {
    for (const node of this.#nodes) {
      if (vhid !== undefined && vhid !== node.vhid) continue;
      if (state === "master") node.forceMaster(now);
      else node.forceBackup(now);
    }
  }

  /**
   * Destroys the interface: it bows out and stays until a successor is heard. `then` runs when it has left.
   */
  destroy(then: () => void, now: Instant): void {
    this.finishLeaving();
    this.#leave(
      undefined,
      () => {
        for (const node of this.#nodes) node.stop({ kind: "destroyed" }, now);
        this.#placement.place(null, null);
        this.signing.endGrace();
        this.#placement.expectDigests([]);
        this.#host.demotion.forget(this);
        then();
      },
      now,
    );
  }

  /** Begins to leave. @param to the configuration after that; undefined: it is destroyed */
  #leave(to: InterfaceConfiguration | undefined, then: () => void, now: Instant): void {
    this.#leaving.begin(to, then);
    this.#host.configurationChanged(this);
    for (const node of this.#nodes) {
      node.leave(now);
      if (node.state !== "MASTER") node.stop({ kind: to === undefined ? "destroyed" : "taken-down" }, now);
    }
    if (!this.#master) this.finishLeaving();
  }

  /** The leave timer of a node fired: no successor was heard. */
  leaveTimer(node: VirtualHost, now: Instant): void {
    if (this.isLeaving) this.finishLeaving();
    else node.leaveTimer(now);
  }

  /** Ends leaving: a successor was heard, the linger time is over, or a new command replaces this one. */
  finishLeaving(): void {
    this.#leaving.finish(() => this.#host.hasLeft());
  }

  /** The node with this vhid, if it is in BACKUP or MASTER. */
  node(vhid: number): VirtualHost | undefined {
    const node = this.nodeOf(vhid);
    return node?.state === "INIT" ? undefined : node;
  }

  /** The node with this vhid, in any state. */
  nodeOf(vhid: number): VirtualHost | undefined {
    for (const node of this.#nodes) if (node.vhid === vhid) return node;
    return undefined;
  }

  /** Why the advertisement's counter is refused: it is a recording. If not, our counters follow it. */
  replayOf(node: VirtualHost, heard: Heard, now: Instant): string | undefined {
    const { counters } = node;
    const { counterTag: tag } = this.#appearance;
    const reader = { defence: this.#host.replayDefence, tag, clockUs: now.epochUs };
    return counters.refusal(heard, reader);
  }

  /** An advertisement with a valid digest, of this form, arrived for one of the nodes. */
  accept(node: VirtualHost, heard: Heard, form: SignedAs, now: Instant): void {
    this.#followForm(node, heard, form, now);
    if (!this.isLeaving) {
      if (!this.#master) this.#sends.rest(now.us);
      node.accept(heard, now);
      return;
    }
    if (node.state !== "MASTER") return;
    node.stop({ kind: "successor-heard" }, now, heard);
    if (!this.#master) this.finishLeaving();
  }

  /**
   * What advertisements that repeat this one put off, when nothing else depends on them: they may wait then. Undefined:
   * they may not.
   */
  silenceAfter({
    node,
    heard,
    form,
  }: {
    readonly node: VirtualHost;
    readonly heard: Heard;
    readonly form: SignedAs;
  }): Silence | undefined {
    const isSettled =
      !this.isLeaving &&
      this.signing.believed.length === 1 &&
      form.linkLocals === "none" &&
      !this.#sends.isDemoted;
    return isSettled ? node.silenceAfter(heard) : undefined;
  }

  /** Before a node answers: a peer may understand the one form of digest only. */
  #followForm({ vhid, counters }: VirtualHost, heard: Heard, form: SignedAs, now: Instant): void {
    const { linkLocals, secret } = form;
    this.signing.heardSecret(secret, heard.source, now.us);
    if (linkLocals === "none") return;
    const isOurs = counters.isFromOurs(heard.counter, this.#appearance.counterTag);
    const host = `${this.name}${this.label(vhid)}`;
    this.signing.heardForm({ vhid, host, isOurs }, heard, linkLocals, now.us);
  }

  /** The outcome of an `advertise` effect. */
  advertised({ vhid, left, leftUs, error }: Advertised, now: Instant): void {
    const node = this.nodeOf(vhid);
    // Nothing left and nothing failed: this host is the only one of its unicast peers.
    if (left.length === 0 && error !== undefined) {
      const failure = { error, atUs: leftUs, left };
      node?.advertisementFailed();
      this.#host.count("sendFailed", this);
      this.emit({ kind: "send-failed", interface: this.name, vhid, error: failure.error });
      this.#sends.failed(failure, this.#nodes.length);
      return;
    }
    for (const family of left) this.#countSent(family);
    node?.advertisementLeft(leftUs, now);
    this.#sends.left(this.#nodes.length, error === undefined ? undefined : { error, atUs: leftUs, left });
  }

  /** Takes what was sent ahead into account. */
  settle(now: Instant): void {
    for (const node of this.#nodes) node.settle(now);
  }

  /** A setting of the host changed: what was made ahead may say what no longer holds. */
  recall(now: Instant): void {
    for (const node of this.#nodes) node.recall(now);
  }

  /** An announcement did not leave. */
  announcementFailed(vhid: number, now: Instant): void {
    this.nodeOf(vhid)?.announcementFailed(now);
  }

  /** Asks once more for the device or filter that the kernel did not put in place. */
  retry(part: Extract<Part, { interface: string }>): void {
    this.#placement.failed(part.kind === "device" ? "device" : "filter");
    this.updateDevice();
  }

  /** Notes a packet that was received for this interface and discarded. */
  discarded(packet: DiscardView): void {
    this.#discarded.set(`${packet.counter} ${packet.cause}`, packet);
  }

  settingsChanged(atOnce: boolean, now: Instant): void {
    for (const node of this.#nodes) node.settingsChanged(atOnce, now);
  }

  view(): InterfaceView {
    return interfaceView(
      {
        configuration: this.#configuration,
        link: this.#link,
        nodes: this.#nodes,
        appearance: this.#appearance,
        signing: this.signing,
        condition: this.#condition,
      },
      {
        index: this.index,
        repairs: this.repairs,
        sendFailure: this.#sends.failure,
        discarded: [...this.#discarded.values()],
        wrongDigests: this.#host.wrongDigests(this.name),
      },
    );
  }

  /** What a user who configures it should know. */
  get warnings(): readonly string[] {
    return this.#condition.warnings;
  }

  /** What keeps it from running; undefined: it runs. */
  get obstacle(): Obstacle | undefined {
    return this.#condition.obstacle;
  }

  get #filter(): Filter | null {
    return this.#appearance.filter(this.#nodes.some((node) => node.hasBowedOut));
  }

  get #condition(): Condition {
    const { balancing } = this.#host;
    return new Condition(this.#configuration, this.#link, {
      balancing,
      notInPlace: this.#host.notInPlace(this),
    });
  }

  // Owner: the part that its virtual hosts use.

  label(vhid: number): string {
    return this.#nodes.length > 1 ? ` (vhid ${vhid})` : "";
  }

  effective(advskew: number): Effective {
    return this.#host.demotion.effective(advskew, this.groups);
  }

  get counterStyle(): CounterStyle {
    return { tag: this.#appearance.counterTag, signed: this.#host.replayDefence.signed };
  }

  get mayAdvertiseAhead(): boolean {
    return (
      this.#host.sendsAhead &&
      !this.isLeaving &&
      this.signing.believed.length === 1 &&
      this.#sends.isFaultless
    );
  }

  leftAhead(families: readonly Family[]): void {
    for (const family of families) this.#countSent(family);
  }

  #countSent(family: Family): void {
    this.#host.count(family === 4 ? "sentIpv4" : "sentIpv6", this);
  }

  mastershipChanged(): void {
    this.updateDevice();
  }

  bowedOut(): void {
    this.#placement.filter(this.#filter);
  }

  unfold(): void {
    this.#host.unfold();
  }

  emit(effect: Effect): void {
    this.#host.emit(effect);
  }

  log(priority: 2 | 4, text: string, fields: LogFields): void {
    this.#host.log(priority, text, fields);
  }

  countTransitionToMaster(): void {
    this.#host.count("transitionsToMaster", this);
  }

  updateDevice(): void {
    this.#placement.place(this.#appearance.device(this.#master), this.#filter);
  }

  /** The device went away with its carpdev, and has to be built again. */
  forgetDevice(): void {
    this.#placement.deviceGone();
  }

  #build(now: Instant): void {
    const { name, nodes } = this.#configuration;
    this.#nodes = nodes.map(
      ({ vhid, advskew }) =>
        new VirtualHost(this, vhid, advskew, this.#host.counters.of(name, vhid, now), now),
    );
  }
}

/** Where its peers are, as text to compare. */
function place({ carpdev, nodes }: InterfaceConfiguration): string {
  return JSON.stringify([carpdev, nodes.map(({ vhid }) => vhid)]);
}
