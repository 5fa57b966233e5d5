/**
 * The clock and the network of simulated hosts: one time for all stations, and segments that deliver each packet a
 * moment after it was sent, to every other station that the sender reaches.
 */

import type { Micros, Transmission } from "../../core/model.ts";
import { advertisementFrame } from "../../protocol/frame.ts";

export const SECOND: Micros = 1_000_000;
/** Any time but 0. */
const BOOTED_US: Micros = 1_000 * SECOND;

/** A host on segments. */
export interface Plugged {
  /** No timer is due before; Infinity: none is armed. */
  readonly nextTimerUs: Micros;
  /** Fires the timer that is due first, if its time has come. */
  fire(): void;
  receive(carpdev: string, bytes: Uint8Array): void;
  hasAddress(carpdev: string, address: string): boolean;
}

interface Flight {
  readonly atUs: Micros;
  readonly to: Plugged;
  readonly carpdev: string;
  readonly bytes: Uint8Array;
}

export class World {
  us: Micros = BOOTED_US;
  readonly #stations: Plugged[] = [];
  /** In the order of their arrival. */
  readonly #flights: Flight[] = [];

  /** @returns how many there were before */
  add(station: Plugged): number {
    return this.#stations.push(station) - 1;
  }

  fly(flight: Flight): void {
    const flights = this.#flights;
    let at = flights.length;
    while (at > 0 && (flights[at - 1] as Flight).atUs > flight.atUs) at--;
    if (at === flights.length) flights.push(flight);
    else flights.splice(at, 0, flight);
  }

  /**
   * Lets packets arrive and timers fire in the order of their times, packets first.
   *
   * @param afterEach ends the run when it returns true
   */
  run(forUs: Micros, afterEach: () => unknown = () => false): void {
    const endUs = this.us + forUs;
    for (;;) {
      const flight = this.#flights[0];
      let due: Plugged | undefined;
      let dueUs = Number.POSITIVE_INFINITY;
      for (const each of this.#stations) {
        const { nextTimerUs } = each;
        if (nextTimerUs < dueUs) {
          due = each;
          dueUs = nextTimerUs;
        }
      }
      const isPacket = flight !== undefined && flight.atUs <= dueUs;
      const atUs = isPacket ? flight.atUs : dueUs;
      if (atUs > endUs) break;
      this.us = Math.max(this.us, atUs);
      if (isPacket) {
        this.#flights.shift();
        flight.to.receive(flight.carpdev, flight.bytes);
      } else due?.fire();
      if (afterEach() === true) return;
    }
    this.us = endUs;
  }
}

/** A hub. Its delay and what it passes on can be changed at any time. */
export class Segment<Station extends Plugged = Plugged> {
  delayUs: Micros = 100;
  passes: (from: Station, to: Station) => boolean = () => true;
  readonly #world: World;
  readonly #plugs: { readonly station: Station; readonly carpdev: string }[] = [];

  constructor(world: World) {
    this.#world = world;
  }

  plug(station: Station, carpdev: string): void {
    this.#plugs.push({ station, carpdev });
  }

  carry(from: Station, transmission: Transmission): void {
    const bytes = "frame" in transmission ? transmission.frame : routed(transmission);
    const atUs = this.#world.us + this.delayUs;
    for (const { station, carpdev } of this.#plugs) {
      if (station === from || !this.passes(from, station)) continue;
      if ("frame" in transmission || station.hasAddress(carpdev, transmission.destination))
        this.#world.fly({ atUs, to: station, carpdev, bytes });
    }
  }
}

/** The frame with which a packet to a peer arrives. */
function routed({
  source,
  destination,
  trafficClass,
  payload,
}: Extract<Transmission, { payload: unknown }>): Uint8Array {
  return advertisementFrame({ sourceMac: ROUTER_MAC, source, destination, trafficClass, message: payload });
}

const ROUTER_MAC = "02:00:00:00:00:01";
