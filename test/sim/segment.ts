/**
 * Segment: a hub that carries each frame to all other hosts. The weather of the path between two hosts
 * decides whether a frame arrives late, twice, out of order or not at all. Looks into no frame.
 */

import type { Micros } from "../../src/core/model.ts";
import type { Reading } from "./hearing.ts";
import type { Random } from "./random.ts";
import type { World } from "./world.ts";

/** A frame under way. */
export interface Frame {
  readonly bytes: Uint8Array;
  /** The sender; absent: the attacker. */
  readonly from: Plugged | undefined;
  /** Address of the one receiver; absent: all receive it. */
  readonly to: string | undefined;
  readonly sentUs: Micros;
  /** What the checks have read in it, once for all receivers. */
  reading: Reading | undefined;
}

/** A host with a network card on segments. */
export interface Plugged {
  readonly id: number;
  readonly name: string;
  receive(segment: Segment, frame: Frame): void;
  owns(segment: Segment, address: string): boolean;
}

/** Loss, duplication and delay of the path from one host to another. */
export interface Weather {
  /** Share of frames lost, 0 to 1. */
  readonly loss: number;
  readonly duplication: number;
  readonly delayUs: Micros;
  /** Up to this much more for each frame, so that frames overtake each other. */
  readonly jitterUs: Micros;
}

/** The path from one host to another. */
interface Way {
  readonly random: Random;
  weather: Weather;
  /** Faults of the path at present. */
  readonly faults: Weather[];
  /** When the last frame that a fault delayed has arrived. */
  clearSinceUs: Micros;
}

/** Where a frame arrives at one time: most times at one host. */
interface Arrival {
  readonly atUs: Micros;
  readonly at: Plugged;
  also: Plugged[] | undefined;
}

const NOBODY: readonly Plugged[] = [];

export class Segment {
  readonly index: number;
  /** The carpdev of each host on it. */
  readonly carpdev: string;
  readonly fair: Weather;
  readonly plugs: Plugged[] = [];
  /** Called with every frame. */
  tap: ((frame: Frame) => void) | undefined;
  readonly #world: World;
  readonly #random: (from: number, to: number) => Random;
  /** The paths by the sender's id, then the receiver's. */
  readonly #ways: Way[][] = [];
  /** The last arrival of the frame that is being carried. */
  #arrival: Arrival | undefined;

  constructor(world: World, index: number, fair: Weather, random: (from: number, to: number) => Random) {
    this.#world = world;
    this.index = index;
    this.carpdev = `eth${index}`;
    this.fair = fair;
    this.#random = random;
  }

  /** The longest time that a frame takes without faults. */
  get flightUs(): Micros {
    return this.fair.delayUs + this.fair.jitterUs;
  }

  plug(plugged: Plugged): void {
    this.plugs.push(plugged);
  }

  /** Carries a frame to every other host, as the weather of each path permits. */
  carry(frame: Frame): void {
    this.tap?.(frame);
    this.#arrival = undefined;
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

  /** Adds a fault to the path between two hosts. @returns a function that ends it */
  fault(from: Plugged, to: Plugged, fault: Weather): () => void {
    const way = this.#way(from.id, to.id);
    way.faults.push(fault);
    this.#judge(way);
    return () => {
      way.faults.splice(way.faults.indexOf(fault), 1);
      // Frames under way still arrive late.
      const lateUs = 2 * fault.delayUs + fault.jitterUs;
      way.clearSinceUs = Math.max(way.clearSinceUs, this.#world.us + lateUs);
      this.#judge(way);
    };
  }

  /** Since when the path is without faults; undefined while it has one. */
  clearSinceUs(from: Plugged, to: Plugged): Micros | undefined {
    const way = this.#way(from.id, to.id);
    return way.faults.length > 0 ? undefined : way.clearSinceUs;
  }

  #arrive(frame: Frame, to: Plugged, afterUs: Micros): void {
    const atUs = this.#world.us + afterUs;
    // Hosts that it reaches at the same time share one event of the world.
    if (this.#arrival?.atUs === atUs) {
      this.#arrival.also ??= [];
      this.#arrival.also.push(to);
      return;
    }
    const arrival: Arrival = { atUs, at: to, also: undefined };
    this.#arrival = arrival;
    this.#world.at(atUs, () => {
      arrival.at.receive(this, frame);
      for (const each of arrival.also ?? NOBODY) each.receive(this, frame);
    });
  }

  #way(from: number, to: number): Way {
    this.#ways[from] ??= [];
    const ways = this.#ways[from] as Way[];
    ways[to] ??= { random: this.#random(from, to), weather: this.fair, faults: [], clearSinceUs: 0 };
    return ways[to] as Way;
  }

  /** Combines several faults: the worst value of each kind. */
  #judge(way: Way): void {
    way.weather = [this.fair, ...way.faults].reduce((worst, each) => ({
      loss: Math.max(worst.loss, each.loss),
      duplication: Math.max(worst.duplication, each.duplication),
      delayUs: Math.max(worst.delayUs, each.delayUs),
      jitterUs: Math.max(worst.jitterUs, each.jitterUs),
    }));
  }
}
