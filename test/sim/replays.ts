/**
 * Replays: which counters a host has to refuse, which it has to believe, and which it may do either with.
 * Computed from who made each counter and when, which no host can know.
 */

import type { Micros } from "../../src/core/model.ts";
import type { Heard } from "./hearing.ts";
import type { Station } from "./station.ts";
import type { World } from "./world.ts";

/** What the protocol demands for an advertisement with a valid digest. */
export type Due = "accept" | "refuse" | "either";

/** The fields that no digest covers. */
interface Fields {
  readonly advbase: number;
  readonly advskew: number;
  readonly demote: number;
}

interface Made extends Fields {
  readonly host: number;
  readonly isOurs: boolean;
}

/** Every counter sent, by its world, with the host that made it; those that differ in the low 8 bits alone together. */
const made = new WeakMap<World, Map<bigint, Map<bigint, Made>>>();
const NEAR_BITS = 8n;

function madeNear(world: World, counter: bigint): ReadonlyMap<bigint, Made> | undefined {
  return made.get(world)?.get(counter >> NEAR_BITS);
}

function originOf(world: World, counter: bigint): Made | undefined {
  return madeNear(world, counter)?.get(counter);
}

/** Notes a counter that a host sends. */
export function noteMade(world: World, counter: bigint, by: Made): void {
  const all = made.get(world) ?? new Map<bigint, Map<bigint, Made>>();
  made.set(world, all);
  const near = all.get(counter >> NEAR_BITS) ?? new Map<bigint, Made>();
  all.set(counter >> NEAR_BITS, near);
  const former = near.get(counter);
  // Another implementation counts on to a counter of ours: either may have sent it.
  if (former === undefined || former.isOurs) near.set(counter, by);
}

/** What one virtual host of ours has heard and sent. */
export class Memory {
  /** The latest advertisements accepted, of this engine. */
  heard: readonly Heard[] = [];
  /** The greatest time among the counters of ours that this engine has sent, or heard from known hosts. */
  greatestUs = 0n;
  /** The greatest time among all counters of ours that this host has sent or accepted, and when. */
  everUs = 0n;
  everAtUs: Micros = 0;
  /** The greatest time that any engine of this host has sent. */
  sentUs = 0n;
  /** The last counter accepted from each host, and whether its counters advance with the clock. */
  readonly hosts = new Map<number, { us: bigint; atUs: Micros; inStep: number; isKnown: boolean }>();

  /** The engine is gone: what it has not saved is forgotten. */
  restart(): void {
    this.heard = [];
    this.greatestUs = 0n;
    this.hosts.clear();
  }

  note(us: bigint, atUs: Micros): void {
    if (us <= this.everBy(atUs)) return;
    this.everUs = us;
    this.everAtUs = atUs;
  }

  /** The time that counters of ours may have reached by now. */
  everBy(atUs: Micros): bigint {
    return this.everUs + BigInt(Math.ceil(Math.max(0, atUs - this.everAtUs) * 1.03));
  }
}

/** A new counter may be this far below the greatest one. */
const WINDOW_US = 10_000_000n;
/** What an engine has sent since it saved its counters may be this far above what the next one knows. */
const SAVED_US = 60_000_000n;
const SIGNED_UNIT_US = 250_000n;
const SIGNED_EPOCH_US = 1_577_836_800_000_000n;
/** Signed counters are greater than every time of day. */
const LEAST_SIGNED = 2n ** 56n;
/** A repetition within a unit: it must be accepted this soon, and never later than that. */
const REPEATED_WITHIN_US: Micros = 300_000;

export function isSigned(counter: bigint): boolean {
  return counter >= LEAST_SIGNED;
}

/** The time of a counter of ours. */
export function timeOf(counter: bigint): bigint {
  return isSigned(counter) ? SIGNED_EPOCH_US + (counter >> 31n) * SIGNED_UNIT_US : counter;
}

/** Notes that a host of ours sends this counter. */
export function noteSent(station: Station, key: string, counter: bigint, fields: Fields): void {
  noteMade(station.world, counter, { host: station.id, isOurs: true, ...fields });
  const memory = station.memory(key);
  const us = timeOf(counter);
  if (us > memory.greatestUs) memory.greatestUs = us;
  if (us > memory.sentUs) memory.sentUs = us;
  memory.note(us, station.now.us);
}

/** Returns what the protocol demands for an advertisement that is not this host's own latest. */
export function dueFor(station: Station, heard: Heard): Due {
  const origin = originOf(station.world, heard.counter);
  // Not in a run: a frame whose digest is valid was made by a host.
  if (origin === undefined) return "either";
  // A recording of another implementation may be refused, but is not as a rule.
  const isRecording = heard.from === undefined;
  if (!origin.isOurs) return isRecording || looksLikeOurs(station, heard.counter) ? "either" : "accept";
  const memory = station.memory(heard.key);
  const us = timeOf(heard.counter);
  // A stalled engine reads what came before it sent the greatest counter.
  const stalledUs = BigInt(Math.ceil(1.05 * (station.now.us - heard.receivedUs)));
  const isOld = us + WINDOW_US <= memory.greatestUs - stalledUs;
  const isNew = us + WINDOW_US > memory.everBy(heard.receivedUs);
  if (station.strictReplay) {
    if (isSigned(heard.counter) && !isUnchanged(heard, origin)) return "refuse";
    return isOld ? "refuse" : dueOnce(memory, heard, isNew);
  }
  if (isSigned(heard.counter)) {
    if (!station.signsHeader) return "accept";
    if (!isUnchanged(heard, origin) || isOld) return "refuse";
    return dueOnce(memory, heard, isNew);
  }
  const isOwn = origin.host === station.id;
  if (isNew && !isOwn) return "accept";
  const isSaved = isOwn && us + WINDOW_US + SAVED_US <= memory.sentUs - stalledUs;
  const isKnown = isOwn || memory.hosts.get(origin.host)?.isKnown === true;
  return (isSaved || (isOld && isKnown)) && !isBesideAnother(station.world, heard.counter, origin)
    ? "refuse"
    : "either";
}

/**
 * Whether another host of ours made a counter so close that it could be another implementation's, which
 * counts by one. A host that is not known yet leaves such a counter when both take over within the same
 * microseconds.
 */
function isBesideAnother(world: World, counter: bigint, { host }: Made): boolean {
  const near = [-256n, 0n, 256n].map((step) => madeNear(world, counter + step));
  for (const some of near)
    for (const [beside, by] of some ?? [])
      if (by.host !== host && beside - counter < 256n && counter - beside < 256n) return true;
  return false;
}

/** Whether another implementation's counter could be one of ours by its low bits. */
function looksLikeOurs(station: Station, counter: bigint): boolean {
  if (counter < 1_577_836_800_000_000n) return false;
  if (counter >= 4_102_444_800_000_000n) return station.signsHeader && isSigned(counter);
  // Its first word is refused where it has the tag of a host of ours, if that is long ago.
  return station.tagsAround().has(Number(counter % 256n));
}

function isUnchanged(heard: Heard, origin: Fields): boolean {
  return (["advbase", "advskew", "demote"] as const).every((field) => heard[field] === origin[field]);
}

/** A counter is heard once, and once over the other family at once; signed ones repeat within a unit. */
function dueOnce({ heard: known }: Memory, heard: Heard, isNew: boolean): Due {
  const copies = known.filter(({ counter }) => counter === heard.counter);
  const [first] = copies;
  if (first === undefined) return isNew ? "accept" : "either";
  const isUnchangedSince = isUnchanged(heard, first);
  const sinceUs = heard.receivedUs - first.receivedUs;
  const isOther = copies.every(({ source }) => source.includes(":") !== heard.source.includes(":"));
  if (isOther && sinceUs < 1e6 && isUnchangedSince) return isNew ? "accept" : "either";
  const isLatest = known.every(({ counter }) => counter <= heard.counter);
  return isSigned(heard.counter) && isUnchangedSince && isLatest && sinceUs < REPEATED_WITHIN_US
    ? "either"
    : "refuse";
}

/** Remembers an accepted advertisement. */
export function remember(station: Station, heard: Heard): void {
  const origin = originOf(station.world, heard.counter);
  const memory = station.memory(heard.key);
  if (!origin?.isOurs && !station.strictReplay) return;
  const us = timeOf(heard.counter);
  const isInStep = us + WINDOW_US > memory.everBy(heard.receivedUs);
  memory.heard = [...memory.heard.filter(({ counter }) => timeOf(counter) + WINDOW_US > us), heard];
  if (origin !== undefined && isInStep) learn(memory, origin.host, us, heard);
  const isCounted =
    station.strictReplay ||
    isSigned(heard.counter) ||
    (origin !== undefined &&
      memory.hosts.get(origin.host)?.isKnown === true &&
      !isBesideAnother(station.world, heard.counter, origin));
  if (isCounted && us > memory.greatestUs) memory.greatestUs = us;
  memory.note(us, heard.receivedUs);
}

/** A host is known for certain when three times two counters of it are as far apart as their times of receipt. */
function learn(memory: Memory, host: number, us: bigint, { receivedUs: atUs }: Heard): void {
  const former = memory.hosts.get(host);
  if (former !== undefined && us <= former.us) return;
  const passed = atUs - (former?.atUs ?? atUs);
  const advanced = Number(us - (former?.us ?? us));
  const isWithClock = passed > 20_000 && advanced > 0.6 * passed && advanced < 1.6 * passed;
  const inStep = (former?.inStep ?? 0) + (isWithClock ? 1 : 0);
  memory.hosts.set(host, { us, atUs, inStep, isKnown: inStep >= 3 });
}
