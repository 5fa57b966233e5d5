/**
 * A segment: a hub that carries what one host sends to all the others, each of which it reaches late, twice, out of
 * order or not at all, as the weather on the way from the one to the other is. Looks into no frame.
 */

import type { Micros } from "../../src/core/event.ts";
import type { Random } from "./random.ts";
import type { World } from "./world.ts";

/** What is on its way. */
export interface Frame {
  readonly bytes: Uint8Array;
  /** Absent: whoever is plugged in without being a host of ours. */
  readonly from: Plugged | undefined;
  /** Only who has this address receives it; absent: all. */
  readonly to: string | undefined;
  readonly sentUs: Micros;
}

/** Something with a network card. */
export interface Plugged {
  readonly id: number;
  readonly name: string;
  receive(segment: Segment, frame: Frame): void;
  owns(segment: Segment, address: string): boolean;
}

export interface Weather {
  /** Of frames, 0 to 1. */
  readonly loss: number;
  readonly duplication: number;
  readonly delayUs: Micros;
  /** Up to so much more, each frame for itself: they overtake each other. */
  readonly jitterUs: Micros;
}

/** From one to another. */
interface Way {
  readonly random: Random;
  weather: Weather;
  /** Faults that are on it now. */
  readonly faults: Weather[];
  /** When the last of what the last fault delayed has arrived. */
  clearSinceUs: Micros;
}

export class Segment {
  readonly index: number;
  readonly fair: Weather;
  readonly plugs: Plugged[] = [];
  /** Who listens to everything. */
  tap: ((frame: Frame) => void) | undefined;
  readonly #world: World;
  readonly #random: (from: number, to: number) => Random;
  /** By the sender's id, then the receiver's. */
  readonly #ways: Way[][] = [];

  constructor(world: World, index: number, fair: Weather, random: (from: number, to: number) => Random) {
    this.#world = world;
    this.index = index;
    this.fair = fair;
    this.#random = random;
  }

  /** The longest a frame takes where nothing is wrong. */
  get flightUs(): Micros {
    return this.fair.delayUs + this.fair.jitterUs;
  }

  plug(plugged: Plugged): void {
    this.plugs.push(plugged);
  }

  carry(frame: Frame): void {
    this.tap?.(frame);
    for (const to of this.plugs) {
      if (to === frame.from || (frame.to !== undefined && !to.owns(this, frame.to))) continue;
      if (frame.from === undefined) {
        this.#arrive(frame, to, this.fair.delayUs);
        continue;
      }
      const { weather, random } = this.#way(frame.from.id, to.id);
      if (weather.loss > 0 && random.chance(weather.loss)) continue;
      this.#arrive(frame, to, weather.delayUs + random.next() * weather.jitterUs);
      if (weather.duplication > 0 && random.chance(weather.duplication))
        this.#arrive(frame, to, weather.delayUs + random.next() * (weather.jitterUs + weather.delayUs));
    }
  }

  /** @returns a function that ends it */
  fault(from: Plugged, to: Plugged, fault: Weather): () => void {
    const way = this.#way(from.id, to.id);
    way.faults.push(fault);
    this.#judge(way);
    return () => {
      way.faults.splice(way.faults.indexOf(fault), 1);
      // What was under way arrives yet.
      const lateUs = 2 * fault.delayUs + fault.jitterUs;
      way.clearSinceUs = Math.max(way.clearSinceUs, this.#world.us + lateUs);
      this.#judge(way);
    };
  }

  /** Since when frames get through from the one to the other; undefined while a fault is on the way. */
  clearSinceUs(from: Plugged, to: Plugged): Micros | undefined {
    const way = this.#way(from.id, to.id);
    return way.faults.length > 0 ? undefined : way.clearSinceUs;
  }

  #arrive(frame: Frame, to: Plugged, afterUs: Micros): void {
    this.#world.at(this.#world.us + afterUs, () => to.receive(this, frame));
  }

  #way(from: number, to: number): Way {
    this.#ways[from] ??= [];
    const ways = this.#ways[from] as Way[];
    ways[to] ??= { random: this.#random(from, to), weather: this.fair, faults: [], clearSinceUs: 0 };
    return ways[to] as Way;
  }

  /** Of several faults at once the worst of each kind. */
  #judge(way: Way): void {
    way.weather = [this.fair, ...way.faults].reduce((worst, each) => ({
      loss: Math.max(worst.loss, each.loss),
      duplication: Math.max(worst.duplication, each.duplication),
      delayUs: Math.max(worst.delayUs, each.delayUs),
      jitterUs: Math.max(worst.jitterUs, each.jitterUs),
    }));
  }
}
