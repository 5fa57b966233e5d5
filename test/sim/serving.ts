/**
 * Serving: checks "serves" (no host that cannot answer for a virtual host stays MASTER of it beside one that can).
 * Looks at the hosts of a segment now and then.
 */

import type { Micros } from "../../src/core/model.ts";
import { carpdevOf, shareSecret } from "./hearing.ts";
import type { Segment } from "./segment.ts";
import { Station } from "./station.ts";
import { Violation } from "./violation.ts";
import { nameOf } from "./virtual-hosts.ts";

/** Two clocks drift apart by 1 % each; and time for late timers, reads and changes of devices. */
const MAX_DRIFT = 1.0202;
const PROCESSING_US: Micros = 50_000;

export class Serving {
  /** Since when a host has been MASTER without being able to answer, beside one that is able, by both and the key. */
  readonly #since = new Map<string, Micros>();

  /** Whether there is nothing to look at until a host lacks a part. */
  isIdle(segment: Segment): boolean {
    return this.#since.size === 0 && stationsOn(segment).every(({ unplaced }) => unplaced.size === 0);
  }

  check(segment: Segment): void {
    const stations = stationsOn(segment);
    for (const station of stations)
      for (const [key, state] of station.states) {
        const isWrong = state === "MASTER" && isAmiss(station, key);
        if (!isWrong && this.#since.size === 0) continue;
        if (carpdevOf(station, key) !== segment.carpdev) continue;
        for (const other of stations) {
          if (other === station) continue;
          const pair = `${station.id} ${other.id} ${key}`;
          if (!isWrong || !couldBe(other, key, station, segment)) this.#since.delete(pair);
          else this.#judge(pair, station, other, key, segment);
        }
      }
  }

  #judge(pair: string, station: Station, other: Station, key: string, segment: Segment): void {
    const { us } = station.world;
    const sinceUs = this.#since.get(pair) ?? us;
    this.#since.set(pair, sinceUs);
    const longestUs = Math.max(...[station, other].map((each) => each.settings(key).intervalUs));
    if (us - sinceUs > 3 * longestUs * MAX_DRIFT + 2 * segment.flightUs + PROCESSING_US)
      throw new Violation(
        "serves",
        `${station.name} ${key}: MASTER for ${us - sinceUs} us without ${[...station.unplaced].join(" and ")}, beside ${other.name}`,
      );
  }
}

function stationsOn({ plugs }: Segment): Station[] {
  return plugs.filter((each) => each instanceof Station);
}

/** Whether the host runs undisturbed, and has not got all of the interface in place. */
function isAmiss(station: Station, key: string): boolean {
  return isAble(station) && !hasParts(station, key);
}

function hasParts(station: Station, key: string): boolean {
  if (station.unplaced.size === 0) return true;
  const name = nameOf(key);
  const parts = [`device ${name}`, `filter ${name}`, `listening ${carpdevOf(station, key)}`];
  return !parts.some((part) => station.unplaced.has(part));
}

/** Whether the engine runs, with nothing under way, and can send and hear, apart from sockets not in place. */
function isAble({ engine, slowDeviceUs, sendFault, allows, isStopping }: Station): boolean {
  if (engine === undefined || engine.isStalled || engine.isBusy) return false;
  return slowDeviceUs === 0 && sendFault === undefined && allows && !isStopping;
}

/** Whether the other host, which the first one hears and is heard by, could be MASTER in its place. */
function couldBe(other: Station, key: string, station: Station, segment: Segment): boolean {
  const carpdev = segment.carpdev;
  const canHear = [station, other].every((each) => each.links.get(carpdev)?.carrier);
  const isClear = [segment.clearSinceUs(station, other), segment.clearSinceUs(other, station)].every(
    (sinceUs) => sinceUs !== undefined,
  );
  if (!canHear || !isClear || !isAble(other) || other.faults.size > 0 || !hasParts(other, key)) return false;
  if (!shareSecret(station, other, key)) return false;
  const [name, vhid] = key.split("/");
  const its = other.engine?.host.interfaces().find((each) => each.name === name);
  const node = its?.nodes.find((each) => each.vhid === Number(vhid));
  return node !== undefined && node.state !== "INIT" && node.demote === 0;
}
