/**
 * Leases: checks "bounded lease" (no lease outlasts what its last advertisement allows) and "no two leases"
 * (two hosts that hear each other do not hold leases for one virtual host). Follows every lease that the data
 * paths are given.
 */

import type { Transition } from "../../src/core/effect.ts";
import type { Micros } from "../../src/core/model.ts";
import { carpdevOf, type Heard, hearingSinceUs, intervalOf, isBowOut } from "./hearing.ts";
import { type LastSaid, Station } from "./station.ts";
import { Violation } from "./violation.ts";
import { keyOf } from "./virtual-hosts.ts";

/** Two clocks drift apart by at most this: each by 1 %. */
const MAX_DRIFT = 0.0202;
/** Time to read the socket, and the rounding of timers to milliseconds. */
const PROCESSING_US: Micros = 3_000;
const ROUNDING_US = 2;
/** Three bits of the 8 of a tag decide each time. */
const MAX_COLLISIONS = 3;

/** The longest lease that an advertisement allows, given the quickest peer that its sender has heard. */
export function longestLeaseUs(
  { advbase, intervalUs }: { readonly advbase: number; readonly intervalUs: Micros },
  quickestPeerUs: Micros,
): Micros {
  const peers = Math.min(advbase > 0 ? 3e6 * advbase : 3e6 / 256, 3 * quickestPeerUs);
  return Math.max(1.5 * intervalUs, peers);
}

function haveEqualSettings(a: Station, b: Station, key: string): boolean {
  const [one, other] = [a.settings(key), b.settings(key)];
  return one.intervalUs === other.intervalUs && one.demote === other.demote;
}

interface Together {
  sinceUs: Micros;
  /** The settings of both hosts when it began. */
  readonly settings: string;
}

function settingsOfBoth(a: Station, b: Station, key: string): string {
  const [first, second] = a.id < b.id ? [a, b] : [b, a];
  return JSON.stringify([first.settings(key), second.settings(key)]);
}

/** What a virtual host has heard of the others. */
class Hearsay {
  /** The intervals since it runs, when it heard each last, and how many advertisements it had heard by then. */
  readonly intervals = new Map<Micros, { readonly atUs: Micros; readonly nth: number }>();
  /** The latest counter from each host. */
  readonly counters = new Map<number, bigint>();
}

export class Leases {
  /** By the host's id, then by the virtual host. */
  readonly #heard: (Map<string, Hearsay> | undefined)[] = [];
  /** Pairs of hosts that hold leases for one virtual host, by `host0 host1 carp0/1`. */
  readonly #together = new Map<string, Together>();
  /** Whether a state or lease of a host has changed since the last check, by its id. */
  readonly #touched: boolean[] = [];
  /** Leases granted for an advertisement that is still to leave, by the host's id. */
  readonly #owed: (Set<string> | undefined)[] = [];

  heard(station: Station, heard: Heard): void {
    const by = this.#heardBy(station, heard.key);
    station.heardCount++;
    if (!isBowOut(heard)) by.intervals.set(heard.intervalUs, { atUs: station.us, nth: station.heardCount });
    // A replayed frame was accepted: the hosts are not to blame for what follows.
    if (heard.from === undefined) station.disturbed();
    else by.counters.set(heard.from, heard.counter);
  }

  #heardBy(station: Station, key: string): Hearsay {
    let ofStation = this.#heard[station.id];
    if (ofStation === undefined) {
      ofStation = new Map();
      this.#heard[station.id] = ofStation;
    }
    let heard = ofStation.get(key);
    if (heard === undefined) {
      heard = new Hearsay();
      ofStation.set(key, heard);
    }
    return heard;
  }

  changed(station: Station, transition: Transition, own: { intervalUs: Micros }): void {
    this.#touched[station.id] = true;
    const key = keyOf(transition.interface, transition.vhid);
    if (transition.from === "INIT") this.#heardBy(station, key).intervals.clear();
    if (transition.reason.kind === "master-silent") this.#checkSilence(station, key, own.intervalUs);
  }

  /** A takeover for silence: the lease of each host that was heard must have ended. */
  #checkSilence(station: Station, key: string, intervalUs: Micros): void {
    const { us } = station.world;
    for (const other of this.#others(station, key)) {
      const said = other.lastSaid.get(key);
      const heard = this.#heardBy(station, key).counters.get(other.id);
      if (said === undefined || heard !== said.counter) continue;
      const allowedUs = this.#allowedUs(other, key, said);
      if (3 * intervalUs < allowedUs) continue;
      const leftUs = other.leaseEndUs(key) - us;
      if (leftUs > MAX_DRIFT * allowedUs + ROUNDING_US)
        throw new Violation(
          "no two leases",
          `${station.name} ${key}: takes over for silence while ${other.name}, whose last advertisement it has heard, holds its lease for ${leftUs} us more`,
        );
    }
  }

  leaseChanges(station: Station, name: string, vhid: number, untilUs: Micros): void {
    this.#touched[station.id] = true;
    const key = keyOf(name, vhid);
    if (untilUs > 0) this.#checkBounds(station, name, vhid, untilUs);
    this.#checkTogether(station, key, untilUs);
  }

  /** Called when the immediate effects of an event are done. */
  done(station: Station): void {
    if (this.#touched[station.id]) this.#checkStates(station);
    this.#touched[station.id] = false;
    this.#checkOwed(station);
  }

  /** Checks that a lease granted for an advertisement to come is taken back when that did not leave. */
  #checkOwed(station: Station): void {
    const owed = this.#owed[station.id];
    if (owed === undefined || owed.size === 0 || station.engine?.isBusy) return;
    for (const key of owed) {
      const said = station.lastSaid.get(key);
      const untilUs = station.leases.get(key) ?? 0;
      // A host that bowed out keeps its lease until its successor is heard.
      if (said !== undefined && isBowOut(said)) continue;
      if (untilUs > station.us && untilUs > this.#endUs(station, key, said))
        throw new Violation("bounded lease", `${station.name} ${key}: a lease without an advertisement`);
    }
    owed.clear();
  }

  /** Checks that only a MASTER has a lease. */
  #checkStates(station: Station): void {
    for (const [key, state] of station.states)
      if (state !== "MASTER" && (station.leases.get(key) ?? 0) > station.us)
        throw new Violation("bounded lease", `${station.name} ${key}: a lease in ${state}`);
  }

  #checkBounds(station: Station, name: string, vhid: number, untilUs: Micros): void {
    const key = keyOf(name, vhid);
    const state = station.states.get(key);
    if (state !== "MASTER")
      throw new Violation("bounded lease", `${station.name} ${key}: a lease is given in ${state}`);
    const endUs = this.#endUs(station, key, station.lastSaid.get(key));
    if (untilUs <= endUs) {
      // Its advertisement has left: a quicker peer heard after that does not shorten this lease.
      this.#owed[station.id]?.delete(key);
      return;
    }
    // Granted before the device was ready: settings and peers of the meantime count when the advertisement
    // has left.
    const { us } = station;
    const advbase = station.settings(key).advbase + 1;
    const mostUs = longestLeaseUs(
      { advbase, intervalUs: intervalOf(advbase, 254) },
      Number.POSITIVE_INFINITY,
    );
    if (untilUs > us + mostUs + ROUNDING_US)
      throw new Violation(
        "bounded lease",
        `${station.name} ${key}: a lease for ${untilUs - us} us, and for ${untilUs - endUs} us longer than its last advertisement allows`,
      );
    this.#owed[station.id] ??= new Set();
    this.#owed[station.id]?.add(key);
  }

  #allowedUs(station: Station, key: string, { advbase, advskew, leftUs, heardCount }: LastSaid): Micros {
    let quickestUs = Number.POSITIVE_INFINITY;
    // An interval that was not heard again may be forgotten after a minute. What is heard after it has left shortens no
    // lease; an engine that was stalled does much at one time.
    for (const [us, { atUs, nth }] of this.#heardBy(station, key).intervals)
      if (nth <= heardCount && leftUs - atUs < Math.max(60e6, 4 * us) - PROCESSING_US && us < quickestUs)
        quickestUs = us;
    return longestLeaseUs({ advbase, intervalUs: intervalOf(advbase, advskew) }, quickestUs);
  }

  #endUs(station: Station, key: string, said: LastSaid | undefined): Micros {
    if (said === undefined || isBowOut(said)) return 0;
    return said.leftUs + this.#allowedUs(station, key, said) + ROUNDING_US;
  }

  #others(station: Station, key: string): Station[] {
    const segment = station.segmentOf(carpdevOf(station, key));
    return (segment?.plugs ?? []).filter(
      (each): each is Station => each instanceof Station && each !== station,
    );
  }

  #checkTogether(station: Station, key: string, untilUs: Micros): void {
    const { us } = station.world;
    const endUs = station.leaseEndUs(key);
    const isHeld = untilUs > station.us;
    if (!isHeld && this.#together.size === 0) return;
    for (const other of station.segmentOf(carpdevOf(station, key))?.plugs ?? []) {
      if (!(other instanceof Station) || other === station) continue;
      const otherEndUs = other.leaseEndUs(key);
      const goesOn = otherEndUs > us && isHeld;
      if (!goesOn && this.#together.size === 0) continue;
      const pair = station.id < other.id ? [station, other] : [other, station];
      const of = `${pair[0]?.name} ${pair[1]?.name} ${key}`;
      const together = this.#together.get(of);
      if (together !== undefined) this.#judge(station, other, key, together, Math.min(us, endUs, otherEndUs));
      if (!goesOn) this.#together.delete(of);
      else if (together === undefined || Math.min(endUs, otherEndUs) < us)
        this.#together.set(of, { sinceUs: us, settings: settingsOfBoth(station, other, key) });
    }
  }

  #judge(a: Station, b: Station, key: string, together: Together, untilUs: Micros): void {
    const { us } = a.world;
    const hearingUs = hearingSinceUs(a, b, key);
    if (hearingUs === undefined) {
      together.sinceUs = us;
      return;
    }
    const flightUs = a.segmentOf(carpdevOf(a, key))?.flightUs ?? 0;
    const interval = Math.max(...[a, b].map((each) => each.settings(key).intervalUs));
    // When more than two take over together, of whatever implementation, each hears advertisements from before the others gave way and
    // takes over again; the one that stays answers eight of them at once, and the next one within an eighth
    // of its interval, by timers that are late each time.
    const isCrowd = (a.segmentOf(carpdevOf(a, key))?.plugs.length ?? 0) > 2;
    // Two equal ones that stay and sign in the same quarter second make one counter, and each takes the other's for its
    // own: the next one, an eighth of the interval later, differs by three bits of their tags, if those differ.
    const collisions = a.signsHeader && b.signsHeader && haveEqualSettings(a, b, key) ? MAX_COLLISIONS : 0;
    const crowdUs = interval / 4 + PROCESSING_US + collisions * (interval / 8 + flightUs + PROCESSING_US);
    // A host whose settings improved meanwhile is still answered by its earlier advertisement: one round
    // more.
    const rounds = together.settings === settingsOfBoth(a, b, key) ? 1 : 2;
    const shortUs = rounds * 2 * flightUs + PROCESSING_US + (isCrowd ? crowdUs : 0);
    // A fault that ended so long ago cannot be the cause: no advertisement was lost, and no host still waits.
    const isFaultless = together.sinceUs - hearingUs > 10 * interval;
    const fromUs = isFaultless
      ? together.sinceUs
      : Math.max(together.sinceUs, hearingUs, a.commandedAtUs, b.commandedAtUs);
    const forUs = untilUs - fromUs;
    if (forUs > (isFaultless ? shortUs : shortUs + 2 * flightUs + interval * (1 + MAX_DRIFT)))
      throw new Violation(
        "no two leases",
        `${key}: ${a.name} and ${b.name} hold a lease together for ${forUs} us${isFaultless ? "" : ", although they hear each other"}`,
      );
  }
}
