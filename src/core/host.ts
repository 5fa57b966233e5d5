/**
 * Host: a CARP host with all its carp interfaces, groups, sysctl variables and statistics, and the one way
 * into the core. Events and commands go in with the time, effects come out. Must never read a clock, do I/O
 * or draw random numbers.
 */

import type { Hmac } from "../protocol/authentication.ts";
import { Carpdevs } from "./carpdevs.ts";
import type { Command, HostConfiguration } from "./command.ts";
import { Commands, type Done } from "./commands.ts";
import { CounterBook } from "./counters/counter-book.ts";
import { Demotion } from "./demotion.ts";
import { Diagnosis } from "./digests/diagnosis.ts";
import type { Effect, LogFields } from "./effect.ts";
import { SECOND } from "./election/timing.ts";
import type { Event, Part, Performed, Timer } from "./event.ts";
import { Failures } from "./failures.ts";
import type { CarpInterface, Host as HostOfInterfaces } from "./interface/carp-interface.ts";
import type { InterfaceConfiguration } from "./interface/configuration.ts";
import { Interfaces } from "./interfaces.ts";
import type { Instant, Link, Micros, Priority } from "./model.ts";
import { Receiver } from "./receiver.ts";
import type { FailedCheck } from "./service-demotion.ts";
import { type StatisticName, type Statistics, zeroStatistics } from "./statistics.ts";
import { SYSCTL_VARIABLES, type SysctlName, SysctlTree } from "./sysctl.ts";
import type { DemotionView, GroupView, InterfaceView, OtherGroup } from "./view.ts";
import type { VirtualRouter } from "./virtual-routers.ts";

/** The outcome of a command: refused with nothing changed, or done, with the effects that carry it out. */
export type Outcome = { readonly error: string } | (Done & { readonly effects: readonly Effect[] });

export interface HostOptions {
  /** `true`: this host can filter packets for several nodes. Otherwise the reason why not. */
  readonly balancing: true | string;
  /** In place of node:crypto's HMAC-SHA1: a quicker one, or for simulated hosts a quicker function. */
  readonly hmac?: Hmac | undefined;
  /** Whether the engine sends advertisements at their times that were made ahead (the effect `advertise-ahead`). */
  readonly sendsAhead?: boolean;
  /** The greatest advertisement counter that an earlier engine may have sent: ours will be greater. */
  readonly counterFloor?: bigint | undefined;
}

export class Host {
  readonly statistics: Statistics = zeroStatistics();
  readonly #sysctl = new SysctlTree();
  readonly #demotion = new Demotion(this.#sysctl, {
    changed: (group, rose) => {
      this.#demoted.set(group, rose || (this.#demoted.get(group) ?? false));
    },
    tell: (change) => this.#emit({ kind: "demotion", ...change }),
    log: (priority, text, fields) => this.#log(priority, text, fields),
  });
  readonly #failures = new Failures({
    complain: (text, of) => this.#complain(text, of),
    arm: (timer, atUs) => this.#emit({ kind: "arm", timer, atUs }),
    cancel: (timer) => this.#emit({ kind: "cancel", timer }),
  });
  readonly #carpdevs = new Carpdevs();
  readonly #interfaces: Interfaces;
  readonly #commands: Commands;
  readonly #counters: CounterBook;
  readonly #receiver: Receiver;
  readonly #diagnosis: Diagnosis;
  #effects: Effect[] = [];
  /** Interfaces whose settings changed; true: their peers must be told at once. */
  readonly #changed = new Map<CarpInterface, boolean>();
  /** Groups (undefined: all) whose count changed; true: it rose. */
  readonly #demoted = new Map<string | undefined, boolean>();
  #isRouter = false;

  constructor({ balancing, hmac, counterFloor = 0n, sendsAhead = false }: HostOptions) {
    this.#counters = new CounterBook(counterFloor);
    const emit = (effect: Effect) => this.#emit(effect);
    this.#interfaces = new Interfaces({
      carpdevs: this.#carpdevs,
      host: this.#forInterfaces(balancing, hmac, sendsAhead),
      emit,
      forgetting: (gone) => {
        const { name } = gone;
        this.#counters.destroyed(name);
        this.#diagnosis.forget(gone);
        for (const kind of ["device", "filter", "membership"] as const)
          this.#failures.forget({ kind, interface: name });
      },
    });
    const isAllowed = () => this.#sysctl.get("net.inet.carp.allow") === 1;
    this.#diagnosis = new Diagnosis({
      interfaces: this.#interfaces,
      carpdevs: this.#carpdevs,
      emit,
      log: (priority, text, fields) => this.#log(priority, text, fields),
    });
    const diagnosis = this.#diagnosis;
    this.#receiver = new Receiver({
      get allow() {
        return isAllowed();
      },
      on: (carpdev) => this.#interfaces.on(carpdev),
      with: (carpdev, vhid) => this.#interfaces.with(carpdev, vhid),
      count: (statistic, of, times) => this.#count(statistic, of, times),
      emit,
      log: (priority, text, fields) => this.#log(priority, text, fields),
      diagnosis,
    });
    this.#commands = new Commands({
      interfaces: this.#interfaces,
      carpdevs: this.#carpdevs,
      demotion: this.#demotion,
      sysctl: this.#sysctl,
      balancing,
      unfold: () => this.#receiver.unfold(),
      emit,
    });
  }

  /** Handles an event. @returns the effects to perform, in order */
  handle(event: Event, now: Instant): readonly Effect[] {
    switch (event.kind) {
      case "frame":
        this.#receiver.frame(event, now);
        break;
      case "repeated":
        this.#receiver.repeated(event.all, now);
        break;
      case "stray":
        this.#receiver.stray(event, now);
        break;
      case "rate-limited":
        this.#receiver.rateLimited(event);
        break;
      case "timer":
        this.#timer(event.timer, now);
        break;
      case "advertised":
        this.#interfaces.get(event.interface)?.advertised(event, now);
        break;
      case "announcement-failed":
        this.#interfaces.get(event.interface)?.announcementFailed(event.vhid, now);
        break;
      case "ahead-ended":
        this.#interfaces.get(event.interface)?.nodeOf(event.vhid)?.aheadEnded(event, now);
        break;
      case "performed":
        this.#performed(event, now);
        break;
      case "link":
        this.#linkChanged(event.link, now);
        break;
      case "link-gone":
        this.#linkGone(event.name, now);
        break;
      case "unfit-link":
        if (event.why === undefined) this.#carpdevs.unfit.delete(event.name);
        else this.#carpdevs.unfit.set(event.name, event.why);
        break;
      case "repaired":
        this.#repaired(event, now);
        break;
      case "device": {
        const known = this.#interfaces.get(event.interface);
        if (known !== undefined) known.index = event.index;
        break;
      }
      case "digest-explained":
        this.#diagnosis.explained(event);
        break;
      case "forwarding":
        this.#isRouter = event.ipv6;
        break;
    }
    return this.#takeEffects(now);
  }

  /** Carries out a command, or refuses it with nothing changed. */
  command(command: Command, now: Instant): Outcome {
    const done = this.#commands.carryOut(command, now);
    return "error" in done ? done : { ...done, effects: this.#takeEffects(now) };
  }

  /** Destroys every interface. Each bows out, and a `left` effect follows when it has left. */
  shutdown(now: Instant): readonly Effect[] {
    for (const { name } of [...this.#interfaces]) this.#interfaces.destroy(name, now);
    return this.#takeEffects(now);
  }

  /** Takes what was sent ahead into account, which statistics and counters show only then. */
  settle(now: Instant): readonly Effect[] {
    for (const each of this.#interfaces) each.settle(now);
    return this.#takeEffects(now);
  }

  /** The configuration of each carp interface once none is leaving. */
  get configurations(): InterfaceConfiguration[] {
    return [...this.#interfaces].filter((each) => !each.isDestroyed).map((each) => each.pendingConfiguration);
  }

  /** The configuration to save for the next engine; `restore` takes it. */
  get configuration(): HostConfiguration {
    const { written, reasons, units, groups } = this.#demotion.withoutFaults;
    return {
      interfaces: this.configurations,
      sysctl: SYSCTL_VARIABLES.map(({ name }) => ({
        name,
        value: name === "net.inet.carp.demotion" ? written : this.#sysctl.get(name),
      })),
      groups,
      reasons,
      units,
      failedChecks: this.#demotion.failedChecks,
      windows: this.#counters.windows,
      signsLinkLocals: [...this.#interfaces].flatMap((each) =>
        each.signing.signsLinkLocals.map((vhid) => ({ interface: each.name, vhid })),
      ),
      graces: [...this.#interfaces].flatMap(({ signing }) => signing.savedGrace ?? []),
    };
  }

  /**
   * Restores the configuration of an earlier engine.
   *
   * @param leaseUntilUs the ends of the leases that the kernel still holds from that engine
   */
  restore(
    configuration: HostConfiguration,
    leaseUntilUs: (name: string, vhid: number) => Micros,
    now: Instant,
  ): readonly Effect[] {
    this.#counters.restore(configuration.windows ?? [], now);
    for (const { name, value } of configuration.sysctl) this.#sysctl.set(name as SysctlName, value);
    this.#demotion.restoreGroups(configuration.groups);
    this.#demotion.restoreReasons(configuration.reasons);
    this.#demotion.restoreFailedChecks(configuration.failedChecks ?? []);
    this.#demotion.restoreUnits(configuration.units ?? []);
    for (const each of configuration.interfaces) {
      const vhids = (configuration.signsLinkLocals ?? []).filter((of) => of.interface === each.name);
      const added = this.#interfaces.add(each, now);
      added.signing.signLinkLocals(vhids.map(({ vhid }) => vhid));
      const grace = configuration.graces?.find((of) => of.interface === each.name);
      if (grace !== undefined) added.signing.restoreGrace(grace, this.#graceUs, now.us);
    }
    this.#interfaces.listen();
    for (const each of this.#interfaces) each.evaluate(now, (vhid) => leaseUntilUs(each.name, vhid));
    return this.#takeEffects(now);
  }

  /** The time of the greatest counter sent or followed so far, or the floor given. */
  get counterFloor(): bigint {
    return this.#counters.floor;
  }

  /**
   * The time of the greatest counter that was or may be sent without another save; it grows no faster than
   * CLOCK_BOOTTIME.
   */
  greatestCounter(now: Instant): bigint {
    return this.#counters.greatest(now);
  }

  /**
   * Whether the interface is leaving (`down`, `destroy`): it has bowed out, and a `left` effect is still to
   * come.
   */
  isLeaving(name: string): boolean {
    return this.#interfaces.get(name)?.isLeaving ?? false;
  }

  /** Whether a node of the interface, or this one, gives way (`state backup`): a `left` effect is still to come. */
  givesWay(name: string, vhid?: number): boolean {
    const nodes = this.#interfaces.get(name)?.nodes ?? [];
    return nodes.some((node) => node.givesWay && (vhid === undefined || vhid === node.vhid));
  }

  interfaces(): InterfaceView[] {
    return this.#interfaces.inOrder().map((each) => each.view());
  }

  /** The names of the carp interfaces, in numeric order: for a view of one after the other. */
  interfaceNames(): string[] {
    return this.#interfaces.inOrder().map(({ name }) => name);
  }

  /** undefined: there is no such interface. */
  interface(name: string): InterfaceView | undefined {
    return this.#interfaces.get(name)?.view();
  }

  groups(): GroupView[] {
    return [...this.#interfaces.byGroup()].map(([name, interfaces]) => ({
      name,
      carpDemoteCount: this.#demotion.ofGroup(name),
      interfaces,
    }));
  }

  link(name: string): Link | undefined {
    return this.#carpdevs.links.get(name);
  }

  /** What a user who configures this interface should know, each a line. */
  warningsAbout(name: string): readonly string[] {
    return this.#interfaces.get(name)?.warnings ?? [];
  }

  /** Why a device of this host can be no carpdev; undefined for one that can, and for none. */
  unfitLink(name: string): string | undefined {
    return this.#carpdevs.unfit.get(name);
  }

  /** The VRRP routers heard on the carpdevs. */
  virtualRouters(): VirtualRouter[] {
    return this.#receiver.virtualRouters();
  }

  /** The CARP groups of other hosts heard on a carpdev. */
  otherGroups(carpdev: string): OtherGroup[] {
    return this.#diagnosis.otherGroups(carpdev);
  }

  /** The statistics of one interface; undefined when there is no such interface. */
  statisticsOf(name: string): Statistics | undefined {
    return this.#interfaces.get(name)?.statistics;
  }

  /** Why the state cannot be saved; undefined: the last attempt succeeded. */
  get notSaved(): string | undefined {
    return this.#failures.errorsOf({ kind: "saved-state" })[0];
  }

  get demotion(): DemotionView {
    return this.#demotion.view;
  }

  /** The service checks that demote the host or a group. */
  get failedChecks(): readonly FailedCheck[] {
    return this.#demotion.failedChecks;
  }

  sysctl(name: string): { name: string; value: number }[] {
    return this.#sysctl.matching(name);
  }

  #timer(timer: Timer, now: Instant): void {
    if (timer.kind === "retry") {
      for (const part of this.#failures.retry(now)) this.#retry(part);
      return;
    }
    const carpInterface = this.#interfaces.get(timer.interface);
    if (timer.kind === "grace") {
      carpInterface?.signing.timePassed(now.us);
      return;
    }
    const node = carpInterface?.nodeOf(timer.vhid);
    if (node === undefined) return;
    if (timer.kind === "advertise") node.advertiseTimer(now);
    else if (timer.kind === "announce") node.announceTimer(now);
    else if (timer.kind === "leave") carpInterface?.leaveTimer(node, now);
    else node.masterDownTimer(now);
  }

  // Devices.

  /** An interface that lacks a part must not be MASTER, and one that has it again may be. */
  #performed(event: Performed, now: Instant): void {
    if (!this.#failures.performed(event, now)) return;
    const { part } = event;
    if (part.kind === "listening") for (const each of this.#interfaces.on(part.carpdev)) each.evaluate(now);
    else if (part.kind !== "saved-state") this.#interfaces.get(part.interface)?.evaluate(now);
  }

  #linkChanged(link: Link, now: Instant): void {
    this.#carpdevs.links.set(link.name, link);
    this.#interfaces.listen(link.name);
    for (const each of this.#interfaces.on(link.name)) each.evaluate(now);
  }

  #linkGone(name: string, now: Instant): void {
    this.#carpdevs.links.delete(name);
    this.#receiver.carpdevGone(name);
    this.#diagnosis.carpdevGone(name);
    for (const each of this.#interfaces.on(name)) {
      each.evaluate(now);
      // Its macvlan went with the carpdev and has to be made again.
      each.forgetDevice();
    }
    this.#interfaces.listen(name);
    this.#failures.forget({ kind: "listening", carpdev: name });
  }

  #repaired(event: Extract<Event, { kind: "repaired" }>, now: Instant): void {
    const named = this.#interfaces.get(event.interface);
    this.#log(2, `${event.interface}: repaired: ${event.what}`, {
      event: "repaired",
      interface: named?.name,
      reason: event.what,
    });
    this.#emit(event);
    for (const each of named === undefined ? this.#interfaces.on(event.interface) : [named]) {
      each.repairs += 1;
      for (const node of each.nodes) node.announce(now);
    }
  }

  /** Emits the effect that puts this part in place once more. */
  #retry(part: Part): void {
    if (part.kind === "saved-state") {
      this.#emit({ kind: "save" });
      return;
    }
    if ("interface" in part) {
      const carpInterface = this.#interfaces.get(part.interface);
      if (carpInterface === undefined) this.#failures.forget(part);
      else carpInterface.retry(part);
      return;
    }
    const effects = this.#carpdevs.listenAgain(part.carpdev);
    if (effects.length === 0) this.#failures.forget(part);
    for (const effect of effects) this.#emit(effect);
  }

  // The host's side for interfaces.

  #forInterfaces(balancing: true | string, hmac: Hmac | undefined, sendsAhead: boolean): HostOfInterfaces {
    const host = this;
    return {
      get preempt() {
        return host.#sysctl.get("net.inet.carp.preempt") === 1;
      },
      get preemptDelayUs() {
        return host.#sysctl.get("net.inet.carp.preempt_delay") * SECOND;
      },
      balancing,
      hmac,
      get trafficClass() {
        return host.#sysctl.get("net.inet.carp.dscp") << 2;
      },
      get graceUs() {
        return host.#graceUs;
      },
      get isRouter() {
        return host.#isRouter;
      },
      counters: host.#counters,
      sendsAhead,
      replayDefence: {
        get strict() {
          return host.#sysctl.get("net.inet.carp.strict_replay") === 1;
        },
        get signed() {
          return host.#sysctl.get("net.inet.carp.signed_header") === 1;
        },
      },
      link: (name) => host.#carpdevs.links.get(name),
      notInPlace: ({ name, configuration }) => host.#failures.of(name, configuration.carpdev),
      wrongDigests: (name) => host.#diagnosis.view(name),
      configurationChanged: (of) => {
        host.#diagnosis.forget(of);
        host.#interfaces.follow(of);
      },
      configuredAnew: ({ name }) => host.#failures.release({ kind: "device", interface: name }),
      demotion: host.#demotion,
      settingsChanged: (of, atOnce) => host.#noteChange(of, atOnce),
      unfold: () => host.#receiver.unfold(),
      hasLeft: () => host.#interfaces.listen(),
      emit: (effect) => host.#emit(effect),
      log: (priority, text, fields) => host.#log(priority, text, fields),
      complain: (text, of) => host.#complain(text, of),
      count: (statistic, of) => host.#count(statistic, of),
    };
  }

  get #graceUs(): Micros {
    return this.#sysctl.get("net.inet.carp.grace") * SECOND;
  }

  #applyChanges(now: Instant): void {
    if (this.#changed.size === 0) return;
    const changed = [...this.#changed];
    this.#changed.clear();
    this.#receiver.unfold();
    for (const [carpInterface, atOnce] of changed) carpInterface.settingsChanged(atOnce, now);
  }

  /** Notes the interfaces whose demotion changed: in one pass, because a carpdev is lost by all of its interfaces. */
  #noteDemoted(): void {
    if (this.#demoted.size === 0) return;
    for (const each of this.#interfaces)
      for (const group of [undefined, ...each.groups]) {
        const rose = this.#demoted.get(group);
        if (rose !== undefined) this.#noteChange(each, rose);
      }
    this.#demoted.clear();
  }

  #noteChange(of: CarpInterface, atOnce: boolean): void {
    this.#changed.set(of, atOnce || (this.#changed.get(of) ?? false));
  }

  #count(statistic: StatisticName, of?: CarpInterface, times = 1): void {
    this.statistics[statistic] += times;
    if (of !== undefined) of.statistics[statistic] += times;
  }

  #emit(effect: Effect): void {
    this.#effects.push(effect);
  }

  #log(priority: Priority, text: string, fields: LogFields): void {
    const provoked = fields.event === "discarded";
    if (priority <= this.#sysctl.get("net.inet.carp.log"))
      this.#emit({ kind: "log", priority, text, fields, ...(provoked && { provoked }) });
  }

  /** Logs a complaint at any value of net.inet.carp.log, because a person has to do something. */
  #complain(text: string, of: string | undefined): void {
    this.#emit({ kind: "log", priority: 3, text, fields: { event: "failure", interface: of } });
    this.#emit({ kind: "complaint", text });
  }

  /**
   * Ends the handling of an event or command: applies changed settings, reserves counters and returns the
   * effects. Settings are applied once, at the end: when a carpdev with a hundred interfaces goes away, the
   * others advertise once.
   */
  #takeEffects(now: Instant): readonly Effect[] {
    this.#noteDemoted();
    this.#applyChanges(now);
    if (this.#counters.takeSave(now)) this.#emit({ kind: "save" });
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }
}
