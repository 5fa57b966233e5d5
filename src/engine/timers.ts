/**
 * Timers: the core's timers on one alarm of the kernel. When it rings, every timer that is due is delivered, in the order
 * of their times and of being armed. A timer that is put off again and again (a BACKUP's master-down time) costs nothing
 * until it would be the next. A timer is delivered once and never before its time; it may be late.
 */

import type { Timer } from "../core/event.ts";
import type { Micros } from "../core/model.ts";
import type { Alarms, Clock } from "../kernel/kernel.ts";
import { Heap } from "./heap.ts";

interface Armed {
  readonly timer: Timer;
  /** `DISARMED` once it was taken. */
  atUs: Micros;
  /** Its time in the queue: `atUs`, or an earlier one if it was put off since. */
  queuedUs: Micros;
  readonly order: number;
  place: number;
}

/** The time of a timer that was taken and not armed again. */
const DISARMED = Number.POSITIVE_INFINITY;

/** Delivered in one go; whatever else has happened is looked at before the next ones. */
const MOST_TOGETHER = 64;

export class Timers {
  readonly #clock: Clock;
  readonly #alarms: Alarms;
  readonly #due: (timer: Timer) => void;
  readonly #armed = new Map<Timer, Armed>();
  readonly #queue = new Heap<Armed>(
    (a, b) => a.queuedUs < b.queuedUs || (a.queuedUs === b.queuedUs && a.order < b.order),
  );
  #order = 0;
  /** When the alarm rings; infinite: no alarm is set. */
  #ringsAtUs = Number.POSITIVE_INFINITY;
  #cancelAlarm = () => {};
  #isRinging = false;

  /** @param due called with a timer whose time has come; it asks `take` whether that is still so */
  constructor(clock: Clock, alarms: Alarms, due: (timer: Timer) => void) {
    this.#clock = clock;
    this.#alarms = alarms;
    this.#due = due;
  }

  /** Arms the timer for this time, replacing an earlier one. */
  arm(timer: Timer, atUs: Micros): void {
    const known = this.#armed.get(timer);
    const armed = known ?? { timer, atUs, queuedUs: atUs, order: this.#order++, place: -1 };
    if (known === undefined) this.#armed.set(timer, armed);
    armed.atUs = atUs;
    if (armed.place < 0 || atUs < armed.queuedUs) this.#enqueue(armed);
    if (!this.#isRinging) this.#setAlarm(armed.queuedUs);
  }

  /** Arms a timer that is armed for a later time. @returns whether it is not due then */
  putOff(timer: Timer, atUs: Micros): boolean {
    const armed = this.#armed.get(timer);
    if (armed === undefined || armed.atUs === DISARMED) return false;
    if (atUs > armed.atUs) this.arm(timer, atUs);
    return armed.atUs > this.#clock.now().us;
  }

  /** Whether it is armed and its time has come. */
  isDue(timer: Timer): boolean {
    const armed = this.#armed.get(timer);
    return armed !== undefined && armed.atUs <= this.#clock.now().us;
  }

  cancel(timer: Timer): void {
    const armed = this.#armed.get(timer);
    if (armed === undefined) return;
    this.#armed.delete(timer);
    this.#queue.remove(armed);
  }

  /** Disarms a timer whose time has come. @returns whether it has */
  take(timer: Timer): boolean {
    const armed = this.#armed.get(timer);
    if (armed === undefined || !this.isDue(timer)) return false;
    // It stays known, because most timers are armed again at once.
    armed.atUs = DISARMED;
    this.#queue.remove(armed);
    return true;
  }

  cancelAll(): void {
    for (const timer of [...this.#armed.keys()]) this.cancel(timer);
    this.#cancelAlarm();
    this.#ringsAtUs = Number.POSITIVE_INFINITY;
  }

  #enqueue(armed: Armed): void {
    armed.queuedUs = armed.atUs;
    this.#queue.put(armed);
  }

  /** Finds the timer that is due first. */
  #next(): Armed | undefined {
    for (;;) {
      const { first } = this.#queue;
      if (first === undefined || first.queuedUs === first.atUs) return first;
      this.#enqueue(first);
    }
  }

  /** Makes the alarm ring no later than then. One that rings too early harms nothing. */
  #setAlarm(atUs: Micros): void {
    if (atUs >= this.#ringsAtUs) return;
    this.#cancelAlarm();
    this.#ringsAtUs = atUs;
    this.#cancelAlarm = this.#alarms.set(atUs, () => this.#ring());
  }

  #ring(): void {
    this.#ringsAtUs = Number.POSITIVE_INFINITY;
    const nowUs = this.#clock.now().us;
    const due: Armed[] = [];
    for (let next = this.#next(); next !== undefined; next = this.#next()) {
      if (next.atUs > nowUs || due.length === MOST_TOGETHER) break;
      this.#queue.remove(next);
      due.push(next);
    }
    this.#isRinging = true;
    try {
      for (const { timer } of due) this.#due(timer);
    } finally {
      this.#isRinging = false;
      // Whatever was not taken, because one before it threw an error, is due still.
      for (const armed of due)
        if (this.#armed.get(armed.timer) === armed && armed.place < 0 && armed.atUs !== DISARMED)
          this.#enqueue(armed);
      this.#setAlarm(this.#next()?.atUs ?? Number.POSITIVE_INFINITY);
    }
  }
}
