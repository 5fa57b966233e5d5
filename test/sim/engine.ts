/**
 * The engine of a simulated host: the shipped loop around the core, on a simulated kernel. It can be stalled
 * or killed between any two events. Has no CARP rule and no queue of its own.
 */

import type { Command, HostConfiguration } from "../../src/core/command.ts";
import type { Effect } from "../../src/core/effect.ts";
import type { Event, Repeated, Timer } from "../../src/core/event.ts";
import { Host } from "../../src/core/host.ts";
import type { Instant, Micros } from "../../src/core/model.ts";
import { Loop } from "../../src/engine/loop.ts";
import {
  areAhead,
  counterFloor,
  countersNow,
  SAVE_EVERY_MS,
  type SavedCounters,
} from "../../src/engine/state/counter-floor.ts";
import { simulatedHmac } from "./digests.ts";
import { type Received, SimulatedKernel } from "./kernel.ts";
import type { Frame } from "./segment.ts";
import type { Station } from "./station.ts";
import type { World } from "./world.ts";

const NOTHING: HostConfiguration = { interfaces: [], sysctl: [], groups: [], reasons: [] };

export interface Saved {
  readonly configuration: HostConfiguration;
  readonly counters: SavedCounters;
}

/** The event, command or call that entered the core. */
export type Cause =
  | ({ readonly kind: "frame" } & Received)
  /** Frames that were folded: each copy is one that was received. */
  | { readonly kind: "repeated"; readonly all: readonly Repeated[] }
  | { readonly kind: "timer"; readonly timer: Timer }
  | { readonly kind: "command"; readonly command: Command }
  | { readonly kind: "event"; readonly event: Event }
  | { readonly kind: "restore" }
  | { readonly kind: "shutdown" };

type FrameEvent = Extract<Event, { kind: "frame" }> & { readonly frame: Frame };

export class Engine {
  readonly host: Host;
  readonly #station: Station;
  readonly #world: World;
  readonly #kernel: SimulatedKernel;
  readonly #loop: Loop;
  /** Nested calls of `#enter` that have not returned yet. */
  #entered = 0;
  #whenGone: (() => void) | undefined;

  constructor(station: Station, saved: Saved | undefined) {
    this.#station = station;
    this.#world = station.world;
    this.host = new Host({
      balancing: true,
      hmac: simulatedHmac,
      sendsAhead: true,
      counterFloor: counterFloor(saved?.counters, station.now),
    });
    this.#kernel = new SimulatedKernel(station, {
      enter: (work) => this.#enter(work),
      frame: ({ carpdev, frame, receivedUs }) => {
        const event: FrameEvent = { kind: "frame", carpdev, receivedUs, bytes: frame.bytes, frame };
        this.#handle(event);
      },
      aheadEnded: () => this.#loop.aheadEnded(),
      repeated: (all) => this.#handle({ kind: "repeated", all }),
      performed: (performed) => this.#loop.handle({ kind: "performed", ...performed }),
      save: () => {
        this.#save();
        this.#loop.handle({ kind: "performed", part: { kind: "saved-state" }, errors: [] });
      },
    });
    this.#loop = new Loop(
      { handle: (event, now) => this.#ask(causeOf(event), () => this.host.handle(event, now)) },
      this.#kernel.adapters,
      this.#kernel,
    );
  }

  start(configuration: HostConfiguration | undefined): void {
    for (const link of this.#station.links.values()) this.handle({ kind: "link", link });
    if (configuration !== undefined)
      this.#run({ kind: "restore" }, (now) =>
        this.host.restore(configuration, this.#station.leaseUntilUs, now),
      );
    this.#savePeriodically();
  }

  get isStalled(): boolean {
    return this.#kernel.isStalled;
  }

  /** Whether the kernel is still changing a device. */
  get isBusy(): boolean {
    return !this.#loop.performer.isSettled;
  }

  /** A thing happens that is no frame. What has arrived before it is handled before it. */
  handle(event: Event): void {
    this.#kernel.drain();
    this.#handle(event);
  }

  command(command: Command): void {
    this.whenRunning(() => {
      this.#kernel.drain();
      let isRefused = false;
      this.#run({ kind: "command", command }, (now) => {
        const outcome = this.host.command(command, now);
        isRefused = "error" in outcome;
        return "error" in outcome ? [] : outcome.effects;
      });
      if (!isRefused) this.#save();
    });
  }

  /** SIGTERM. @param gone runs when all interfaces have left */
  stop(gone: () => void): void {
    this.whenRunning(() => {
      this.#whenGone = gone;
      this.#run({ kind: "shutdown" }, (now) => this.host.shutdown(now));
    });
  }

  /** kill -9, or the end of `stop`. */
  die(): void {
    this.#kernel.die();
    this.#loop.stop();
  }

  stall(): void {
    this.#kernel.stall();
  }

  resume(framesFirst: boolean): void {
    this.#kernel.resume(framesFirst);
  }

  receive(carpdev: string, frame: Frame): void {
    this.#kernel.receive(carpdev, frame);
  }

  isListening(carpdev: string): boolean {
    return this.#kernel.isListening(carpdev);
  }

  /** The carpdev goes away, and its socket with it. */
  unplug(carpdev: string): void {
    this.#kernel.unplug(carpdev);
  }

  /** Runs the work now, or when the engine is no longer stalled. */
  whenRunning(work: () => void): void {
    this.#kernel.whenRunning(work);
  }

  #run(cause: Cause, work: (now: Instant) => readonly Effect[]): void {
    this.#enter(() => this.#loop.run((now) => this.#ask(cause, () => work(now))));
  }

  #ask(cause: Cause, work: () => readonly Effect[]): readonly Effect[] {
    return this.#station.asked(cause, work);
  }

  /**
   * Every call into the engine passes through here; when the outermost returns, its immediate effects are
   * done.
   */
  #enter(work: () => void): void {
    this.#entered++;
    work();
    this.#leave();
  }

  /** As `#enter`, and without a function for each of the many events. */
  #handle(event: Event): void {
    this.#entered++;
    this.#loop.handle(event);
    this.#leave();
  }

  #leave(): void {
    this.#entered--;
    if (this.#entered > 0 || this.#kernel.isGone) return;
    this.#station.settled();
    if (this.#whenGone === undefined || this.isBusy || this.host.interfaces().length > 0) return;
    const gone = this.#whenGone;
    this.#whenGone = undefined;
    gone();
  }

  // The saved state.

  #save(configuration = this.host.configuration): void {
    const { now } = this.#station;
    this.#station.saved = { configuration, counters: countersNow(this.host.greatestCounter(now), now) };
  }

  /** Saves the counters after a stop in order, if they are ahead of the clock. */
  saveCounters(): void {
    if (areAhead(this.host.counterFloor, this.#station.now)) this.#save(NOTHING);
    else this.#station.saved = undefined;
  }

  #savePeriodically(): void {
    const afterUs: Micros = SAVE_EVERY_MS * 1000;
    this.#world.at(this.#world.us + afterUs, () => {
      if (this.#kernel.isGone) return;
      this.whenRunning(() => this.#save());
      this.#savePeriodically();
    });
  }
}

function causeOf(event: Event): Cause {
  if (event.kind === "timer" || event.kind === "repeated") return event;
  return event.kind === "frame" ? (event as FrameEvent) : { kind: "event", event };
}
