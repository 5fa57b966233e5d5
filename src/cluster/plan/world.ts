/**
 * The clock and the network of a simulated cluster: one time for all stations, and segments that deliver each packet a
 * moment after it was sent, to every station that is alive and has carrier.
 */

import type { Micros, Transmission } from "../../core/model.ts";
import { advertisementFrame } from "../../protocol/frame.ts";

export const SECOND: Micros = 1_000_000;
/** How long a packet is on its way. */
const FLIGHT_US: Micros = 100;

/** A host on segments. */
export interface Plugged {
  /** Infinity: no timer is armed. */
  readonly nextTimerUs: Micros;
  /** Fires the timer that is due first. */
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
  us: Micros = 1_000 * SECOND;
  readonly stations: Plugged[] = [];
  /** In the order of their arrival: each takes as long. */
  readonly #flights: Flight[] = [];

  fly(to: Plugged, carpdev: string, bytes: Uint8Array): void {
    this.#flights.push({ atUs: this.us + FLIGHT_US, to, carpdev, bytes });
  }

  /** Lets packets arrive and timers fire in the order of their times, packets first. */
  run(forUs: Micros, isEnough: () => boolean = () => false): void {
    const endUs = this.us + forUs;
    for (;;) {
      const [flight] = this.#flights;
      let due: Plugged | undefined;
      for (const each of this.stations)
        if (each.nextTimerUs < (due?.nextTimerUs ?? Number.POSITIVE_INFINITY)) due = each;
      const atUs = Math.min(
        flight?.atUs ?? Number.POSITIVE_INFINITY,
        due?.nextTimerUs ?? Number.POSITIVE_INFINITY,
      );
      if (atUs > endUs) break;
      this.us = Math.max(this.us, atUs);
      if (flight?.atUs === atUs) {
        this.#flights.shift();
        flight.to.receive(flight.carpdev, flight.bytes);
      } else due?.fire();
      if (isEnough()) return;
    }
    this.us = endUs;
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

export class Segment {
  readonly #plugs: { readonly station: Plugged; readonly carpdev: string }[] = [];

  plug(station: Plugged, carpdev: string): void {
    this.#plugs.push({ station, carpdev });
  }

  carry(world: World, from: Plugged, transmission: Transmission): void {
    const bytes = "frame" in transmission ? transmission.frame : routed(transmission);
    for (const { station, carpdev } of this.#plugs)
      if (
        station !== from &&
        ("frame" in transmission || station.hasAddress(carpdev, transmission.destination))
      )
        world.fly(station, carpdev, bytes);
  }
}
