/**
 * A CARP host: all carp interfaces, the groups, the sysctl variables and the counters, and the one way in. Events
 * and commands go in with the time, effects come out; there is no clock, no I/O and no randomness in here.
 */

import { obstacleTo } from "./appearance.ts";
import { CarpInterface, type Host as HostOfInterfaces } from "./carp-interface.ts";
import { Carpdevs } from "./carpdevs.ts";
import type { Command, HostConfiguration, InterfaceConfiguration, SysctlWrite } from "./configuration.ts";
import { CounterReserve } from "./counter-reserve.ts";
import { type CounterName, type Counters, zeroCounters } from "./counters.ts";
import { Demotion } from "./demotion.ts";
import type { Effect, Priority } from "./effect.ts";
import type { Event, Instant, Link, Micros } from "./event.ts";
import { checkInput, type Discarded } from "./input.ts";
import { applyChange, newInterface } from "./reconfigure.ts";
import { type SysctlName, SysctlTree } from "./sysctl.ts";
import type { DemotionView, GroupView, InterfaceView } from "./view.ts";

export type { HostConfiguration } from "./configuration.ts";

/** What becomes of a command: refused with nothing changed, or the effects that carry it out. */
export type Outcome =
  | { readonly error: string }
  | {
      readonly effects: readonly Effect[];
      /** The interface that was created or changed. */
      readonly name?: string | undefined;
      /** Whether a `replace` changes anything. */
      readonly changed?: boolean | undefined;
      /** What each write to a variable changed, in their order. */
      readonly changes?: readonly ValueChange[] | undefined;
    };

export interface ValueChange {
  readonly from: number;
  readonly to: number;
}

export interface HostOptions {
  /** Whether this host can filter packets for several nodes; else why not, in words. */
  readonly balancing: true | string;
  /** Advertisement counters will be greater than this: the greatest an earlier engine may have sent. */
  readonly counterFloor?: bigint | undefined;
}

export class Host {
  readonly #options: HostOptions;
  readonly #sysctl = new SysctlTree();
  readonly #demotion = new Demotion(this.#sysctl, {
    changed: (group, rose) => {
      for (const each of this.#interfaces.values())
        if (group === undefined || each.groups.includes(group)) this.#noteChange(each, rose);
    },
    tell: (change) => void this.#effects.push({ kind: "demotion", ...change }),
    log: (priority, text) => this.#log(priority, text),
  });
  readonly #interfaces = new Map<string, CarpInterface>();
  readonly #carpdevs = new Carpdevs();
  readonly counters: Counters = zeroCounters();
  #effects: Effect[] = [];
  /** Interfaces whose settings changed, and whether their peers must hear of it at once. */
  readonly #changed = new Map<CarpInterface, boolean>();
  #counterFloor: bigint;
  readonly #reserve = new CounterReserve();
  /** The greatest counter since it was last looked at. */
  #counted = 0n;
  #isRouter = false;

  constructor(options: HostOptions) {
    this.#options = options;
    this.#counterFloor = options.counterFloor ?? 0n;
  }

  handle(event: Event, now: Instant): readonly Effect[] {
    switch (event.kind) {
      case "frame":
        this.#receive(event.carpdev, event.bytes, event.receivedUs, now);
        break;
      case "stray":
        this.#count(event.family === 4 ? "receivedIpv4" : "receivedIpv6");
        if (this.#sysctl.get("net.inet.carp.allow") === 1) {
          const text = `carp packet received on ${event.device}, which carries no carp interface`;
          this.#discard({ counter: "badInterface", priority: 6, text }, now);
        }
        break;
      case "unexamined":
        this.#leftOut(event);
        break;
      case "timer":
        this.#timer(event.timer, now);
        break;
      case "advertised":
        this.#interfaces.get(event.interface)?.advertised(event, now);
        break;
      case "link":
        this.#linkChanged(event.link, now);
        break;
      case "link-gone":
        this.#linkGone(event.name, now);
        break;
      case "repaired": {
        this.#log(2, `${event.interface}: repaired: ${event.what}`);
        this.#effects.push(event);
        for (const each of this.#interfaces.values()) {
          if (each.name !== event.interface && each.configuration.carpdev !== event.interface) continue;
          each.repairs += 1;
          for (const node of each.nodes) node.announce(now);
        }
        break;
      }
      case "device": {
        const known = this.#interfaces.get(event.interface);
        if (known !== undefined) known.index = event.index;
        break;
      }
      case "forwarding":
        this.#isRouter = event.ipv6;
        break;
    }
    return this.#settled(now);
  }

  command(command: Command, now: Instant): Outcome {
    switch (command.kind) {
      case "create":
        return this.#create(command.name ?? this.#nextName(), now);
      case "destroy":
        return this.#destroy(command.name, now);
      case "change":
      case "replace":
        return this.#change(command, now);
      case "demote-group":
        return this.#demoteGroup(command.group, command.by, now);
      case "set-sysctl":
        return this.#setSysctl(command.writes, now);
      case "demote":
      case "promote":
      case "maintenance":
      case "services": {
        const error = this.#demotion.carryOut(command);
        return error === undefined ? { effects: this.#settled(now) } : { error };
      }
    }
  }

  /** Every interface bows out and goes; each says `left` when it has. */
  shutdown(now: Instant): readonly Effect[] {
    for (const name of [...this.#interfaces.keys()]) this.#destroy(name, now, true);
    return this.#settled(now);
  }

  /** What was configured, to start another engine with. Fit for `restore` as it is. */
  get configuration(): HostConfiguration {
    const interfaces = [...this.#interfaces.values()];
    const { written, reasons, groups } = this.#demotion.asSet;
    return {
      interfaces: interfaces.filter((each) => !each.isDestroyed).map((each) => each.pendingConfiguration),
      sysctl: this.#sysctl
        .matching("")
        .map(({ name, value }) => ({ name, value: name === "net.inet.carp.demotion" ? written : value })),
      groups,
      reasons,
    };
  }

  /** @param leaseUntilUs the leases the kernel still has, from the engine whose configuration this is */
  restore(
    configuration: HostConfiguration,
    leaseUntilUs: (name: string, vhid: number) => Micros,
    now: Instant,
  ): readonly Effect[] {
    for (const { name, value } of configuration.sysctl) this.#sysctl.set(name as SysctlName, value);
    this.#demotion.restoreGroups(configuration.groups ?? []);
    this.#demotion.restoreReasons(configuration.reasons ?? []);
    for (const each of configuration.interfaces) this.#add(each, now);
    this.#listen();
    for (const each of this.#interfaces.values()) each.evaluate(now, (vhid) => leaseUntilUs(each.name, vhid));
    return this.#settled(now);
  }

  /** No counter sent so far or followed is greater, nor the floor given. */
  get counterFloor(): bigint {
    let floor = this.#counterFloor;
    for (const each of this.#interfaces.values())
      for (const node of each.nodes) if (node.lastCounter > floor) floor = node.lastCounter;
    return floor;
  }

  /** No counter that was sent or may be sent now is greater; those to come grow no faster than the clock from here. */
  greatestCounter(now: Instant): bigint {
    const [sent, reserved] = [this.counterFloor, this.#reserve.at(now)];
    return reserved > sent ? reserved : sent;
  }

  /** Whether a `down` or `destroy` of it is still under way; a `left` effect says when it is over. */
  isLeaving(name: string): boolean {
    return this.#interfaces.get(name)?.isLeaving ?? false;
  }

  interfaces(): InterfaceView[] {
    return [...this.#interfaces.values()]
      .map((each) => each.view())
      .sort((a, b) => numberOf(a.name) - numberOf(b.name));
  }

  groups(): GroupView[] {
    const members = new Map<string, string[]>([["carp", []]]);
    for (const { name, groups } of this.interfaces())
      for (const group of groups) members.set(group, [...(members.get(group) ?? []), name]);
    return [...members].map(([name, interfaces]) => ({
      name,
      carpDemoteCount: this.#demotion.ofGroup(name),
      interfaces,
    }));
  }

  link(name: string): Link | undefined {
    return this.#carpdevs.links.get(name);
  }

  /** Of the host, or of one interface; undefined when there is no such interface. */
  counts(name?: string): Counters | undefined {
    return name === undefined ? this.counters : this.#interfaces.get(name)?.counters;
  }

  get demotion(): DemotionView {
    return this.#demotion.view;
  }

  sysctl(name: string): { name: string; value: number }[] {
    return this.#sysctl.matching(name);
  }

  // Packets.

  #receive(carpdev: string, bytes: Uint8Array, receivedUs: Micros, now: Instant): void {
    const allow = this.#sysctl.get("net.inet.carp.allow") === 1;
    const strictReplay = this.#sysctl.get("net.inet.carp.strict_replay") === 1;
    const here = this.#on(carpdev);
    const { family, verdict } = checkInput(bytes, { carpdev, receivedUs, here, allow, strictReplay });
    const of = verdict?.carpInterface;
    if (family !== undefined) this.#count(family === 4 ? "receivedIpv4" : "receivedIpv6", of);
    if (verdict === undefined) return;
    if ("counter" in verdict) {
      this.#discard(verdict, now);
      verdict.stale?.node.heardStale(verdict.stale.heard, now);
      return;
    }
    verdict.carpInterface.accept(verdict.node, verdict.heard, now);
  }

  #discard({ counter, priority, text, carpInterface: of }: Discarded, now: Instant): void {
    this.#count(counter, of);
    this.#log(priority, text, true);
    of?.discarded(counter, text, now);
    this.#effects.push({ kind: "discarded", counter, interface: of?.name, text });
  }

  /** Had they been looked at, they would each have been one of the above: none was signed with a pass known here. */
  #leftOut({ device, family, count }: Extract<Event, { kind: "unexamined" }>): void {
    this.counters[family === 4 ? "receivedIpv4" : "receivedIpv6"] += count;
    if (this.#sysctl.get("net.inet.carp.allow") === 0) return;
    this.counters.unexamined += count;
    this.#log(4, `${device}: carp packets of strangers not looked at, too many at once: ${count}`);
  }

  #timer(timer: string, now: Instant): void {
    const [name = "", vhid = "", kind] = timer.split("/");
    const carpInterface = this.#interfaces.get(name);
    if (vhid === "leave") {
      carpInterface?.finishLeaving();
      return;
    }
    const node = carpInterface?.nodes.find((each) => each.vhid === Number(vhid));
    if (kind === "advertise") node?.advertiseTimer(now);
    else node?.masterDownTimer(now);
  }

  // Devices.

  #linkChanged(link: Link, now: Instant): void {
    this.#carpdevs.links.set(link.name, link);
    this.#listen();
    for (const each of this.#on(link.name)) each.evaluate(now);
  }

  #linkGone(name: string, now: Instant): void {
    this.#carpdevs.links.delete(name);
    for (const each of this.#on(name)) {
      each.evaluate(now);
      // What was built on the device went with it, and has to be built again.
      each.forgetDevice();
    }
    this.#listen();
  }

  #on(carpdev: string): CarpInterface[] {
    return [...this.#interfaces.values()].filter((each) => each.configuration.carpdev === carpdev);
  }

  #listen(): void {
    this.#effects.push(...this.#carpdevs.listen(this.#interfaces.values()));
  }

  // Commands.

  #create(name: string, now: Instant): Outcome {
    const known = this.#interfaces.get(name);
    if (known !== undefined && !known.isDestroyed) return { error: `${name}: already exists` };
    known?.finishLeaving();
    this.#added(name, now);
    return { effects: this.#settled(now), name };
  }

  #add(configuration: InterfaceConfiguration, now: Instant): CarpInterface {
    const added = new CarpInterface(configuration, this.#forInterfaces, now);
    this.#interfaces.set(configuration.name, added);
    return added;
  }

  #added(name: string, now: Instant): CarpInterface {
    this.#effects.push({ kind: "created", interface: name });
    return this.#add(newInterface(name), now);
  }

  #nextName(): string {
    for (let i = 0; ; i++) if (!this.#interfaces.has(`carp${i}`)) return `carp${i}`;
  }

  #destroy(name: string, now: Instant, all = false): Outcome {
    const carpInterface = this.#interfaces.get(name);
    if (carpInterface === undefined) return { error: `${name}: no such interface` };
    const forget = () => {
      this.#counterFloor = this.counterFloor;
      this.#interfaces.delete(name);
      this.#effects.push({ kind: "destroyed", interface: name });
    };
    carpInterface.destroy(forget, now);
    return { effects: all ? [] : this.#settled(now), name };
  }

  #change(command: Extract<Command, { kind: "change" | "replace" }>, now: Instant): Outcome {
    const { name, change } = command;
    const present = this.#interfaces.get(name);
    const known = present?.isDestroyed ? undefined : present;
    const before = known?.pendingConfiguration ?? newInterface(name);
    const replaces = command.kind === "replace";
    const others = [...this.#interfaces.values()]
      .filter((each) => each !== present)
      .flatMap((each) =>
        each.isLeaving ? [each.configuration, each.pendingConfiguration] : each.configuration,
      );
    const { balancing } = this.#options;
    const surroundings = { balancing, links: this.#carpdevs.links, others };
    const after = applyChange(before, change, surroundings, replaces ? newInterface(name) : before);
    if ("error" in after) return after;
    const link = after.carpdev === undefined ? undefined : this.#carpdevs.links.get(after.carpdev);
    const obstacle = obstacleTo(after, link, balancing);
    if (change.state !== undefined && obstacle !== undefined)
      return { error: `state ${change.state}: ${name} does not run: ${obstacle}` };
    const changed = known === undefined || JSON.stringify(before) !== JSON.stringify(after);
    if (replaces && (command.dryRun || !(changed || change.state !== undefined)))
      return { effects: [], name, changed };
    present?.finishLeaving();
    const carpInterface = known ?? this.#added(name, now);
    carpInterface.reconfigure(after, now);
    this.#listen();
    if (change.state !== undefined) carpInterface.force(change.state, now);
    return { effects: this.#settled(now), name, changed };
  }

  #demoteGroup(group: string, by: number, now: Instant): Outcome {
    if (!this.groups().some((each) => each.name === group)) return { error: `group ${group}: no such group` };
    this.#demotion.adjustGroup(group, by, "carpctl", "carpdemote");
    return { effects: this.#settled(now) };
  }

  #setSysctl(writes: readonly SysctlWrite[], now: Instant): Outcome {
    const error = this.#sysctl.refusalOf(writes);
    if (error !== undefined) return { error };
    const changes = writes.map((write) => this.#write(write));
    return { effects: this.#settled(now), changes };
  }

  #write({ name, value: written }: SysctlWrite): ValueChange {
    const write = this.#sysctl.afterWrite(name, written);
    if ("error" in write) throw new Error(write.error);
    const from = this.#sysctl.get(write.name);
    if (write.name === "net.inet.carp.demotion") this.#demotion.adjustGlobal(written, "sysctl");
    else this.#sysctl.set(write.name, write.value);
    return { from, to: write.value };
  }

  #noteChange(of: CarpInterface, atOnce: boolean): void {
    this.#changed.set(of, atOnce || (this.#changed.get(of) ?? false));
  }

  // What the interfaces ask of their host.

  readonly #forInterfaces: HostOfInterfaces = ((host: Host) => ({
    get preempt() {
      return host.#sysctl.get("net.inet.carp.preempt") === 1;
    },
    get balancing() {
      return host.#options.balancing;
    },
    get trafficClass() {
      return host.#sysctl.get("net.inet.carp.dscp") << 2;
    },
    get isRouter() {
      return host.#isRouter;
    },
    get counterFloor() {
      // Whoever asks replaces its nodes: what those have sent counts on.
      host.#counterFloor = host.counterFloor;
      return host.#counterFloor;
    },
    link: (name: string) => host.#carpdevs.links.get(name),
    demotion: host.#demotion,
    settingsChanged: (of: CarpInterface, atOnce: boolean) => host.#noteChange(of, atOnce),
    hasLeft: () => host.#listen(),
    emit: (effect: Effect) => void host.#effects.push(effect),
    log: (priority: Priority, text: string) => host.#log(priority, text),
    count: (counter: CounterName, of: CarpInterface) => host.#count(counter, of),
    counted: (counter: bigint) => {
      if (counter > host.#counted) host.#counted = counter;
    },
  }))(this);

  #count(counter: CounterName, of?: CarpInterface): void {
    this.counters[counter]++;
    if (of !== undefined) of.counters[counter]++;
  }

  #log(priority: Priority, text: string, provoked = false): void {
    if (priority <= this.#sysctl.get("net.inet.carp.log"))
      this.#effects.push({ kind: "log", priority, text, ...(provoked && { provoked }) });
  }

  /**
   * What has changed together is told together: when a device with a hundred interfaces goes away, the others
   * advertise once.
   */
  #settled(now: Instant): readonly Effect[] {
    const changed = [...this.#changed];
    this.#changed.clear();
    for (const [carpInterface, atOnce] of changed) carpInterface.settingsChanged(atOnce, now);
    if (this.#counted > 0n && this.#reserve.take(this.#counted, now))
      this.#effects.push({ kind: "save-counters" });
    this.#counted = 0n;
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }
}

function numberOf(name: string): number {
  return Number(name.slice("carp".length));
}
