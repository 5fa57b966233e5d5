/**
 * Loop: drives one host (the core) over the kernel. Events and commands go through one queue into the core,
 * effects through the performer to the kernel, and timers come back as events. The simulator runs this loop
 * too, over a simulated kernel.
 */

import type { Effect } from "../core/effect.ts";
import type { Event } from "../core/event.ts";
import type { Instant } from "../core/model.ts";
import type { Alarms } from "../kernel/kernel.ts";
import { type Adapters, Performer } from "./performer.ts";
import { EventQueue } from "./queue.ts";
import { Timers } from "./timers.ts";
import { Waiting } from "./waiting.ts";

/** The part of the core that the loop uses. */
export interface Core {
  handle(event: Event, now: Instant): readonly Effect[];
}

const NOTHING: readonly Effect[] = [];

export class Loop {
  readonly performer: Performer;
  readonly #core: Core;
  readonly #adapters: Adapters;
  readonly #timers: Timers;
  readonly #queue: EventQueue<Event>;

  constructor(core: Core, adapters: Adapters, alarms: Alarms) {
    this.#adapters = adapters;
    this.#core = core;
    this.#queue = new EventQueue((event) => this.#enter((now) => core.handle(event, now)));
    this.#timers = new Timers(adapters.clock, alarms, (timer) => {
      // A late engine must handle every frame that has arrived before it declares a master down. An advertise
      // timer does not wait for frames of other hosts.
      if (timer.kind === "master-down" && this.#timers.isDue(timer)) waiting.masterDown(timer);
      // A successor's advertisement may have arrived: an announcement behind it would lead switches back to this host.
      if (timer.kind === "announce" && this.#timers.isDue(timer)) adapters.wire.drain();
      if (this.#timers.take(timer)) this.handle({ kind: "timer", timer });
    });
    const waiting = new Waiting({ clock: adapters.clock, wire: adapters.wire, timers: this.#timers });
    this.performer = new Performer({
      adapters,
      waiting,
      timers: this.#timers,
      report: (event) => this.#queue.push(event),
      enter: (work) => this.#queue.run(work),
    });
  }

  /** Whether an event or command is being handled. */
  get isBusy(): boolean {
    return this.#queue.isBusy;
  }

  /** Handles an event, or queues it while another one is being handled. */
  handle(event: Event): void {
    this.#queue.push(event);
  }

  /**
   * Runs work on the core that is no event (a command), in the order of the queue, and performs its effects.
   */
  run(work: (now: Instant) => readonly Effect[]): void {
    this.#queue.run(() => this.#enter(work));
  }

  /** Some of what was sent ahead has ended: the core hears of it. */
  aheadEnded(): void {
    this.run(() => NOTHING);
  }

  /**
   * Enters the core, and performs its effects. It takes what is sent ahead for sent at its time: whatever is due by now has
   * left before, or is told not to have, and nothing else leaves meanwhile.
   */
  #enter(work: (now: Instant) => readonly Effect[]): void {
    const { clock, wire } = this.#adapters;
    wire.hold();
    try {
      const now = clock.now();
      for (const each of wire.sendDue(now.us)) this.performer.perform(this.#core.handle(each, now));
      this.performer.perform(work(now));
    } finally {
      wire.release();
    }
  }

  /** Cancels all timers: none is delivered any more. */
  stop(): void {
    this.#timers.cancelAll();
  }
}
