/**
 * Masters: checks "one master" (a segment without faults for long enough has exactly one MASTER of each
 * virtual host, among the hosts that accept each other's digests) and "one accepts" (with balancing exactly
 * one host accepts each packet).
 */

import type { Micros } from "../../src/core/model.ts";
import { addressBytes, formatAddress } from "../../src/protocol/address.ts";
import { nodeIndex } from "../oracle/load-sharing.ts";
import { Foreign } from "./foreign.ts";
import { carpdevOf } from "./hearing.ts";
import type { Segment } from "./segment.ts";
import { Station } from "./station.ts";
import { Violation } from "./violation.ts";
import { keyOf } from "./virtual-hosts.ts";

/** The greatest ratio of two clocks' rates: each drifts by up to 1 %. */
const MAX_DRIFT = 1.0202;
/** Time for late timers, reads, changes of devices, and reports of links. */
const PROCESSING_US: Micros = 50_000;
/** Other implementations leave a tie to their timers, which may take several rounds. */
const FOREIGN_ROUNDS = 4;

const CLIENTS = {
  4: Array.from({ length: 16 }, (_, i) => addressBytes(`192.0.2.${i * 13 + 1}`)),
  6: Array.from({ length: 16 }, (_, i) => addressBytes(`2001:db8:ffff::${(i * 13 + 1).toString(16)}`)),
};

interface Participant {
  readonly host: Station | Foreign;
  readonly isMaster: boolean;
  readonly intervalUs: Micros;
}

/** The hosts that accept each other's digests for a virtual host, by its key and secret. */
export type Groups = ReadonlyMap<string, readonly Participant[]>;

/** Time a segment must be quiet before `checkMasters` applies; undefined: its hosts never settle. */
export function settlesWithinUs(segment: Segment, groups: Groups): Micros | undefined {
  let longestUs = 0;
  for (const participants of groups.values()) {
    const intervals = participants.map(({ intervalUs }) => intervalUs);
    longestUs = Math.max(longestUs, ...intervals);
    // A MASTER so slow that a BACKUP does not wait for its next advertisement is no cluster with it.
    if (Math.max(...intervals) * MAX_DRIFT + segment.flightUs + PROCESSING_US >= 3 * Math.min(...intervals))
      return undefined;
  }
  const rounds = segment.plugs.some((each) => each instanceof Foreign) ? FOREIGN_ROUNDS : 1;
  return rounds * (4 * longestUs * MAX_DRIFT + 4 * segment.flightUs + PROCESSING_US);
}

/** Since when no host and no path of the segment has a fault; undefined: one has. */
export function quietSinceUs(segment: Segment): Micros | undefined {
  let sinceUs = 0;
  for (const plugged of segment.plugs) {
    if (plugged instanceof Station) {
      if (plugged.isImpaired || plugged.slowDeviceUs > 0 || plugged.engine?.isBusy || plugged.isStopping)
        return undefined;
      sinceUs = Math.max(sinceUs, plugged.disturbedAtUs, plugged.commandedAtUs);
    } else if (plugged instanceof Foreign) sinceUs = Math.max(sinceUs, plugged.disturbedAtUs);
    for (const other of segment.plugs) {
      const clearUs = segment.clearSinceUs(plugged, other);
      if (clearUs === undefined) return undefined;
      sinceUs = Math.max(sinceUs, clearUs);
    }
  }
  return sinceUs;
}

/** Checks "one master" for a segment that had time to settle, and that every part of its hosts is in place. */
export function checkMasters(segment: Segment, groups: Groups): void {
  for (const host of segment.plugs)
    if (host instanceof Station && host.unplaced.size > 0)
      throw new Violation(
        "serves",
        `${host.name}: ${[...host.unplaced].join(", ")} not in place, long after the last fault`,
      );
  for (const [group, participants] of groups) {
    const masters = participants.filter(({ isMaster }) => isMaster).map(({ host }) => host.name);
    if (masters.length !== 1)
      throw new Violation(
        "one master",
        `${group.split("|")[0]} has ${masters.length} masters (${masters}) of ${participants.length} hosts, long after the last fault`,
      );
  }
}

/** Checks "one accepts": once each node has one lease, one host accepts each packet to a balanced address. */
export function checkBalancing(segment: Segment): void {
  const stations = segment.plugs.filter((each) => each instanceof Station);
  for (const name of balanced(stations)) {
    const balancing = stations.flatMap((station) => {
      const filter = station.filters.get(name);
      const isHere = carpdevOf(station, `${name}/`) === segment.carpdev;
      return isHere && filter !== undefined && filter.vhids.length > 1 ? [{ station, filter }] : [];
    });
    const nodes = new Set(balancing.flatMap(({ filter }) => filter.vhids));
    const secrets = (station: Station) =>
      [...nodes].map((vhid) => station.virtualHosts.secretOf(keyOf(name, vhid))).join();
    const holders = (vhid: number) => balancing.filter(({ station }) => holds(station, keyOf(name, vhid)));
    const isWhole =
      balancing.every(({ filter }) => filter.vhids.length === nodes.size) &&
      [...nodes].every((vhid) => holders(vhid).length === 1) &&
      new Set(balancing.map(({ station }) => secrets(station))).size === 1;
    if (!isWhole) continue;
    for (const { family, address } of balancing[0]?.filter.addresses ?? []) {
      const indices = nodeIndices(family, address, nodes.size);
      for (const [i, client] of CLIENTS[family].entries()) {
        const accepting = balancing.filter(({ station, filter }) => {
          const vhid = filter.vhids[indices[i] as number];
          return vhid !== undefined && holds(station, keyOf(name, vhid));
        });
        if (accepting.length !== 1)
          throw new Violation(
            "one accepts",
            `${name}: ${accepting.length} hosts accept a packet from ${formatAddress(client)} to ${address}`,
          );
      }
    }
  }
}

/** The interfaces that some host balances. */
function balanced(stations: readonly Station[]): Set<string> {
  const names = new Set<string>();
  for (const { filters } of stations)
    for (const [name, { vhids }] of filters) if (vhids.length > 1) names.add(name);
  return names;
}

const knownIndices = new Map<string, readonly number[]>();

/** The node that each client's packets to an address are for, of so many nodes. */
function nodeIndices(family: 4 | 6, address: string, nodes: number): readonly number[] {
  const key = `${address} ${nodes}`;
  const known = knownIndices.get(key);
  if (known !== undefined) return known;
  const shared = addressBytes(address);
  const indices = CLIENTS[family].map((client) => nodeIndex(client, shared, nodes));
  knownIndices.set(key, indices);
  return indices;
}

function holds(station: Station, key: string): boolean {
  return station.leaseEndUs(key) > station.world.us;
}

export function groupsOf(segment: Segment): Groups {
  const found = new Map<string, Participant[]>();
  const add = (group: string, participant: Participant) => {
    const participants = found.get(group);
    if (participants === undefined) found.set(group, [participant]);
    else participants.push(participant);
  };
  for (const plugged of segment.plugs)
    if (plugged instanceof Foreign) plugged.participate(segment, add);
    else if (plugged instanceof Station && plugged.engine !== undefined) participate(plugged, segment, add);
  return found;
}

function participate(
  station: Station,
  segment: Segment,
  add: (group: string, participant: Participant) => void,
): void {
  for (const [key, state] of station.states) {
    const virtualHost = station.virtualHosts.get(key);
    if (state === "INIT" || virtualHost?.configuration.carpdev !== segment.carpdev) continue;
    const { intervalUs } = station.settings(key);
    const isMaster = state === "MASTER" && holds(station, key);
    add(station.graceUs > 0 ? key : virtualHost.group, { host: station, isMaster, intervalUs });
  }
}
