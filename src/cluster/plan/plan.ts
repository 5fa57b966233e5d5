/**
 * What would happen: the files of several hosts run in the core that the engine runs, on a simulated network, through
 * every single failure and its end. Both begin just after an advertisement, when it takes longest until they are
 * noticed. Each half is simulated until nothing has changed for as long as any host waits for a master, and for half a
 * minute at least: what was settled stays so.
 */

import type { Micros } from "../../core/model.ts";
import type { ConfiguredHost } from "../member.ts";
import { ranking, vhidsOf } from "../ranking.ts";
import { type Cluster, carpdevOn, setupOf, virtualHostsOn } from "./cluster.ts";
import { commandOf, type Failure, failuresOf } from "./failures.ts";
import { type Answering, Holding, type Outcome, type Span, type VirtualHost } from "./holding.ts";
import { Station } from "./station.ts";
import { SECOND, Segment, World } from "./world.ts";

/** One virtual host through one half of a failure. */
export interface Change {
  readonly virtualHost: VirtualHost;
  readonly before: readonly string[];
  readonly after: readonly string[];
  /** In which no host answered; of a split segment in the part where it was longest. */
  readonly silentUs: Micros;
  /** Until the last change of a state; 0: there was none. */
  readonly settledUs: Micros;
  readonly silences: readonly Span[];
  /** When which host answered, since the half began. */
  readonly answers: readonly Answering[];
}

export interface Planned {
  readonly failure: Failure;
  /** Whether it ends: the host comes back. */
  readonly isOver: boolean;
  readonly changes: readonly Change[];
  /** How long it was simulated. */
  readonly lastedUs: Micros;
  /** The part of all virtual hosts that each host holds in the end. */
  readonly shares: ReadonlyMap<string, number>;
}

/** More take minutes. */
const MOST_ADVERTISEMENTS = 1_500_000;
/** The least that a failure is simulated for, and its end. */
const LEAST_HALF_US: Micros = 30 * SECOND;

/** Why the cluster is too large to simulate; undefined: it is not. */
export function tooLarge(cluster: Cluster): string | undefined {
  const advertisements = advertisementsOf(cluster);
  return advertisements <= MOST_ADVERTISEMENTS
    ? undefined
    : `too large to simulate: ${advertisements} advertisements in ${failuresOf(cluster).length} failures, and at most ${MOST_ADVERTISEMENTS}`;
}

/** About as many are sent in all failures together. */
export function advertisementsOf(cluster: Cluster): number {
  const { quietUs, preemptDelayUs, longestIntervalUs } = timesOf(cluster);
  // The start, the failure and its end; each changes something within as long as it has to be quiet then.
  const startUs = 2 * quietUs + longestIntervalUs;
  const halfUs = Math.max(2 * quietUs, LEAST_HALF_US);
  const trialUs = startUs + 2 * halfUs + preemptDelayUs;
  const perTrial = intervalsOf(cluster).reduce((sum, intervalUs) => sum + trialUs / intervalUs, 0);
  return Math.ceil(failuresOf(cluster).length * perTrial);
}

/** The interval of the preferred master of each virtual host. */
function intervalsOf({ segments }: Cluster): Micros[] {
  return segments.flatMap(({ shared }) =>
    shared.flatMap((each) => vhidsOf(each).map((vhid) => ranking(each, vhid)[0]?.intervalUs ?? SECOND)),
  );
}

/** How long the parts of a trial take. */
function timesOf({ hosts, segments }: Cluster) {
  const shared = segments.flatMap((each) => each.shared);
  const ranks = shared.flatMap((each) => vhidsOf(each).flatMap((vhid) => ranking(each, vhid)));
  const longestIntervalUs = ranks.reduce((longest, each) => Math.max(longest, each.intervalUs), SECOND);
  const longestAdvbase = ranks.reduce(
    (longest, { member }) => Math.max(longest, member.configuration.advbase),
    1,
  );
  return {
    longestIntervalUs,
    /** The longest master-down time: that of a demoted host. Without a change for so long there will be none. */
    quietUs: 3 * (longestAdvbase + 1) * SECOND,
    preemptDelayUs: Math.min(MOST_DELAY_US, Math.max(0, ...hosts.map(preemptDelayUs))),
  };
}

/** Two for each failure: while it lasts, and after its end. @param leastHalfUs how long each is simulated at least */
export function plan(
  cluster: Cluster,
  failures = failuresOf(cluster),
  leastHalfUs: Micros = LEAST_HALF_US,
): Planned[] {
  return failures.flatMap((failure) => new Trial(cluster, leastHalfUs).through(failure));
}

/** One run of the cluster, from its start. */
class Trial {
  readonly #world = new World();
  readonly #stations = new Map<string, Station>();
  readonly #wires: readonly Segment<Station>[];
  readonly #holding: Holding;
  readonly #times: ReturnType<typeof timesOf>;
  readonly #leastHalfUs: Micros;

  constructor(cluster: Cluster, leastHalfUs: Micros) {
    const { hosts, segments } = cluster;
    this.#leastHalfUs = leastHalfUs;
    this.#times = timesOf(cluster);
    this.#holding = new Holding(this.#world, segments.flatMap(virtualHostsOn));
    this.#wires = segments.map(() => new Segment<Station>(this.#world));
    for (const [number, host] of hosts.entries()) {
      const { name } = host.files;
      const setup = setupOf(host, number, segments);
      const station = new Station(setup, this.#world, this.#holding);
      this.#stations.set(name, station);
      for (const [at, segment] of segments.entries()) {
        const carpdev = carpdevOn(segment, name, at);
        const wire = this.#wires[at];
        if (carpdev === undefined || wire === undefined) continue;
        wire.plug(station, carpdev);
        station.wires.set(carpdev, wire);
      }
    }
  }

  through(failure: Failure): Planned[] {
    this.#start();
    const failing = failure.kind === "split" ? failure.parts.flat() : [failure.host];
    this.#awaitAdvertisement(failing);
    const before = this.#holding.outcomes;
    const fault = this.#measured(failure, { isOver: false, before, delayUs: 0 });
    this.#awaitNoticed(fault.planned);
    const end = { isOver: true, before: fault.outcomes, delayUs: this.#times.preemptDelayUs };
    return [fault.planned, this.#measured(failure, end).planned];
  }

  /** Starts all hosts, and runs until each virtual host has a master that the others have heard, or none is to come. */
  #start(): void {
    for (const station of this.#stations.values()) {
      station.start();
      this.#world.run(MOMENT_US);
    }
    const { longestIntervalUs, quietUs } = this.#times;
    const latestUs = this.#world.us + MOST_QUIETS * quietUs;
    for (;;) {
      this.#world.run(longestIntervalUs);
      const quietForUs = this.#world.us - this.#holding.changedUs;
      const isElected = this.#holding.outcomes.every(({ masters }) => masters.length === 1);
      const isHeard = isElected && quietForUs >= longestIntervalUs;
      if (isHeard || quietForUs >= quietUs || this.#world.us >= latestUs) return;
    }
  }

  /**
   * Runs until just after the advertisement with which the others notice that the failure is over: that of the master who
   * is to give way, or after a split the one that is to remain.
   */
  #awaitNoticed({ failure, changes }: Planned): void {
    const changed = changes.find(({ before, after }) => before.join() !== after.join());
    if (changed === undefined) return;
    const { virtualHost, before, after } = changed;
    const [master] = failure.kind === "split" ? before : after;
    if (master === undefined) return;
    const other = after.find((each) => each !== master);
    if (failure.kind === "split" && other !== undefined && this.#awaitBoth(master, other, virtualHost))
      return;
    this.#awaitAdvertisement([master], virtualHost);
  }

  /**
   * Runs until just after an advertisement of the first of two masters, when it is also its next one that comes first: it
   * takes longest then until one of them hears the other. @returns whether there was such a moment
   */
  #awaitBoth(first: string, second: string, of: VirtualHost): boolean {
    const [one, other] = [first, second].map((host) => ({
      station: this.#station(host),
      lastUs: Number.NaN,
      intervalUs: Number.NaN,
    })) as [Beat, Beat];
    let isThere = false;
    this.#world.run(MOST_BEATS * this.#times.longestIntervalUs, () => {
      follow(other, of);
      if (!follow(one, of)) return false;
      const dueUs = other.lastUs + other.intervalUs;
      // It may be due at this very moment, and is sent before the failure ends.
      const nextUs = dueUs - one.lastUs <= MOMENT_US ? dueUs + other.intervalUs : dueUs;
      isThere = one.lastUs + one.intervalUs <= nextUs;
      return isThere;
    });
    this.#world.run(MOMENT_US);
    return isThere;
  }

  /** Runs until just after an advertisement of one of these hosts, for the virtual host or for any. */
  #awaitAdvertisement(hosts: readonly string[], of?: VirtualHost): void {
    const stations = hosts.map((host) => this.#station(host));
    const begunUs = this.#world.us;
    this.#world.run(this.#times.longestIntervalUs, () =>
      stations.some((station) => (advertisedUs(station, of) ?? 0) > begunUs),
    );
    // Those of its other virtual hosts leave together with it.
    this.#world.run(MOMENT_US);
  }

  #measured(
    failure: Failure,
    {
      isOver,
      before,
      delayUs,
    }: { readonly isOver: boolean; readonly before: readonly Outcome[]; readonly delayUs: Micros },
  ): { readonly planned: Planned; readonly outcomes: readonly Outcome[] } {
    this.#holding.begin();
    const begunUs = this.#world.us;
    this.#happens(failure, isOver);
    this.#settle(delayUs);
    const { outcomes } = this.#holding;
    const changes = outcomes.map(({ masters, ...outcome }, at) => ({
      ...outcome,
      before: before[at]?.masters ?? [],
      after: masters,
    }));
    const lastedUs = this.#world.us - begunUs;
    return { planned: { failure, isOver, changes, lastedUs, shares: this.#shares(outcomes) }, outcomes };
  }

  #happens(failure: Failure, isOver: boolean): void {
    if (failure.kind === "split") {
      this.#split(failure, isOver);
      return;
    }
    const station = this.#station(failure.host);
    const command = commandOf(failure, isOver);
    if (command !== undefined) station.command(command);
    else if (failure.kind === "loses") station.setCarrier(failure.carpdev, isOver);
    else if (isOver) station.start();
    else station.die();
  }

  #split({ segment, parts }: Extract<Failure, { kind: "split" }>, isOver: boolean): void {
    const wire = this.#wires[segment];
    if (wire === undefined) throw new Error(`no segment ${segment}`);
    const partOf = ({ setup }: Station) => parts.findIndex((hosts) => hosts.includes(setup.name));
    wire.passes = isOver ? () => true : (from, to) => partOf(from) === partOf(to);
    this.#holding.split(segment, isOver ? undefined : parts);
  }

  #station(host: string): Station {
    const station = this.#stations.get(host);
    if (station === undefined) throw new Error(`${host}: no such host`);
    return station;
  }

  /** Runs until nothing has changed for long enough, not before the preemption delay is over, and for the least time. */
  #settle(delayUs: Micros): void {
    const { quietUs } = this.#times;
    const begunUs = this.#world.us;
    this.#world.run(Math.max(delayUs, this.#leastHalfUs));
    for (;;) {
      const untilUs = Math.min(
        Math.max(begunUs + delayUs, this.#holding.changedUs) + quietUs,
        begunUs + delayUs + MOST_QUIETS * quietUs,
      );
      if (untilUs <= this.#world.us) return;
      this.#world.run(untilUs - this.#world.us);
    }
  }

  #shares(outcomes: readonly Outcome[]): Map<string, number> {
    const shares = new Map([...this.#stations.keys()].map((name) => [name, 0]));
    for (const { masters } of outcomes)
      for (const name of masters) shares.set(name, (shares.get(name) ?? 0) + 1 / outcomes.length);
    return shares;
  }
}

/** The advertisements of a master, as they leave. */
interface Beat {
  readonly station: Station;
  lastUs: Micros;
  intervalUs: Micros;
}

/** @returns whether another one has left */
function follow(beat: Beat, of: VirtualHost): boolean {
  const atUs = advertisedUs(beat.station, of);
  if (atUs === undefined || atUs === beat.lastUs) return false;
  beat.intervalUs = atUs - beat.lastUs;
  beat.lastUs = atUs;
  return true;
}

/** When the last advertisement of a host left, if it was for this virtual host, or for any. */
function advertisedUs({ advertised, setup: { name } }: Station, of?: VirtualHost): Micros | undefined {
  if (of === undefined) return advertised?.atUs;
  const isIts = of.members.get(name)?.interface === advertised?.interface && of.vhid === advertised?.vhid;
  return isIts ? advertised?.atUs : undefined;
}

/** Two masters with other intervals have advertised at about the same time within so many. */
const MOST_BEATS = 16;
/** Between the starts of two hosts, and between the last advertisement and a failure. */
const MOMENT_US: Micros = 1_000;
/** A longer preemption delay is not waited for. */
const MOST_DELAY_US: Micros = 120 * SECOND;
/** Hosts that have not settled within so many times the longest master-down time never do. */
const MOST_QUIETS = 10;

function preemptDelayUs({ variables, members }: ConfiguredHost): Micros {
  const seconds = members.map(
    ({ configuration }) => configuration.preemptdelay ?? variables.get("net.inet.carp.preempt_delay"),
  );
  return Math.max(0, ...seconds) * SECOND;
}

export function isChanged({ before, after, silentUs }: Change): boolean {
  return silentUs > 0 || before.join() !== after.join();
}
