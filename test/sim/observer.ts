/**
 * Observer: watches a run of the simulator for who answers for each virtual host: the masters at the end of its first step
 * and of the run, and the times in which no host of some answered. Checks nothing.
 */

import type { Micros } from "../../src/core/model.ts";
import type { Step } from "./plan.ts";
import type { Station } from "./station.ts";
import { Trace } from "./trace.ts";

interface Lease {
  readonly fromUs: Micros;
  untilUs: Micros;
}

export class Observer extends Trace {
  /** When the first step began and ended, on the world's clock. */
  begunUs: Micros = 0;
  endedUs: Micros = 0;
  /** The masters of each virtual host (`carp0/1`) when the first step ended. */
  mastersAtEnd: ReadonlyMap<string, readonly string[]> = new Map();
  readonly #stations = new Map<string, Station>();
  /** By virtual host, then by host. */
  readonly #leases = new Map<string, Map<string, Lease[]>>();

  constructor() {
    super(1);
  }

  override step(us: Micros, _step: Step): void {
    this.begunUs = us;
  }

  override ended(us: Micros, _step: Step): void {
    this.endedUs = us;
    this.mastersAtEnd = this.masters;
  }

  override handled(_us: Micros, station: Station): void {
    this.#stations.set(station.name, station);
  }

  override lease(us: Micros, station: Station, key: string, untilUs: Micros): void {
    const endUs = untilUs === 0 ? us : station.clock.worldTimeOf(untilUs);
    const byHost = this.#leases.get(key) ?? new Map<string, Lease[]>();
    this.#leases.set(key, byHost);
    const leases = byHost.get(station.name) ?? [];
    byHost.set(station.name, leases);
    const last = leases.at(-1);
    if (last !== undefined && last.untilUs >= us) last.untilUs = endUs;
    else if (endUs > us) leases.push({ fromUs: us, untilUs: endUs });
  }

  /** The masters of each virtual host now, by their leases. */
  get masters(): ReadonlyMap<string, readonly string[]> {
    return new Map(
      [...this.#leases.keys()].map((key) => [
        key,
        [...this.#stations.values()]
          .filter(
            (station) => station.states.get(key) === "MASTER" && station.leaseEndUs(key) > station.world.us,
          )
          .map(({ name }) => name)
          .sort(),
      ]),
    );
  }

  /** How long none of these hosts answered for the virtual host. */
  silentUs(key: string, hosts: readonly string[], fromUs: Micros, untilUs: Micros): Micros {
    const leases = hosts
      .flatMap((host) => this.#leases.get(key)?.get(host) ?? [])
      .sort((a, b) => a.fromUs - b.fromUs);
    let [silentUs, coveredUs] = [0, fromUs];
    for (const lease of leases) {
      if (lease.fromUs >= untilUs) break;
      silentUs += Math.max(0, lease.fromUs - coveredUs);
      coveredUs = Math.max(coveredUs, lease.untilUs);
    }
    return silentUs + Math.max(0, untilUs - coveredUs);
  }
}
