/**
 * CounterWindow: recognises recorded advertisements of one virtual host by their counters, at three levels.
 * By default: a counter of a host that runs this program, more than ten seconds below the greatest one.
 * signed_header: also one whose header is not the signed one, or that was heard before. strict_replay: the
 * same for the counters of every host. The window slides, as in RFC 4303, 3.4.3: hosts may advertise at
 * one time. It covers every source address, since no digest covers that.
 */

import { SECOND } from "../election/timing.ts";
import type { Heard, Micros } from "../model.ts";
import { RareMap } from "../rare.ts";
import { areEqualFields, type CounterReading, readCounter, SIGNED_UNIT_US } from "./counter-format.ts";
import { CountingOn } from "./counting-on.ts";
import { KnownHosts } from "./known-hosts.ts";
import { FORGOTTEN_TOGETHER, HIGHEST_COUNTER } from "./own-counters.ts";

/** A new counter may be this far below the greatest one. */
const WINDOW: Micros = 10 * SECOND;
const WINDOW_US = BigInt(WINDOW);
/** More counters than a host sends in that time at advbase 0. */
const REMEMBERED = 4096;
/** Counters of ours keep pace with the time that passes, less this part: for clocks that drift. */
const SLACK = 32;
/** A counter that shows a time so far ahead of our clock may have been drawn at random. */
const AHEAD_US = BigInt(86_400 * SECOND);
/** A repetition within a unit of signed counters may be as late as this. */
const REPEATED_WITHIN_US: Micros = Number(SIGNED_UNIT_US) + 50_000;

/** What is refused, as the administrator has set it. */
export interface ReplayDefence {
  /** net.inet.carp.strict_replay */
  readonly strict: boolean;
  /** net.inet.carp.signed_header */
  readonly signed: boolean;
}

/** This host, as a window needs it. */
export interface Reader {
  readonly defence: ReplayDefence;
  /** The tag of its counters. */
  readonly tag: number;
  /** Its system clock, microseconds since the Unix epoch. */
  readonly clockUs: number;
}

/** The verdict on a counter: refused, for a reason; or believed, and to be followed if its time is given. */
export type CounterVerdict = { readonly refusal: string } | { readonly followUs?: bigint | undefined };

/** A window as it is saved. */
export interface WindowState {
  /** The time of the greatest counter sent or heard. */
  readonly greatestUs: bigint;
  /** When that was, on CLOCK_BOOTTIME. */
  readonly atUs: Micros;
  /** The tags of the hosts that run this program. */
  readonly hosts: readonly number[];
}

const OLD = "it was sent more than ten seconds ago";
const NOT_NEW = "the counter is not new";
const CHANGED = "its fields are not the signed ones";

export class CounterWindow {
  /** The greatest time that counters of ours have shown, sent or heard, and when that was; 0n: none. */
  #greatestUs = 0n;
  #greatestAtUs: Micros = 0;
  /** The greatest counter of ours, and its time. */
  #greatestCounter = 0n;
  #greatestCounterUs = 0n;
  readonly #hosts = new KnownHosts();
  readonly #countingOn = new CountingOn();
  /** The counters within the window, in the order in which they were heard. */
  readonly #heard = new RareMap<bigint, { readonly first: Heard; readonly us: bigint; hasTwin: boolean }>();
  /** Counters up to this time have been forgotten: none of them counts as new. */
  #forgottenUs = -1n;
  /** No engine of this host has sent a greater time before this one. */
  readonly #floorUs: bigint;
  readonly #changed: () => void;

  /**
   * @param floorUs no engine of this host has sent a greater time before this one
   * @param changed called when the state has to be saved: a host became known, or is no longer; or the first counter
   */
  constructor(saved: WindowState | undefined, floorUs: bigint, changed: () => void) {
    this.#floorUs = floorUs;
    this.#changed = changed;
    if (saved === undefined) return;
    this.#greatestUs = saved.greatestUs;
    this.#greatestAtUs = saved.atUs;
    for (const tag of saved.hosts) this.#hosts.add(tag, saved.atUs);
  }

  /** The state to save; undefined: nothing was sent or heard. */
  get state(): WindowState | undefined {
    if (this.#greatestUs === 0n) return undefined;
    const greatestUs = this.#greatestUs < HIGHEST_COUNTER ? this.#greatestUs : HIGHEST_COUNTER;
    return { greatestUs, atUs: this.#greatestAtUs, hosts: this.#hosts.tags };
  }

  /** Notes a counter that this host sends. */
  sent(counter: bigint, us: bigint, tag: number, atUs: Micros): void {
    if (this.#hosts.add(tag, atUs)) this.#changed();
    this.#countingOn.noteOurs(counter);
    this.#advance(counter, us, atUs);
  }

  /** Judges the counter of an advertisement with a valid digest. A counter that is believed is remembered. */
  judge(heard: Heard, reader: Reader): CounterVerdict {
    const reading = readCounter(heard.counter);
    const isSigned = reading?.format === "signed" && areEqualFields(reading.fields, heard);
    if (reader.defence.strict) {
      if (reading?.format === "signed" && !isSigned) return { refusal: CHANGED };
      return this.#judgeOurs(heard, reading?.us ?? heard.counter, reader.defence, isSigned);
    }
    if (reading === undefined) return this.#believeOther(heard.counter);
    return reading.format === "time"
      ? this.#judgeTime(heard, reading, reader)
      : this.#judgeSigned(heard, reading.us, isSigned, reader);
  }

  #judgeTime(
    heard: Heard,
    { us, tag }: Extract<CounterReading, { format: "time" }>,
    { defence, tag: own, clockUs }: Reader,
  ): CounterVerdict {
    const isInStep = this.#aheadBy(us, heard.receivedUs) > -WINDOW;
    if (tag === own || this.#hosts.has(tag)) {
      const isBefore = tag === own && us + WINDOW_US <= this.#floorUs;
      if ((!isInStep || isBefore) && (this.#countingOn.fromOurs(us) || this.#isFromOthers(us, own)))
        return {};
      const verdict = isBefore ? { refusal: OLD } : this.#judgeOurs(heard, us, defence);
      if (!("refusal" in verdict)) this.#hosts.add(tag, heard.receivedUs);
      return verdict;
    }
    // A host whose clock is behind is known when it has followed ours: until then it is believed.
    // One that counts on by one makes the tag of every host in turn.
    const isCountedOn =
      this.#countingOn.fromOurs(us) || this.#countingOn.leadsToOthers(us) || this.#isFromOthers(us, own);
    if (isInStep && !isCountedOn && this.#hosts.learn(tag, us, heard.receivedUs, clockUs)) {
      this.#changed();
      return this.#judgeOurs(heard, us, defence);
    }
    this.#believeOther(heard.counter);
    // The first words of a host whose clock is ahead: ours must not lie behind for it.
    return us < BigInt(Math.trunc(clockUs)) + AHEAD_US ? { followUs: us } : {};
  }

  #judgeSigned(
    heard: Heard,
    us: bigint,
    isSigned: boolean,
    { defence, clockUs, tag }: Reader,
  ): CounterVerdict {
    if (isSigned) return this.#judgeOurs(heard, us, defence, true);
    if (defence.signed && !this.#isFromOthers(heard.counter, tag)) {
      const clock = BigInt(Math.trunc(clockUs));
      const greatestUs = this.greatestBy(heard.receivedUs);
      if (us < (greatestUs > clock ? greatestUs : clock) + AHEAD_US) return { refusal: CHANGED };
    }
    return this.#believeOther(heard.counter);
  }

  #judgeOurs(heard: Heard, us: bigint, { strict, signed }: ReplayDefence, isSigned = false): CounterVerdict {
    const { counter, receivedUs } = heard;
    /** No counter may be heard twice. */
    const once = strict || (signed && isSigned);
    if (us <= this.#forgottenUs && once) return { refusal: NOT_NEW };
    if (this.#aheadBy(us, receivedUs) <= -WINDOW) return { refusal: OLD };
    // A counter that is no time comes from another implementation: following it would exhaust the 64 bits.
    if (us >= HIGHEST_COUNTER) return { refusal: NOT_NEW };
    const known = this.#heard.get(counter);
    if (known !== undefined) {
      if (!once || (!known.hasTwin && isTwin(heard, known.first))) {
        known.hasTwin = true;
        return {};
      }
      const isPresent = isSigned && counter === this.#greatestCounter;
      return isPresent && receivedUs - known.first.receivedUs < REPEATED_WITHIN_US
        ? {}
        : { refusal: NOT_NEW };
    }
    // Where counters may repeat, none is remembered: if that ends, none of them counts as new.
    if (strict || signed) this.#remember(heard, us);
    else if (us > this.#forgottenUs) this.#forgottenUs = us;
    this.#countingOn.noteOurs(counter);
    this.#advance(counter, us, receivedUs);
    return { followUs: us };
  }

  #remember(heard: Heard, us: bigint): void {
    this.#heard.set(heard.counter, { first: heard, us, hasTwin: false });
    if (this.#heard.size % FORGOTTEN_TOGETHER === 0) this.#forget(heard.receivedUs);
  }

  /** Whether the counter comes from a host that is known to run this program. @param own the tag of this host */
  isFromOurs(counter: bigint, own: number): boolean {
    const reading = readCounter(counter);
    if (reading?.format === "signed") return true;
    return reading !== undefined && this.#hosts.has(reading.tag) && !this.#isFromOthers(counter, own);
  }

  #isFromOthers(counter: bigint, own: number): boolean {
    return this.#countingOn.fromOthers(counter, (tag) => tag === own || this.#hosts.has(tag));
  }

  #believeOther(counter: bigint): CounterVerdict {
    this.#countingOn.noteOther(counter);
    if (this.#hosts.doubt(counter)) this.#changed();
    return {};
  }

  #advance(counter: bigint, us: bigint, atUs: Micros): void {
    if (this.#greatestUs === 0n) this.#changed();
    if (us > this.#greatestCounterUs || (us === this.#greatestCounterUs && counter > this.#greatestCounter)) {
      this.#greatestCounter = counter;
      this.#greatestCounterUs = us;
    }
    if (this.#aheadBy(us, atUs) <= 0) return;
    this.#greatestUs = us;
    this.#greatestAtUs = atUs;
  }

  /**
   * The time that the greatest counter had reached when a packet was received: hosts of ours make their
   * counters by the time that passes since the greatest one that they have sent or heard. An engine that was
   * stopped reads packets that came before it sent the greatest one.
   */
  greatestBy(receivedUs: Micros): bigint {
    if (this.#greatestUs === 0n) return 0n;
    return this.#greatestUs + BigInt(this.#reachedBy(receivedUs));
  }

  #reachedBy(receivedUs: Micros): Micros {
    const passed = receivedUs - this.#greatestAtUs;
    return Math.trunc(passed - Math.abs(passed) / SLACK);
  }

  /** How far a time is above `greatestBy`: a number takes a fraction of the time of a bigint. */
  #aheadBy(us: bigint, receivedUs: Micros): Micros {
    if (this.#greatestUs === 0n) return Number(us);
    return Number(us - this.#greatestUs) - this.#reachedBy(receivedUs);
  }

  /** Forgets what is too old to be judged again. A stalled engine reads on at the time when it was stalled. */
  #forget(receivedUs: Micros): void {
    const oldUs = this.greatestBy(receivedUs) - WINDOW_US;
    for (const [oldest, { us }] of this.#heard) {
      const isBelow = us <= oldUs;
      if (!isBelow && this.#heard.size <= REMEMBERED) return;
      this.#heard.delete(oldest);
      if (!isBelow && us > this.#forgottenUs) this.#forgottenUs = us;
    }
  }
}

/**
 * Whether it is the same advertisement over the other family: it goes out once over each, one right after the
 * other.
 */
function isTwin(heard: Heard, first: Heard): boolean {
  return (
    heard.family !== first.family &&
    areEqualFields(heard, first) &&
    heard.receivedUs - first.receivedUs < SECOND
  );
}
