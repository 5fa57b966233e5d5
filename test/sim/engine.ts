/**
 * The engine as the core knows it: performs effects in their order, one interface at a time, fires timers late,
 * reads its socket before a master is declared down, and can be stalled or killed between any two steps. The core
 * runs in it unchanged; no CARP rule is in here.
 */

import type { Command } from "../../src/core/configuration.ts";
import type { Effect } from "../../src/core/effect.ts";
import type { Event, Family, Instant, Micros, TimerId } from "../../src/core/event.ts";
import { Host, type HostConfiguration, type Outcome } from "../../src/core/host.ts";
import { areAhead, counterFloor, countersNow, type SavedCounters } from "../../src/engine/counter-floor.ts";
import type { Frame } from "./segment.ts";
import type { Station } from "./station.ts";
import type { World } from "./world.ts";

/** Timers have whole milliseconds, and the event loop other things to do. */
const TIMER_LATE_US: Micros = 1_500;
const READ_LATE_US: Micros = 200;
const SAVE_EVERY_US: Micros = 1_200_000_000;

const NOTHING: HostConfiguration = { interfaces: [], sysctl: [] };

export interface Saved {
  readonly configuration: HostConfiguration;
  readonly counters: SavedCounters;
}

export interface Received {
  readonly carpdev: string;
  readonly frame: Frame;
  readonly receivedUs: Micros;
}

/** Why the core was asked. */
export type Cause =
  | ({ readonly kind: "frame" } & Received)
  | { readonly kind: "timer"; readonly timer: TimerId }
  | { readonly kind: "command"; readonly command: Command }
  | { readonly kind: "event"; readonly event: Event }
  | { readonly kind: "restore" }
  | { readonly kind: "shutdown" };

interface Timer {
  atUs: Micros;
  /** When it is looked at next, on the world's clock. */
  looksAtUs: Micros;
}

/** Effects on one interface, each done when those before it are. A step says how long it takes. */
interface Sequence {
  busy: boolean;
  readonly waiting: (() => Micros)[];
}

export class Engine {
  readonly host: Host;
  readonly #station: Station;
  readonly #world: World;
  readonly #timers = new Map<TimerId, Timer>();
  readonly #sequences = new Map<string, Sequence>();
  readonly #taken = new Map<string, number>();
  readonly #listening = new Set<string>();
  readonly #ignored = new Set<string>();
  #socket: Received[] = [];
  #willRead = false;
  #postponed: (() => void)[] = [];
  #isStalled = false;
  #isGone = false;
  #whenQuiet: (() => void) | undefined;

  constructor(station: Station, saved: Saved | undefined) {
    this.#station = station;
    this.#world = station.world;
    const floor = counterFloor(saved && { ...saved, counterCeiling: 0n }, this.#now);
    this.host = new Host({ balancing: true, counterFloor: floor });
  }

  start(configuration: HostConfiguration | undefined): void {
    for (const link of this.#station.links.values()) this.handle({ kind: "link", link });
    if (configuration !== undefined)
      this.#deliver({ kind: "restore" }, () =>
        this.host.restore(configuration, this.#station.leaseUntilUs, this.#now),
      );
    this.#saveNowAndThen();
  }

  get #now(): Instant {
    return this.#station.now;
  }

  get isStalled(): boolean {
    return this.#isStalled;
  }

  get isBusy(): boolean {
    for (const { busy } of this.#sequences.values()) if (busy) return true;
    return false;
  }

  handle(event: Event): void {
    this.#deliver({ kind: "event", event }, () => this.host.handle(event, this.#now));
  }

  command(command: Command): void {
    this.whenRunning(() => {
      let outcome: Outcome = { error: "" };
      this.#deliver({ kind: "command", command }, () => {
        outcome = this.host.command(command, this.#now);
        return "error" in outcome ? [] : outcome.effects;
      });
      if (!("error" in outcome)) this.#save();
    });
  }

  /** SIGTERM. @param gone runs when everything has left. */
  stop(gone: () => void): void {
    this.whenRunning(() => {
      this.#deliver({ kind: "shutdown" }, () => this.host.shutdown(this.#now));
      this.#whenQuiet = gone;
      this.#lookWhetherQuiet();
    });
  }

  /** kill -9, or the end of `stop`. */
  die(): void {
    this.#isGone = true;
    this.#timers.clear();
    this.#socket = [];
  }

  stall(): void {
    this.#isStalled = true;
  }

  /** Timers come before what is in the socket, unless the event loop was just about to read. */
  resume(framesFirst: boolean): void {
    if (!this.#isStalled || this.#isGone) return;
    this.#isStalled = false;
    if (framesFirst) this.#read();
    const nowUs = this.#now.us;
    const due = [...this.#timers].filter(([, { atUs }]) => atUs <= nowUs);
    for (const [timer] of due.sort(([, a], [, b]) => a.atUs - b.atUs)) this.#fire(timer);
    for (const [timer, armed] of this.#timers) this.#lookLater(timer, armed);
    this.#read();
    const postponed = this.#postponed;
    this.#postponed = [];
    for (const work of postponed) if (!this.#isGone) work();
  }

  /** A frame reaches the socket. */
  receive(carpdev: string, frame: Frame): void {
    if (!this.#listening.has(carpdev)) return;
    this.#socket.push({ carpdev, frame, receivedUs: this.#now.us });
    if (this.#willRead || this.#isStalled) return;
    this.#willRead = true;
    this.#world.at(this.#world.us + this.#station.random.next() * READ_LATE_US, () => {
      this.#willRead = false;
      if (!this.#isStalled && !this.#isGone) this.#read();
    });
  }

  isListening(carpdev: string): boolean {
    return this.#listening.has(carpdev);
  }

  #read(): void {
    while (this.#socket.length > 0) {
      const heard = this.#socket;
      this.#socket = [];
      for (const { carpdev, frame, receivedUs } of heard)
        this.#deliver({ kind: "frame", carpdev, frame, receivedUs }, () =>
          this.host.handle({ kind: "frame", carpdev, bytes: frame.bytes, receivedUs }, this.#now),
        );
    }
  }

  whenRunning(work: () => void): void {
    if (this.#isStalled) this.#postponed.push(work);
    else if (!this.#isGone) work();
  }

  // Timers.

  #arm(timer: TimerId, atUs: Micros): void {
    const armed = this.#timers.get(timer) ?? { atUs, looksAtUs: Number.POSITIVE_INFINITY };
    armed.atUs = atUs;
    this.#timers.set(timer, armed);
    this.#lookLater(timer, armed);
  }

  /** A timer that is put off again and again is looked at when it was first due. */
  #lookLater(timer: TimerId, armed: Timer): void {
    const looksAtUs =
      this.#station.clock.worldTimeOf(armed.atUs) + this.#station.random.next() * TIMER_LATE_US;
    if (armed.looksAtUs <= looksAtUs) return;
    armed.looksAtUs = looksAtUs;
    this.#world.at(looksAtUs, () => {
      if (this.#timers.get(timer) !== armed || armed.looksAtUs !== looksAtUs) return;
      armed.looksAtUs = Number.POSITIVE_INFINITY;
      if (this.#isStalled) return;
      if (armed.atUs <= this.#now.us) this.#fire(timer);
      else this.#lookLater(timer, armed);
    });
  }

  #fire(timer: TimerId): void {
    if (timer.endsWith("/master-down")) this.#read();
    const armed = this.#timers.get(timer);
    if (armed === undefined) return;
    if (armed.atUs > this.#now.us) {
      this.#lookLater(timer, armed);
      return;
    }
    this.#timers.delete(timer);
    this.#deliver({ kind: "timer", timer }, () => this.host.handle({ kind: "timer", timer }, this.#now));
  }

  // Effects.

  #deliver(cause: Cause, work: () => readonly Effect[]): void {
    this.#station.delivered(cause, work, (effects) => {
      for (const effect of effects) this.#perform(effect);
    });
    this.#lookWhetherQuiet();
  }

  #perform(effect: Effect): void {
    switch (effect.kind) {
      case "arm":
        this.#arm(effect.timer, effect.atUs);
        break;
      case "cancel":
        this.#timers.delete(effect.timer);
        break;
      case "advertise":
        this.#inSequence(
          effect.interface,
          this.#unlessTaken(effect, () => this.#advertise(effect)),
        );
        break;
      case "device":
        this.#inSequence(effect.interface, () => this.#station.changeDevice());
        break;
      case "filter":
        this.#inSequence(effect.interface, () => this.#station.setFilter(effect.interface, effect.filter));
        break;
      case "lease":
        this.#lease(effect);
        break;
      case "listen":
        this.#ignored.delete(effect.carpdev);
        this.#listening.add(effect.carpdev);
        break;
      case "ignore":
        this.#ignored.add(effect.carpdev);
        break;
      case "save-counters":
        this.#save();
        break;
      case "left":
        this.#station.left(effect.interface);
        break;
      default:
        break;
    }
  }

  /** Given in its place; taken away at once, and then not given any more. */
  #lease(effect: Extract<Effect, { kind: "lease" }>): void {
    const { interface: name, vhid, untilUs } = effect;
    const give = () => {
      this.#station.setLease(name, vhid, untilUs);
      return 0;
    };
    if (untilUs > 0) this.#inSequence(name, this.#unlessTaken(effect, give));
    else {
      const key = `${name}/${vhid}`;
      this.#taken.set(key, (this.#taken.get(key) ?? 0) + 1);
      give();
    }
  }

  /** A bow-out is about losing the lease; nothing else is done for one that has been taken away since. */
  #unlessTaken(effect: Extract<Effect, { kind: "lease" | "advertise" }>, step: () => Micros): () => Micros {
    const key = `${effect.interface}/${effect.vhid}`;
    const taken = this.#taken.get(key);
    const bowsOut = effect.kind === "advertise" && effect.bowsOut;
    return () => (bowsOut || this.#taken.get(key) === taken ? step() : 0);
  }

  #advertise(effect: Extract<Effect, { kind: "advertise" }>): Micros {
    const left: Family[] = [];
    let error: string | undefined;
    for (const transmission of effect.transmissions) {
      if (this.#now.us > effect.untilUs) break;
      const failure = this.#listening.has(effect.carpdev)
        ? this.#station.send(effect.carpdev, transmission)
        : "ENODEV";
      if (failure === undefined) left.push(transmission.family);
      else error ??= failure;
    }
    if (left.length === 0 && error === undefined) return 0;
    const { interface: name, vhid } = effect;
    this.handle({ kind: "advertised", interface: name, vhid, leftUs: this.#now.us, left, error });
    return 0;
  }

  #inSequence(name: string, step: () => Micros): void {
    const sequence = this.#sequences.get(name) ?? { busy: false, waiting: [] };
    this.#sequences.set(name, sequence);
    sequence.waiting.push(step);
    if (!sequence.busy) this.#proceed(sequence);
  }

  #proceed(sequence: Sequence): void {
    for (let step = sequence.waiting.shift(); step !== undefined; step = sequence.waiting.shift()) {
      sequence.busy = true;
      const takesUs = step();
      if (takesUs > 0) {
        this.#world.at(this.#world.us + takesUs, () => this.whenRunning(() => this.#proceed(sequence)));
        return;
      }
    }
    sequence.busy = false;
    this.#lookWhetherQuiet();
  }

  /** A socket is closed, and an engine goes, when what was to be sent has left. */
  #lookWhetherQuiet(): void {
    if (this.#isGone || this.isBusy) return;
    for (const carpdev of this.#ignored) this.#listening.delete(carpdev);
    this.#ignored.clear();
    this.#station.settled();
    const { host } = this;
    if (this.#whenQuiet === undefined || host.interfaces().length > 0) return;
    const gone = this.#whenQuiet;
    this.#whenQuiet = undefined;
    gone();
  }

  // What an engine that is killed leaves to the next.

  #save(configuration = this.host.configuration): void {
    this.#station.saved = {
      configuration,
      counters: countersNow(this.host.greatestCounter(this.#now), this.#now),
    };
  }

  /** After a stop in order. */
  saveCounters(): void {
    if (areAhead(this.host.counterFloor, this.#now)) this.#save(NOTHING);
    else this.#station.saved = undefined;
  }

  #saveNowAndThen(): void {
    this.#world.at(this.#world.us + SAVE_EVERY_US, () => {
      if (this.#isGone) return;
      this.whenRunning(() => this.#save());
      this.#saveNowAndThen();
    });
  }
}
