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

/** A counter that a host sent. */
export interface Made {
  readonly counter: bigint;
  /** The time of the counter, as of one of ours. */
  readonly us: Micros;
  host: number;
  isOurs: boolean;
  advbase: number;
  advskew: number;
  demote: number;
  /** The hosts of ours that have sent it, a bit each by id. */
  senders: number;
  /**
   * Whether another host made a counter so close that it could be another implementation's, which counts by one: two of
   * ours make such counters within the same microseconds, and many in one crowd of masters do so all the time.
   */
  isBesideAnother: boolean;
}

/** Counters that differ in the low 8 bits alone are found together. */
const NEAR_BITS = 8;
/** Bits of the number by which they are found; those that differ above are found together, too. */
const PLACE_BITS = 30;

/** Every counter sent in a world, with the host that made it. */
export class MadeCounters {
  /** One for each host at most places: only more need a map. */
  readonly #places = new Map<number, Made | Map<bigint, Made>>();

  originOf(counter: bigint, place = placeOf(counter)): Made | undefined {
    const found = this.#places.get(place);
    if (found instanceof Map) return found.get(counter);
    return found?.counter === counter ? found : undefined;
  }

  /** Notes a counter that a host sends. */
  note(
    { counter, advbase, advskew, demote }: Fields & { readonly counter: bigint },
    { host, isOurs }: { readonly host: number; readonly isOurs: boolean },
  ): void {
    const sender = isOurs ? 1 << host : 0;
    const place = placeOf(counter);
    const former = this.originOf(counter, place);
    if (former === undefined) {
      const us = timeOf(counter);
      const fields = { advbase, advskew, demote };
      const made = { ...fields, counter, us, host, isOurs, senders: sender, isBesideAnother: false };
      this.#add(place, made);
      this.#lookBeside(made, place);
      return;
    }
    former.senders |= sender;
    // Another implementation counts on to a counter of ours: either may have sent it.
    if (!former.isOurs) return;
    Object.assign(former, { host, isOurs, advbase, advskew, demote });
    this.#lookBeside(former, place);
  }

  #add(place: number, made: Made): void {
    const found = this.#places.get(place);
    if (found === undefined) this.#places.set(place, made);
    else if (found instanceof Map) found.set(made.counter, made);
    else
      this.#places.set(
        place,
        new Map([
          [found.counter, found],
          [made.counter, made],
        ]),
      );
  }

  #lookBeside(made: Made, place: number): void {
    for (let step = -1; step <= 1; step++) {
      const found = this.#places.get((place + step) & (2 ** PLACE_BITS - 1));
      if (found instanceof Map) for (const each of found.values()) noteBeside(each, made);
      else if (found !== undefined) noteBeside(found, made);
    }
  }
}

function placeOf(counter: bigint): number {
  const whole = Number(counter);
  if (whole > Number.MAX_SAFE_INTEGER)
    return Math.floor(Number(BigInt.asUintN(PLACE_BITS + NEAR_BITS, counter)) / 2 ** NEAR_BITS);
  return (
    Math.floor(whole / 2 ** NEAR_BITS) - Math.floor(whole / 2 ** (PLACE_BITS + NEAR_BITS)) * 2 ** PLACE_BITS
  );
}

/** Whether the host has sent the counter some time, as any virtual host. */
export function hasSent(station: Station, { senders }: Made): boolean {
  return (senders & (1 << station.id)) !== 0;
}

function noteBeside(one: Made, other: Made): void {
  if (one.host === other.host) return;
  const apart = one.counter - other.counter;
  if (apart >= 256n || apart <= -256n) return;
  one.isBesideAnother = true;
  other.isBesideAnother = true;
}

const counters = new WeakMap<World, MadeCounters>();

export function madeIn(world: World): MadeCounters {
  const made = counters.get(world) ?? new MadeCounters();
  counters.set(world, made);
  return made;
}

/** What one virtual host of ours has heard and sent. */
export class Memory {
  /** The latest advertisements accepted, of this engine, and some that a later one has made too old. */
  #heard: Heard[] = [];
  /** How many of those make it look for old ones. */
  #tooMany = MOST_HEARD;
  /** The greatest time among them, and those forgotten. */
  #latestUs: Micros = 0;
  /** The greatest time among the counters of ours that this engine has sent, or heard from known hosts. */
  greatestUs: Micros = 0;
  /** When that was sent or received. */
  greatestAtUs: Micros = 0;
  /** The greatest time among all counters of ours that this host has sent or accepted, and when. */
  everUs: Micros = 0;
  everAtUs: Micros = 0;
  /** The greatest time that any engine of this host has sent. */
  sentUs: Micros = 0;
  /** The last counter accepted from each host, and those by which its counters are seen to advance with the clock. */
  readonly #hosts = new Map<number, { us: Micros; atUs: Micros; inStep: readonly Made[] }>();

  /** The last counter accepted from each host of another implementation. */
  readonly #others = new Map<number, number>();
  /** Counters of other implementations that no other one of theirs was heard close to, by their low bits. */
  readonly #alone = new Map<number, number>();

  /** The engine is gone: what it has not saved is forgotten. */
  restart(): void {
    this.#heard = [];
    this.#latestUs = 0;
    this.greatestUs = 0;
    this.#hosts.clear();
    this.#others.clear();
    // What it took for tags of ours may be saved, as what was saved before cannot be told from them.
    for (const tag of this.#alone.keys()) this.#alone.set(tag, Number.NEGATIVE_INFINITY);
  }

  /** Whether a host may take this for the tag of a host of ours: that of a counter that nothing has told from one of ours. */
  mayKnow(tag: number): boolean {
    return this.#alone.has(tag);
  }

  /** A counter of a host of another implementation was accepted, which counts by one. @param ours tags of hosts of ours */
  heardOther(host: number, counter: number, ours: ReadonlySet<number>): void {
    const goesOn = Math.abs(counter - (this.#others.get(host) ?? Number.NEGATIVE_INFINITY)) < TAGS;
    this.#others.set(host, counter);
    const tag = counter % TAGS;
    // One that has such a tag itself is taken for a word of ours, and tells nothing about the others.
    if (this.#alone.has(tag) || ours.has(tag)) return;
    if (!goesOn) this.#alone.set(tag, counter);
    else for (const [each, us] of this.#alone) if (Math.abs(us - counter) < TAGS) this.#alone.delete(each);
  }

  /** The latest advertisements accepted, of this engine. */
  get heard(): readonly Heard[] {
    this.#forgetOld();
    return this.#heard;
  }

  /**
   * Learns from an accepted counter of a host of ours. One beside another host's tells nothing: another implementation makes
   * such counters, too, which advance with the clock as long as it hears us.
   */
  learn(made: Made, atUs: Micros): void {
    const { host, us, isBesideAnother } = made;
    if (isBesideAnother) return;
    const known = this.#hosts.get(host);
    if (known === undefined) {
      this.#hosts.set(host, { us, atUs, inStep: [] });
      return;
    }
    if (us <= known.us) return;
    const passed = atUs - known.atUs;
    const advanced = us - known.us;
    const isInStep = passed > 20_000 && advanced > 0.6 * passed && advanced < 1.6 * passed;
    if (isInStep && !this.isKnown(host)) known.inStep = [...known.inStep, made];
    known.us = us;
    known.atUs = atUs;
  }

  /**
   * Whether a host of ours is known for certain: three times two counters of it were as far apart as their times of
   * receipt, and none that is beside those has turned up since.
   */
  isKnown(host: number): boolean {
    const known = this.#hosts.get(host);
    if (known === undefined || known.inStep.length < IN_STEP) return false;
    known.inStep = known.inStep.filter(({ isBesideAnother }) => !isBesideAnother);
    return known.inStep.length >= IN_STEP;
  }

  /** Whether it has accepted the counter, perhaps too long ago. */
  hasHeard({ us, counter }: Heard): boolean {
    if (us > this.#latestUs) return false;
    return this.#heard.findLast((each) => each.us === us && each.counter === counter) !== undefined;
  }

  accepted(heard: Heard): void {
    this.#heard.push(heard);
    if (heard.us > this.#latestUs) this.#latestUs = heard.us;
    if (this.#heard.length <= this.#tooMany) return;
    this.#forgetOld();
    // At advbase 0 thousands are not old yet: to look at all of them again with each one takes too long.
    this.#tooMany = Math.max(MOST_HEARD, 2 * this.#heard.length);
  }

  /** Forgets each that is not new beside one that was accepted later. */
  #forgetOld(): void {
    let greatestUs = 0;
    /** Advertisements that are kept move to the end. */
    let first = this.#heard.length;
    for (let i = this.#heard.length - 1; i >= 0; i--) {
      const heard = this.#heard[i] as Heard;
      const { us } = heard;
      if (us + WINDOW_US > greatestUs) this.#heard[--first] = heard;
      if (us > greatestUs) greatestUs = us;
    }
    if (first > 0) this.#heard.splice(0, first);
  }

  /** Notes a time that counters of ours have reached. */
  follow(us: Micros, atUs: Micros): void {
    if (us <= this.greatestUs) return;
    this.greatestUs = us;
    this.greatestAtUs = atUs;
  }

  note(us: Micros, atUs: Micros): void {
    if (this.aheadUs(us, atUs) <= 0) return;
    this.everUs = us;
    this.everAtUs = atUs;
  }

  /** How far a time is above what counters of ours may have reached by then. */
  aheadUs(us: Micros, atUs: Micros): number {
    return us - this.everUs - Math.ceil(Math.max(0, atUs - this.everAtUs) * 1.03);
  }
}

/** Hosts of ours have different counters modulo this. */
const TAGS = 256;
/** A new counter may be this far below the greatest one. */
const WINDOW_US = 10_000_000;
/** A host is known when its counters were in step so often. */
const IN_STEP = 3;
/** At least so many accepted ones are kept before the old ones are looked for. */
const MOST_HEARD = 64;
/** What an engine has sent since it saved its counters may be this far above what the next one knows. */
const SAVED_US = 60_000_000;
const SIGNED_UNIT_US = 250_000;
const SIGNED_EPOCH_US = 1_577_836_800_000_000;
/** Signed counters are greater than every time of day. */
const LEAST_SIGNED = 2n ** 56n;
/** A repetition within a unit: it must be accepted this soon, and never later than that. */
const REPEATED_WITHIN_US: Micros = 300_000;

export function isSigned(counter: bigint): boolean {
  return counter >= LEAST_SIGNED;
}

/** The time of a counter of ours, and a number near to that of another implementation. */
export function timeOf(counter: bigint): Micros {
  return isSigned(counter) ? SIGNED_EPOCH_US + Number(counter >> 31n) * SIGNED_UNIT_US : Number(counter);
}

/** Notes that a host of ours sends this counter. */
export function noteSent(
  station: Station,
  key: string,
  said: Fields & { readonly counter: bigint; readonly us: Micros },
): void {
  station.made.note(said, { host: station.id, isOurs: true });
  const memory = station.memory(key);
  const { us } = said;
  memory.follow(us, station.us);
  if (us > memory.sentUs) memory.sentUs = us;
  memory.note(us, station.us);
}

/** Returns what the protocol demands for an advertisement that is not this host's own latest. */
export function dueFor(station: Station, heard: Heard): Due {
  const { origin } = heard;
  // Not in a run: a frame whose digest is valid was made by a host.
  if (origin === undefined) return "either";
  // A recording of another implementation may be refused, but is not as a rule.
  const isRecording = heard.from === undefined;
  const memory = station.memory(heard.key);
  if (!origin.isOurs) return isRecording || looksLikeOurs(station, memory, heard) ? "either" : "accept";
  const { us } = heard;
  // A stalled engine reads what came before it sent the greatest counter. The sender may be behind by more than the time
  // that has passed since: it did not hear this host.
  const isOld = memory.greatestUs - us >= WINDOW_US && heard.receivedUs >= memory.greatestAtUs;
  const isNew = memory.aheadUs(us, heard.receivedUs) > -WINDOW_US;
  if (station.strictReplay) {
    if (isSigned(heard.counter) && !isUnchanged(heard, origin)) return "refuse";
    return isOld ? "refuse" : dueOnce(memory, heard, isNew);
  }
  if (isSigned(heard.counter)) {
    const isAsMade = isUnchanged(heard, origin);
    // An own one is remembered, for a while at least.
    if (mayBeAnyNumber(station, heard)) return hasSent(station, origin) ? "either" : "accept";
    if (!station.signsHeader) return isNew ? "accept" : isOld ? "refuse" : "either";
    return !isAsMade || isOld ? "refuse" : dueOnce(memory, heard, isNew);
  }
  const isOwn = origin.host === station.id;
  if (isNew && !isOwn) return "accept";
  const stalledUs = Math.ceil(1.05 * (station.us - heard.receivedUs));
  const isSaved = isOwn && memory.sentUs - us >= WINDOW_US + SAVED_US + stalledUs;
  const isKnown = isOwn || memory.isKnown(origin.host);
  return (isSaved || (isOld && isKnown)) && !origin.isBesideAnother ? "refuse" : "either";
}

/**
 * Whether nothing tells a signed counter from a number that another implementation drew: the fields beside it are not those
 * that it was made for, and the host neither signs its headers nor refuses all counters of others.
 */
export function mayBeAnyNumber(station: Station, heard: Heard): boolean {
  const { counter, origin } = heard;
  if (origin === undefined || station.signsHeader || station.strictReplay) return false;
  return isSigned(counter) && !isUnchanged(heard, origin);
}

/** Whether another implementation's counter could be one of ours by its low bits. */
function looksLikeOurs(station: Station, memory: Memory, { counter }: Heard): boolean {
  if (!isTimeOfDay(counter)) return station.signsHeader && isSigned(counter);
  // Its first word is refused where it has the tag of a host of ours, or one that was taken for that, if it is old: an
  // attacker has it count on from a recording.
  const tag = Number(counter) % TAGS;
  return station.tagsAround().has(tag) || memory.mayKnow(tag);
}

function isTimeOfDay(counter: bigint): boolean {
  return counter >= 1_577_836_800_000_000n && counter < 4_102_444_800_000_000n;
}

function isUnchanged(heard: Fields, origin: Fields): boolean {
  const { advbase, advskew, demote } = heard;
  return advbase === origin.advbase && advskew === origin.advskew && demote === origin.demote;
}

/** A counter is heard once, and once over the other family at once; signed ones repeat within a unit. */
function dueOnce(memory: Memory, heard: Heard, isNew: boolean): Due {
  const known = memory.hasHeard(heard) ? memory.heard : [];
  const copies = known.filter(({ counter }) => counter === heard.counter);
  const [first] = copies;
  if (first === undefined) return isNew ? "accept" : "either";
  const isUnchangedSince = isUnchanged(heard, first);
  const sinceUs = heard.receivedUs - first.receivedUs;
  const isOther = copies.every(({ source }) => source.includes(":") !== heard.source.includes(":"));
  if (isOther && sinceUs < 1e6 && isUnchangedSince) return isNew ? "accept" : "either";
  const isRepeated = isSigned(heard.counter) && isUnchangedSince && sinceUs < REPEATED_WITHIN_US;
  return isRepeated && known.every(({ counter }) => counter <= heard.counter) ? "either" : "refuse";
}

/** Remembers an accepted advertisement. */
export function remember(station: Station, heard: Heard): void {
  const { origin, us } = heard;
  const memory = station.memory(heard.key);
  if (origin !== undefined && !origin.isOurs && isTimeOfDay(heard.counter))
    memory.heardOther(origin.host, Number(heard.counter), station.tagsAround());
  if (!origin?.isOurs && !station.strictReplay) return;
  const isInStep = memory.aheadUs(us, heard.receivedUs) > -WINDOW_US;
  memory.accepted(heard);
  // A signed counter does not tell whose it is.
  if (origin !== undefined && isInStep && !isSigned(heard.counter)) memory.learn(origin, heard.receivedUs);
  if (isCounted(station, memory, heard)) memory.follow(us, heard.receivedUs);
  memory.note(us, heard.receivedUs);
}

/** Whether counters far below this one have to be refused from now on. */
function isCounted(station: Station, memory: Memory, heard: Heard): boolean {
  const { counter, origin } = heard;
  if (station.strictReplay) return true;
  if (isSigned(counter)) return origin !== undefined && isUnchanged(heard, origin);
  return origin !== undefined && !origin.isBesideAnother && memory.isKnown(origin.host);
}
