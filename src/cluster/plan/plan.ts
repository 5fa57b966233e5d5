/**
 * What would happen: the files of several hosts run in the core that the engine runs, on a simulated network, through
 * every single failure: each host dies, loses each carpdev and is demoted, and each comes back. A failure begins just
 * after an advertisement, when it takes longest until it is noticed.
 */

import type { Command } from "../../core/command.ts";
import type { Family, InterfaceAddress, Link, Micros } from "../../core/model.ts";
import { type ConfiguredHost, type Member, nameOf } from "../member.ts";
import { ranking, vhidsOf } from "../ranking.ts";
import type { Segment as SegmentOfFiles, Shared } from "../segments.ts";
import { ownAddresses } from "../unicast.ts";
import { Holding, type Outcome, type VirtualHost } from "./holding.ts";
import { type Setup, Station } from "./station.ts";
import { SECOND, Segment, World } from "./world.ts";

export type Failure =
  | { readonly kind: "dies"; readonly host: string }
  | { readonly kind: "loses"; readonly host: string; readonly carpdev: string }
  | { readonly kind: "demoted"; readonly host: string };

/** One virtual host through one half of a failure. */
export interface Change {
  readonly virtualHost: VirtualHost;
  readonly before: readonly string[];
  readonly after: readonly string[];
  /** In which no host answered. */
  readonly silentUs: Micros;
  /** Until the last change of a state; 0: there was none. */
  readonly settledUs: Micros;
}

export interface Planned {
  readonly failure: Failure;
  /** Whether it ends: the host comes back. */
  readonly isOver: boolean;
  readonly changes: readonly Change[];
  /** The part of all virtual hosts that each host holds in the end. */
  readonly shares: ReadonlyMap<string, number>;
}

/** A cluster whose files have no errors. */
export interface Cluster {
  readonly hosts: readonly ConfiguredHost[];
  readonly segments: readonly SegmentOfFiles[];
}

/** More take minutes. */
const MOST_ADVERTISEMENTS = 1_000_000;

/** Why the cluster is too large to simulate; undefined: it is not. */
export function tooLarge(cluster: Cluster): string | undefined {
  const advertisements = advertisementsOf(cluster);
  return advertisements <= MOST_ADVERTISEMENTS
    ? undefined
    : `too large to simulate: ${advertisements} advertisements in ${failuresOf(cluster).length} failures, and at most ${MOST_ADVERTISEMENTS}`;
}

/** About as many are sent in all failures together. */
export function advertisementsOf(cluster: Cluster): number {
  const { settleUs, preemptDelayUs, longestIntervalUs } = timesOf(cluster);
  const trialUs = 3 * settleUs + preemptDelayUs + longestIntervalUs;
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
  return {
    longestIntervalUs,
    /** Two master-down times of the slowest host, when it is demoted as well. */
    settleUs: 6 * (longestIntervalUs + SECOND),
    preemptDelayUs: Math.min(MOST_DELAY_US, Math.max(0, ...hosts.map(preemptDelayUs))),
  };
}

export function plan(cluster: Cluster): Planned[] {
  return failuresOf(cluster).flatMap((failure) => new Trial(cluster).through(failure));
}

function failuresOf({ hosts, segments }: Cluster): Failure[] {
  return hosts
    .filter(({ members }) => members.length > 0)
    .flatMap(({ files: { name: host } }) => [
      { kind: "dies", host } as const,
      ...segments.flatMap((segment, at) => {
        const carpdev = carpdevOn(segment, host, at);
        return carpdev === undefined ? [] : [{ kind: "loses", host, carpdev } as const];
      }),
      { kind: "demoted", host } as const,
    ]);
}

/** The carpdev of the host on the segment, by a name of ours where the files have none; undefined: it is not there. */
function carpdevOn(segment: SegmentOfFiles, host: string, at: number): string | undefined {
  const port = segment.ports.find((each) => each.host === host);
  return port && (port.carpdev ?? `segment${at}`);
}

/** One run of the cluster, from its start. */
class Trial {
  readonly #world = new World();
  readonly #stations = new Map<string, Station>();
  readonly #holding: Holding;
  readonly #times: ReturnType<typeof timesOf>;

  constructor(cluster: Cluster) {
    const { hosts, segments } = cluster;
    this.#times = timesOf(cluster);
    this.#holding = new Holding(this.#world, segments.flatMap(virtualHostsOn));
    const wires = segments.map(() => new Segment());
    for (const [number, host] of hosts.entries()) {
      const { name } = host.files;
      const setup = setupOf(host, number, segments);
      const station = new Station(setup, this.#world, this.#holding);
      this.#stations.set(name, station);
      for (const [at, segment] of segments.entries()) {
        const carpdev = carpdevOn(segment, name, at);
        const wire = wires[at];
        if (carpdev === undefined || wire === undefined) continue;
        wire.plug(station, carpdev);
        station.wires.set(carpdev, wire);
      }
    }
  }

  through(failure: Failure): Planned[] {
    for (const station of this.#stations.values()) {
      station.start();
      this.#world.run(MOMENT_US);
    }
    this.#settle(0);
    const station = this.#stations.get(failure.host);
    if (station === undefined) throw new Error(`${failure.host}: no such host`);
    const begunUs = this.#world.us;
    this.#world.run(this.#times.longestIntervalUs, () => station.advertisedUs > begunUs);
    // Those of its other virtual hosts leave together with it.
    this.#world.run(MOMENT_US);
    const fault = this.#measured(failure, false, 0, () => begin(failure, station));
    return [fault, this.#measured(failure, true, this.#times.preemptDelayUs, () => end(failure, station))];
  }

  #measured(failure: Failure, isOver: boolean, extraUs: Micros, happens: () => void): Planned {
    const before = this.#holding.outcomes;
    this.#holding.begin();
    happens();
    this.#settle(extraUs);
    const after = this.#holding.outcomes;
    const changes = after.map(({ virtualHost, masters, silentUs, settledUs }, at) => ({
      virtualHost,
      before: before[at]?.masters ?? [],
      after: masters,
      silentUs,
      settledUs,
    }));
    return { failure, isOver, changes, shares: this.#shares(after) };
  }

  #settle(extraUs: Micros): void {
    this.#world.run(this.#times.settleUs + extraUs);
  }

  #shares(outcomes: readonly Outcome[]): Map<string, number> {
    const shares = new Map([...this.#stations.keys()].map((name) => [name, 0]));
    for (const { masters } of outcomes)
      for (const name of masters) shares.set(name, (shares.get(name) ?? 0) + 1 / outcomes.length);
    return shares;
  }
}

/** Between the starts of two hosts, and between the last advertisement and a failure. */
const MOMENT_US: Micros = 1_000;
/** A longer preemption delay is not waited for. */
const MOST_DELAY_US: Micros = 120 * SECOND;

function begin(failure: Failure, station: Station): void {
  if (failure.kind === "dies") station.die();
  else if (failure.kind === "loses") station.setCarrier(failure.carpdev, false);
  else station.command({ kind: "maintenance", on: true });
}

function end(failure: Failure, station: Station): void {
  if (failure.kind === "dies") station.start();
  else if (failure.kind === "loses") station.setCarrier(failure.carpdev, true);
  else station.command({ kind: "maintenance", on: false });
}

function preemptDelayUs({ variables, members }: ConfiguredHost): Micros {
  const seconds = members.map(
    ({ configuration }) => configuration.preemptdelay ?? variables.get("net.inet.carp.preempt_delay"),
  );
  return Math.max(0, ...seconds) * SECOND;
}

function virtualHostsOn(segment: SegmentOfFiles, at: number): VirtualHost[] {
  return segment.shared.flatMap((shared) =>
    vhidsOf(shared).map((vhid) => ({
      vhid,
      addresses: addressesOf(shared),
      members: new Map(
        shared.members.map((member) => [
          nameOf(member),
          {
            interface: member.configuration.name,
            carpdev: carpdevOn(segment, nameOf(member), at) ?? "",
          },
        ]),
      ),
    })),
  );
}

function addressesOf({ members }: Shared): string[] {
  return [
    ...new Set(members.flatMap(({ configuration }) => configuration.addresses.map(({ address }) => address))),
  ];
}

/** Stands for the pass, which is the same on all hosts or not known. */
const PASS = "plan";

function setupOf(host: ConfiguredHost, number: number, segments: readonly SegmentOfFiles[]): Setup {
  const { name, settings = [] } = host.files;
  const links: Link[] = [];
  const commands: Command[] = [{ kind: "set-sysctl", writes: settings }];
  for (const [at, segment] of segments.entries()) {
    const carpdev = carpdevOn(segment, name, at);
    if (carpdev === undefined) continue;
    links.push(linkOf(carpdev, number, at, ownAddressesOn(segment, name, number, at)));
    for (const { members } of segment.shared)
      for (const { host: of, file } of members)
        if (of === host)
          commands.push({
            kind: "replace",
            name: file.interface,
            change: { ...file.change, carpdev, pass: PASS, state: undefined },
          });
  }
  return { name, links, commands };
}

function linkOf(name: string, host: number, at: number, addresses: readonly InterfaceAddress[]): Link {
  const hex = (byte: number) => (byte & 0xff).toString(16).padStart(2, "0");
  const mac = `02:00:${hex(at >> 8)}:${hex(at)}:${hex(host >> 8)}:${hex(host)}`;
  return { name, index: at + 2, mac, mtu: 65_535, up: true, carrier: true, addresses };
}

/**
 * Own addresses of the hosts, which the files do not tell: the ones that the peers list, or any. All peers are on the
 * link.
 */
function ownAddressesOn(
  segment: SegmentOfFiles,
  host: string,
  number: number,
  at: number,
): InterfaceAddress[] {
  const listed = ([4, 6] as const).flatMap((family) =>
    segment.shared.flatMap(({ members }) => ownAddressIn(members, host, family) ?? []),
  );
  const invented = (family: Family) =>
    family === 4 ? `198.18.${at & 255}.${(number & 127) + 1}` : `fe80::${at + 1}:${number + 1}`;
  return ([4, 6] as const).flatMap((family) => {
    const own = [...new Set(listed.filter((address) => address.includes(":") === (family === 6)))];
    return (own.length > 0 ? own : [invented(family)]).map((address) => ({
      family,
      address,
      prefixLength: 0,
    }));
  });
}

function ownAddressIn(members: readonly Member[], host: string, family: Family): string | undefined {
  const at = members.findIndex((member) => nameOf(member) === host);
  return at < 0 ? undefined : ownAddresses(members, family)?.[at];
}

export function isChanged({ before, after, silentUs }: Change): boolean {
  return silentUs > 0 || before.join() !== after.join();
}
