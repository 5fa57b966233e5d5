/**
 * Performs the core's effects on the kernel and brings back what came of them. What concerns one interface is done
 * in the order given; nothing of it waits for another interface. Knows no CARP rule.
 */

import type { Effect, Filter, Priority } from "../core/effect.ts";
import type { Event, Family } from "../core/event.ts";
import type { News } from "../core/news.ts";
import type { Clock, DataPath, Links, Wire } from "../kernel/kernel.ts";
import { LimitedLog } from "./limited-log.ts";
import { Sequence } from "./sequence.ts";
import type { Timers } from "./timers.ts";

export interface Kernel {
  readonly clock: Clock;
  readonly wire: Wire;
  readonly links: Links;
  readonly dataPath: DataPath;
  readonly timers: Timers;
  readonly log: (priority: Priority, text: string) => void;
  /** Saves the state, counters included. */
  readonly save: () => void;
  /** Tells whoever follows what happens. */
  readonly tell: (news: News) => void;
}

export class Performer {
  readonly #kernel: Kernel;
  readonly #report: (event: Event) => void;
  readonly #sequences = new Map<string, Sequence>();
  readonly #ignored = new Set<string>();
  /** How often each virtual host's lease has been taken away. */
  readonly #taken = new Map<string, number>();
  /** Multicast MACs that interfaces have asked the carpdevs' network cards for. */
  readonly #received = new Map<string, { readonly carpdev: number; readonly mac: string }>();
  readonly #leaving = new Map<string, (() => void)[]>();
  readonly #provoked: LimitedLog;

  /** @param report takes what came of an effect back to the core */
  constructor(kernel: Kernel, report: (event: Event) => void) {
    this.#kernel = kernel;
    this.#report = report;
    this.#provoked = new LimitedLog(kernel.log);
  }

  perform(effects: readonly Effect[]): void {
    for (const effect of effects) this.#perform(effect);
  }

  /** Resolves when the interface has left, at the next `left` effect. */
  left(name: string): Promise<void> {
    return new Promise((resolve) => {
      this.#leaving.set(name, [...(this.#leaving.get(name) ?? []), resolve]);
    });
  }

  /** Resolves when the kernel has everything as it was asked for so far. */
  async settled(name?: string): Promise<void> {
    if (name !== undefined) return this.#sequences.get(name)?.idle();
    for (const sequence of this.#sequences.values()) await sequence.idle();
  }

  #perform(effect: Effect): void {
    const { clock, links, log, timers, wire } = this.#kernel;
    switch (effect.kind) {
      case "arm":
        timers.arm(effect.timer, effect.atUs);
        break;
      case "cancel":
        timers.cancel(effect.timer);
        break;
      case "log":
        if (effect.provoked) this.#provoked.line(effect.priority, effect.text);
        else log(effect.priority, effect.text);
        break;
      case "advertise": {
        const isHeld = this.#lookAfter(effect);
        this.#sequence(effect.interface).push(() => {
          if (effect.bowsOut || isHeld()) this.#advertise(effect);
        });
        break;
      }
      case "announce": {
        const isHeld = this.#lookAfter(effect);
        this.#sequence(effect.interface).push(() => {
          for (const frame of effect.frames)
            if (isHeld() && clock.now().us <= effect.untilUs) wire.send(effect.carpdev, { family: 4, frame });
        });
        break;
      }
      case "device":
        this.#sequence(effect.interface).push(() => links.apply(effect.interface, effect.device));
        break;
      case "filter":
        this.#sequence(effect.interface).push(() => this.#filter(effect.interface, effect.filter));
        break;
      case "lease":
        this.#lease(effect);
        break;
      case "listen":
        this.#listen(effect.carpdev, effect.index);
        break;
      case "save-counters":
        this.#kernel.save();
        break;
      case "recognise":
        wire.recognise(effect.interface, effect.forms);
        break;
      case "ignore":
        this.#ignored.add(effect.carpdev);
        void this.settled().then(() => this.#ignore(effect.carpdev));
        break;
      case "left": {
        const waiting = this.#leaving.get(effect.interface) ?? [];
        this.#leaving.delete(effect.interface);
        for (const resolve of waiting) resolve();
        break;
      }
      default:
        this.#kernel.tell(effect);
        break;
    }
  }

  /** Given in its place among the effects, when the device is there; taken away at once, and then not given any more. */
  #lease(effect: Extract<Effect, { kind: "lease" }>): void {
    const { interface: name, vhid, untilUs } = effect;
    const { dataPath } = this.#kernel;
    if (untilUs === 0) {
      const key = `${name}/${vhid}`;
      this.#taken.set(key, (this.#taken.get(key) ?? 0) + 1);
      dataPath.lease(name, vhid, 0);
      return;
    }
    const isHeld = this.#lookAfter(effect);
    this.#sequence(name).push(() => {
      if (isHeld()) dataPath.lease(name, vhid, untilUs);
    });
  }

  /** @returns whether the lease of a virtual host has not been taken away since now */
  #lookAfter(of: { readonly interface: string; readonly vhid: number }): () => boolean {
    const key = `${of.interface}/${of.vhid}`;
    const taken = this.#taken.get(key);
    return () => this.#taken.get(key) === taken;
  }

  #filter(name: string, filter: Filter | null): void {
    const { dataPath, log } = this.#kernel;
    this.#receiveShared(name, filter);
    if (filter === null) dataPath.remove(name);
    else if (dataPath.obstacle === undefined) {
      const failure = dataPath.configure({ name, ...filter });
      if (failure !== undefined) log(3, `${name}: its packets are not held against its leases: ${failure}`);
    }
  }

  /** In mode `ip` the shared MAC is multicast: a network card receives it only when asked to. */
  #receiveShared(name: string, filter: Filter | null): void {
    const { wire } = this.#kernel;
    const former = this.#received.get(name);
    const wanted = filter?.balancing === "ip" ? { carpdev: filter.carpdev, mac: filter.mac } : undefined;
    if (former?.carpdev === wanted?.carpdev && former?.mac === wanted?.mac) return;
    if (former !== undefined) wire.leave(former.carpdev, former.mac);
    this.#received.delete(name);
    if (wanted === undefined) return;
    wire.join(wanted.carpdev, wanted.mac);
    this.#received.set(name, wanted);
  }

  #advertise(effect: Extract<Effect, { kind: "advertise" }>): void {
    const { clock, wire } = this.#kernel;
    const left: Family[] = [];
    let leftUs = clock.now().us;
    let error: string | undefined;
    for (const transmission of effect.transmissions) {
      // Read before: peers may hear it long before this process runs on, and count from then.
      const beforeUs = clock.now().us;
      // The engine may have been stopped meanwhile, or have waited long for the device.
      if (beforeUs > effect.untilUs) break;
      const failure = wire.send(effect.carpdev, transmission);
      if (failure !== undefined) error ??= failure;
      else if (left.push(transmission.family) === 1) leftUs = beforeUs;
    }
    if (left.length === 0 && error === undefined) return;
    const { interface: name, vhid } = effect;
    this.#report({ kind: "advertised", interface: name, vhid, leftUs, left, error });
  }

  #listen(carpdev: string, index: number): void {
    const { links, log, wire } = this.#kernel;
    if (this.#ignored.has(carpdev)) this.#ignore(carpdev);
    try {
      links.prepareCarpdev(carpdev);
      wire.open(carpdev, index);
    } catch (error) {
      log(3, `${carpdev}: cannot listen: ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  #ignore(carpdev: string): void {
    if (!this.#ignored.delete(carpdev)) return;
    this.#kernel.wire.close(carpdev);
    this.#kernel.links.restoreCarpdev(carpdev);
  }

  #sequence(name: string): Sequence {
    const known = this.#sequences.get(name);
    if (known !== undefined) return known;
    const failed = (error: unknown) =>
      this.#kernel.log(3, `${name}: ${error instanceof Error ? error.message : String(error)}`);
    const sequence = new Sequence(failed);
    this.#sequences.set(name, sequence);
    return sequence;
  }
}
