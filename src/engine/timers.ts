/**
 * Timers: the core's timers on the kernel's alarms. A timer that is put off again and again (a BACKUP's
 * master-down time) keeps its alarm and is checked when that rings, so that most arms set no alarm. A timer
 * is delivered once and never before its time; it may be late.
 */

import type { Timer } from "../core/event.ts";
import type { Micros } from "../core/model.ts";
import type { Alarms, Clock } from "../kernel/kernel.ts";

interface Armed {
  readonly timer: Timer;
  atUs: Micros;
  /** When the alarm rings; infinite: no alarm is set. */
  ringsAtUs: Micros;
  cancelAlarm: () => void;
}

export class Timers {
  readonly #clock: Clock;
  readonly #alarms: Alarms;
  readonly #due: (timer: Timer) => void;
  readonly #armed = new Map<Timer, Armed>();

  /** @param due called with a timer whose time has come; it asks `take` whether that is still so */
  constructor(clock: Clock, alarms: Alarms, due: (timer: Timer) => void) {
    this.#clock = clock;
    this.#alarms = alarms;
    this.#due = due;
  }

  /** Arms the timer for this time, replacing an earlier one. */
  arm(timer: Timer, atUs: Micros): void {
    const known = this.#armed.get(timer);
    const armed = known ?? { timer, atUs, ringsAtUs: Number.POSITIVE_INFINITY, cancelAlarm: () => {} };
    if (known === undefined) this.#armed.set(timer, armed);
    armed.atUs = atUs;
    this.#setAlarm(armed);
  }

  cancel(timer: Timer): void {
    this.#armed.get(timer)?.cancelAlarm();
    this.#armed.delete(timer);
  }

  /** Disarms a timer whose time has come. @returns whether it has */
  take(timer: Timer): boolean {
    const armed = this.#armed.get(timer);
    if (armed === undefined) return false;
    if (armed.atUs > this.#clock.now().us) {
      this.#setAlarm(armed);
      return false;
    }
    this.cancel(timer);
    return true;
  }

  cancelAll(): void {
    for (const timer of [...this.#armed.keys()]) this.cancel(timer);
  }

  #setAlarm(armed: Armed): void {
    if (armed.ringsAtUs <= armed.atUs) return;
    armed.cancelAlarm();
    armed.ringsAtUs = armed.atUs;
    armed.cancelAlarm = this.#alarms.set(armed.atUs, () => this.#ring(armed));
  }

  #ring(armed: Armed): void {
    armed.ringsAtUs = Number.POSITIVE_INFINITY;
    if (armed.atUs > this.#clock.now().us) this.#setAlarm(armed);
    else this.#due(armed.timer);
  }
}
