/**
 * Who is MASTER when a segment has been left alone for long enough: exactly one host, of every virtual host and
 * among those that believe each other. And that with balancing exactly one of them takes each packet.
 */

import type { Micros } from "../../src/core/event.ts";
import { addressBytes, formatAddress } from "../../src/protocol/address.ts";
import { nodeIndex } from "../../src/protocol/load-sharing.ts";
import { Foreign } from "./foreign.ts";
import { carpdevOf } from "./hearing.ts";
import type { Plugged, Segment } from "./segment.ts";
import { Station } from "./station.ts";
import { Violation } from "./violation.ts";

/** Clocks run apart by up to 1 % either way. */
const APART = 1.0202;
/** Timers, reading, changing devices, and telling of links. */
const PROCESSING_US: Micros = 50_000;
/** Other implementations leave a tie to their timers, again and again. */
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

/** How long a segment has to be left alone before `check` has anything to say of it; undefined: it never has. */
export function settlesWithinUs(segment: Segment): Micros | undefined {
  let longestUs = 0;
  let shortestUs = Number.POSITIVE_INFINITY;
  for (const participants of groups(segment).values()) {
    const intervals = participants.map(({ intervalUs }) => intervalUs);
    longestUs = Math.max(longestUs, ...intervals);
    shortestUs = Math.min(shortestUs, ...intervals);
    // A MASTER so slow that a BACKUP does not wait for its next advertisement is no cluster with it.
    if (Math.max(...intervals) * APART + segment.flightUs + PROCESSING_US >= 3 * Math.min(...intervals))
      return undefined;
  }
  const rounds = segment.plugs.some((each) => each instanceof Foreign) ? FOREIGN_ROUNDS : 1;
  return rounds * (4 * longestUs * APART + 4 * segment.flightUs + PROCESSING_US);
}

/** Since when nothing has been wrong with any host or way; undefined: something is. */
export function quietSinceUs(segment: Segment): Micros | undefined {
  let sinceUs = 0;
  for (const plugged of segment.plugs) {
    if (plugged instanceof Station) {
      if (plugged.engine?.isStalled || plugged.sendError !== undefined || !plugged.allows) return undefined;
      if (plugged.slowDeviceUs > 0 || plugged.engine?.isBusy || plugged.isStopping) return undefined;
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

/** Of a segment that had its time to settle. */
export function checkMasters(segment: Segment): void {
  for (const [group, participants] of groups(segment)) {
    const masters = participants.filter(({ isMaster }) => isMaster).map(({ host }) => host.name);
    if (masters.length !== 1)
      throw new Violation(
        "one master",
        `${group.split("|")[0]} has ${masters.length} masters (${masters}) of ${participants.length} hosts, long after the last fault`,
      );
  }
}

/** Every packet to a balanced address is accepted by one host, as soon as each node is held by one. */
export function checkBalancing(segment: Segment): void {
  const stations = segment.plugs.filter((each) => each instanceof Station);
  const names = new Set(stations.flatMap(({ filters }) => [...filters.keys()]));
  for (const name of names) {
    const balancing = stations.flatMap((station) => {
      const filter = station.filters.get(name);
      const isHere = carpdevOf(station, `${name}/`) === `eth${segment.index}`;
      return isHere && filter !== undefined && filter.vhids.length > 1 ? [{ station, filter }] : [];
    });
    const nodes = new Set(balancing.flatMap(({ filter }) => filter.vhids));
    const secrets = (station: Station) =>
      [...nodes].map((vhid) => station.secrets.get(`${name}/${vhid}`)).join();
    const holders = (vhid: number) => balancing.filter(({ station }) => holds(station, `${name}/${vhid}`));
    const isWhole =
      new Set(balancing.map(({ station }) => secrets(station))).size === 1 &&
      balancing.every(({ filter }) => filter.vhids.length === nodes.size) &&
      [...nodes].every((vhid) => holders(vhid).length === 1);
    if (!isWhole) continue;
    for (const { family, address } of balancing[0]?.filter.addresses ?? []) {
      const shared = addressBytes(address);
      for (const client of CLIENTS[family]) {
        const accepting = balancing.filter(({ station, filter }) => {
          const vhid = filter.vhids[nodeIndex(client, shared, filter.vhids.length)];
          return holds(station, `${name}/${vhid}`);
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

function holds(station: Station, key: string): boolean {
  return station.leaseEndUs(key) > station.world.us;
}

/** Hosts that believe each other about a virtual host, by what it is. */
function groups(segment: Segment): Map<string, Participant[]> {
  const found = new Map<string, Participant[]>();
  for (const plugged of segment.plugs)
    for (const [key, secret, participant] of participations(segment, plugged)) {
      const group = `${key}|${secret}`;
      found.set(group, [...(found.get(group) ?? []), participant]);
    }
  return found;
}

function participations(segment: Segment, plugged: Plugged): [string, string, Participant][] {
  if (plugged instanceof Foreign) return plugged.participations(segment);
  if (!(plugged instanceof Station) || plugged.engine === undefined) return [];
  return [...plugged.states].flatMap(([key, state]) => {
    const secret = plugged.secrets.get(key);
    if (state === "INIT" || secret === undefined || carpdevOf(plugged, key) !== `eth${segment.index}`)
      return [];
    const { intervalUs } = plugged.settings(key);
    const isMaster = state === "MASTER" && holds(plugged, key);
    return [[key, secret, { host: plugged, isMaster, intervalUs }]];
  });
}
