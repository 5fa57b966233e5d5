/**
 * The clocks of a simulated host: CLOCK_BOOTTIME, which drifts and runs its timers, and the system clock,
 * which steps of a plan may set.
 */

import type { Instant, Micros } from "../../src/core/model.ts";
import type { World } from "./world.ts";

const BOOTED_US: Micros = 1_000_000_000;
const EPOCH_AT_START_US: Micros = 1_700_000_000_000_000;

export class Clock {
  readonly #world: World;
  #sinceUs: Micros;
  #us: Micros = BOOTED_US;
  #rate: number;
  #aheadUs: Micros;

  constructor(world: World, { driftPpm, aheadUs }: { readonly driftPpm: number; readonly aheadUs: Micros }) {
    this.#world = world;
    this.#sinceUs = world.us;
    this.#rate = 1 + driftPpm / 1e6;
    this.#aheadUs = aheadUs;
  }

  /** CLOCK_BOOTTIME. */
  get us(): Micros {
    return this.#at(this.#world.us);
  }

  get now(): Instant {
    const { us } = this;
    return { us, epochUs: EPOCH_AT_START_US + us + this.#aheadUs };
  }

  /** Converts a time of this host to world time, rounded up to a whole microsecond. */
  worldTimeOf(us: Micros): Micros {
    return Math.ceil(this.#sinceUs + (us - this.#us) / this.#rate);
  }

  /** Changes the rate of the clock from now on. */
  drift(ppm: number): void {
    this.#us = this.#at(this.#world.us);
    this.#sinceUs = this.#world.us;
    this.#rate = 1 + ppm / 1e6;
  }

  setTimeOfDay(byUs: Micros): void {
    this.#aheadUs += byUs;
  }

  #at(worldUs: Micros): Micros {
    return this.#us + (worldUs - this.#sinceUs) * this.#rate;
  }
}
