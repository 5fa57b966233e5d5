/**
 * Performer: performs the core's effects on the kernel and reports their outcomes as events. The effects of
 * one interface are performed in the order given, but advertisements that do not wait; none waits for another interface,
 * unless the core joins them. Knows no CARP rule.
 */

import type { DigestExplanation, DigestQuestion } from "../core/digests/question.ts";
import type { Effect, LogFields, News } from "../core/effect.ts";
import type { Event, Part } from "../core/event.ts";
import type { Family, Filter, Priority } from "../core/model.ts";
import { RareMap } from "../core/rare.ts";
import type { Clock, DataPath, Links, Wire } from "../kernel/kernel.ts";
import { PROVOKED } from "./limited-log.ts";
import { Sequence } from "./sequence.ts";
import type { Timers } from "./timers.ts";
import type { Waiting } from "./waiting.ts";

/** The kernel adapters that effects are performed on, and the engine's log, save and subscribers. */
export interface Adapters {
  readonly clock: Clock;
  readonly wire: Wire;
  readonly links: Links;
  readonly dataPath: DataPath;
  /** Limits how many lines of a kind it writes; without a kind the text says of which it is. */
  readonly log: (priority: Priority, text: string, kind?: string, fields?: LogFields) => void;
  /** Saves the state, counters included, and reports `performed`. */
  readonly save: () => void;
  /** Passes news on to subscribers. */
  readonly tell: (news: News) => void;
  /** Finds out why a digest is wrong, beside all other work; calls back when it is done. */
  readonly explain: (question: DigestQuestion, done: (explanation: DigestExplanation) => void) => void;
}

export interface PerformerOptions {
  readonly adapters: Adapters;
  readonly timers: Pick<Timers, "arm" | "cancel">;
  readonly waiting: Pick<Waiting, "add" | "end">;
  /** Reports an outcome to the core: handled after the effects that are being performed. */
  readonly report: (event: Event) => void;
  /** Runs the steps after a slow one: after the effects that are being performed. */
  readonly enter: (work: () => void) => void;
}

/** What is performed for one carp interface. */
interface Work {
  readonly sequence: Sequence;
  /** Number of times the lease of each virtual host has been taken away, by vhid. */
  readonly revocations: RareMap<number, number>;
  /** Number of advertisements of each virtual host, by vhid: one that waits is not sent behind a later one. */
  readonly advertisements: RareMap<number, number>;
}

/** What left, for most advertisements: the same for all of them. */
const NO_FAMILY: readonly Family[] = [];
const ALONE: Readonly<Record<Family, readonly Family[]>> = { 4: [4], 6: [6] };

export class Performer {
  readonly #options: PerformerOptions;
  readonly #works = new Map<string, Work>();
  /** Carpdevs to be closed when the packets to be sent there have left. */
  readonly #ignored = new Set<string>();
  /** Multicast MACs joined for balancing mode `ip`, by interface. */
  readonly #joined = new Map<string, { readonly carpdev: number; readonly mac: string }>();
  readonly #leaving = new Map<string, (() => void)[]>();

  constructor(options: PerformerOptions) {
    this.#options = options;
  }

  /** Performs the effects in order. */
  perform(effects: readonly Effect[]): void {
    for (const effect of effects) this.#perform(effect);
  }

  /** Calls back at the interface's next `left` effect. */
  whenLeft(name: string, callback: () => void): void {
    this.#leaving.set(name, [...(this.#leaving.get(name) ?? []), callback]);
  }

  /** Calls back when the effects so far of one interface, or of all, are done. */
  whenSettled(callback: () => void, name?: string): void {
    const named = name === undefined ? this.#works.values() : [this.#work(name)].values();
    const busy = [...named.filter(({ sequence }) => !sequence.isIdle)];
    let left = busy.length;
    if (left === 0) callback();
    for (const { sequence } of busy) sequence.whenIdle(() => --left === 0 && callback());
  }

  /** Whether all effects so far are done. */
  get isSettled(): boolean {
    for (const { sequence } of this.#works.values()) if (!sequence.isIdle) return false;
    return true;
  }

  /** What waits has a method of its own: a function that is made here would cost every effect memory. */
  #perform(effect: Effect): void {
    const { adapters, timers, waiting } = this.#options;
    const { log, save, tell, wire } = adapters;
    switch (effect.kind) {
      case "arm":
        timers.arm(effect.timer, effect.atUs);
        break;
      case "cancel":
        timers.cancel(effect.timer);
        break;
      case "log":
        log(effect.priority, effect.text, effect.provoked ? PROVOKED : undefined, effect.fields);
        break;
      case "advertise":
        this.#queueAdvertisement(effect);
        break;
      case "advertise-ahead":
        this.#advertiseAhead(effect);
        break;
      case "recall":
        wire.recall(effect.interface, effect.vhid);
        break;
      case "announce":
        this.#queueAnnouncement(effect);
        break;
      case "device":
        this.#queueDevice(effect);
        break;
      case "join":
        this.#join(effect.interfaces);
        break;
      case "filter":
        this.#queueFilter(effect);
        break;
      case "lease":
        this.#lease(effect);
        break;
      case "listen":
        this.#listen(effect.carpdev, effect.index);
        break;
      case "save":
        save();
        break;
      case "expect-digests":
        wire.expectDigests(effect.interface, effect.forms);
        break;
      case "fold":
        waiting.add(effect);
        wire.fold(effect.carpdev, effect.frame);
        break;
      case "unfold":
        waiting.end();
        wire.unfold();
        break;
      case "explain-digest":
        this.#explain(effect);
        break;
      case "ignore":
        this.#ignoreWhenSettled(effect);
        break;
      case "left": {
        const waiting = this.#leaving.get(effect.interface) ?? [];
        this.#leaving.delete(effect.interface);
        for (const callback of waiting) callback();
        break;
      }
      default:
        tell(effect);
        break;
    }
  }

  #queueAdvertisement(effect: Extract<Effect, { kind: "advertise" }>): void {
    const { sequence, advertisements } = this.#work(effect.interface);
    const number = (advertisements.get(effect.vhid) ?? 0) + 1;
    advertisements.set(effect.vhid, number);
    if (effect.waits)
      this.#advertiseInTurn(effect, sequence, () => advertisements.get(effect.vhid) === number);
    else this.#advertise(effect);
  }

  #advertiseAhead(effect: Extract<Effect, { kind: "advertise-ahead" }>): void {
    const { dataPath, wire } = this.#options.adapters;
    const { interface: name, vhid, advertisements } = effect;
    const [first] = advertisements;
    if (first === undefined) return;
    // A lease is granted in its place among the effects of its interface, which these would not wait for.
    const { isIdle } = this.#sequence(name);
    const leases = dataPath.obstacle === undefined ? dataPath.leaseMemory(name, vhid) : undefined;
    const canLease = dataPath.obstacle !== undefined || leases !== undefined;
    if (isIdle && canLease && wire.sendAhead(effect, advertisements, leases)) return;
    this.#options.report({ kind: "ahead-ended", interface: name, vhid, atUs: first.atUs, inPart: false });
  }

  #advertiseInTurn(
    effect: Extract<Effect, { kind: "advertise" }>,
    sequence: Sequence,
    isLatest: () => boolean,
  ): void {
    const isRevoked = this.#watchLease(effect);
    sequence.push(() => {
      if (!isRevoked() && isLatest()) this.#advertise(effect);
    });
  }

  #queueAnnouncement(effect: Extract<Effect, { kind: "announce" }>): void {
    const isRevoked = this.#watchLease(effect);
    this.#sequence(effect.interface).push(() => {
      if (!isRevoked()) this.#announce(effect);
    });
  }

  #queueDevice({ interface: name, device }: Extract<Effect, { kind: "device" }>): void {
    this.#sequence(name).pushSlow((done) => this.#options.adapters.links.apply(name, device, done));
  }

  #queueFilter({ interface: name, filter }: Extract<Effect, { kind: "filter" }>): void {
    this.#sequence(name).push(() => this.#filter(name, filter));
  }

  #explain({ id, question }: Extract<Effect, { kind: "explain-digest" }>): void {
    this.#options.adapters.explain(question, (explanation) =>
      this.#options.report({ kind: "digest-explained", id, explanation }),
    );
  }

  #ignoreWhenSettled({ carpdev }: Extract<Effect, { kind: "ignore" }>): void {
    this.#ignored.add(carpdev);
    this.whenSettled(() => this.#ignore(carpdev));
  }

  /** Each of these sequences waits here until all of them have come here. */
  #join(names: readonly string[]): void {
    const waiting: (() => void)[] = [];
    const arrive = (proceed: () => void) => {
      waiting.push(proceed);
      if (waiting.length === names.length) for (const each of waiting) each();
    };
    for (const name of names) this.#sequence(name).pushSlow(arrive);
  }

  /**
   * Grants a lease in its place among the effects, after the device is there. Takes a lease away at once, and
   * with it the grants that still wait.
   */
  #lease(effect: Extract<Effect, { kind: "lease" }>): void {
    const { interface: name, vhid, untilUs } = effect;
    const { sequence, revocations } = this.#work(name);
    if (untilUs === 0) revocations.set(vhid, (revocations.get(vhid) ?? 0) + 1);
    if (untilUs === 0 || sequence.isIdle) this.#options.adapters.dataPath.lease(name, vhid, untilUs);
    else this.#leaseInTurn(effect, sequence);
  }

  #leaseInTurn(effect: Extract<Effect, { kind: "lease" }>, sequence: Sequence): void {
    const isRevoked = this.#watchLease(effect);
    sequence.push(() => {
      if (!isRevoked()) this.#options.adapters.dataPath.lease(effect.interface, effect.vhid, effect.untilUs);
    });
  }

  /** @returns a function that tells whether the virtual host's lease has been taken away since this call */
  #watchLease(of: { readonly interface: string; readonly vhid: number }): () => boolean {
    const { revocations } = this.#work(of.interface);
    const before = revocations.get(of.vhid);
    return () => revocations.get(of.vhid) !== before;
  }

  #filter(name: string, filter: Filter | null): void {
    const { dataPath } = this.#options.adapters;
    this.#joinShared(name, filter);
    let error: string | undefined;
    if (filter === null) dataPath.remove(name);
    else if (dataPath.obstacle === undefined) error = dataPath.configure({ name, ...filter });
    this.#report({ kind: "filter", interface: name }, error);
  }

  /**
   * Joins the shared MAC of balancing mode `ip`, which is multicast: a network card receives it only when
   * joined.
   */
  #joinShared(name: string, filter: Filter | null): void {
    const { wire } = this.#options.adapters;
    const former = this.#joined.get(name);
    const wanted = filter?.balancing === "ip" ? { carpdev: filter.carpdev, mac: filter.mac } : undefined;
    if (former?.carpdev === wanted?.carpdev && former?.mac === wanted?.mac) return;
    if (former !== undefined) wire.leave(former.carpdev, former.mac);
    this.#joined.delete(name);
    const error = wanted && wire.join(wanted.carpdev, wanted.mac);
    if (wanted !== undefined && error === undefined) this.#joined.set(name, wanted);
    this.#report({ kind: "membership", interface: name }, error);
  }

  #advertise(effect: Extract<Effect, { kind: "advertise" }>): void {
    const { clock, wire } = this.#options.adapters;
    let left: readonly Family[] = NO_FAMILY;
    let leftUs = clock.now().us;
    let error: string | undefined;
    for (const transmission of effect.transmissions) {
      // Read before the send: peers may receive the packet, and count from then, long before this process
      // runs on.
      const beforeUs = clock.now().us;
      // The process may have been stopped meanwhile, or have waited long for the device.
      if (beforeUs > effect.untilUs) break;
      const failure = wire.send(effect.carpdev, transmission);
      if (failure !== undefined) error ??= failure;
      else {
        if (left.length === 0) leftUs = beforeUs;
        left = left.length === 0 ? ALONE[transmission.family] : [...left, transmission.family];
      }
    }
    if (left.length === 0 && error === undefined && effect.transmissions.length > 0) return;
    const { interface: name, vhid } = effect;
    this.#options.report({ kind: "advertised", interface: name, vhid, leftUs, left, error });
  }

  #announce({
    interface: name,
    vhid,
    carpdev,
    frames,
    untilUs,
  }: Extract<Effect, { kind: "announce" }>): void {
    const { clock, wire } = this.#options.adapters;
    let error: string | undefined;
    for (const frame of frames) {
      if (clock.now().us > untilUs) break;
      error ??= wire.send(carpdev, { family: 4, frame });
    }
    if (error !== undefined)
      this.#options.report({ kind: "announcement-failed", interface: name, vhid, error });
  }

  #listen(carpdev: string, index: number): void {
    const { links, wire } = this.#options.adapters;
    if (this.#ignored.has(carpdev)) this.#ignore(carpdev);
    links.prepareCarpdev(carpdev);
    this.#report({ kind: "listening", carpdev }, wire.open(carpdev, index));
  }

  #ignore(carpdev: string): void {
    if (!this.#ignored.delete(carpdev)) return;
    const { links, wire } = this.#options.adapters;
    wire.close(carpdev);
    links.restoreCarpdev(carpdev);
  }

  #report(part: Part, error: string | undefined): void {
    this.#options.report({ kind: "performed", part, errors: error === undefined ? [] : [error] });
  }

  #sequence(name: string): Sequence {
    return this.#work(name).sequence;
  }

  #work(name: string): Work {
    const known = this.#works.get(name);
    if (known !== undefined) return known;
    const work: Work = {
      sequence: new Sequence(this.#options.enter),
      revocations: new RareMap(),
      advertisements: new RareMap(),
    };
    this.#works.set(name, work);
    return work;
  }
}
