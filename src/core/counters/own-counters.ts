/**
 * OwnCounters: makes the advertisement counters of one virtual host. Each is greater than all before it and
 * than the counters of our peers that it follows. Remembers the latest ones, to recognise our own
 * advertisements when they come back. Times here are microseconds since the Unix epoch, as in
 * counter-format.ts.
 */

import { SECOND } from "../election/timing.ts";
import type { Instant, Micros } from "../model.ts";
import {
  areEqualFields,
  EARLIEST_SIGNED_US,
  type HeaderFields,
  SIGNED_UNIT_US,
  signedCounter,
  TAGS,
  unitAt,
  unitStartUs,
} from "./counter-format.ts";

/**
 * Upper limit of counters that are followed: microseconds 30,000 years from now, far below the end of 64
 * bits.
 */
export const HIGHEST_COUNTER = 10n ** 18n;

/** An advertisement of ours that comes back later than this is refused as a recording. */
const COMES_BACK_WITHIN_US: Micros = 11 * SECOND;
/** The latest are known for longer: an engine that was stalled reads packets that came back meanwhile. */
const LEAST_REMEMBERED = 16;
/** Old counters are looked for once in so many: with each, that costs more than to keep a few. */
export const FORGOTTEN_TOGETHER = 8;

/**
 * While counters are ahead of the system clock, they lose this part of the time that passes until it has
 * caught up. Peers measure our counters by the time that has passed (CounterWindow): they must not lag.
 */
const LOST = 256;

/** How a host makes its counters. */
export interface CounterStyle {
  /** The host's tag, 0 to 255. */
  readonly tag: number;
  /** Whether they carry the fields of the header. */
  readonly signed: boolean;
}

interface Signed {
  readonly unit: bigint;
  readonly fields: HeaderFields;
  readonly counter: bigint;
}

export class OwnCounters {
  /** The time of the greatest counter sent or followed. */
  #lastUs: bigint;
  #followedUs = -1n;
  /** The time that counters have reached, apart from steps that only keep them distinct, and when. */
  #reachedUs: bigint;
  #reachedAtUs: Micros;
  #lastSent = 0n;
  #sentUs = 0n;
  /** The last counter sent, if it was signed and none was followed since. */
  #signed: Signed | undefined;
  /** How often a counter of ours came back from another host. */
  #collisions = 0;
  /** By how much the next signed counter is to differ from one that another host made, too; undefined: it need not. */
  #skip: bigint | undefined;
  /** The latest counters sent, and when. */
  readonly #sent = new Map<bigint, Micros>();

  /** @param floor the time of every counter sent will be greater than this */
  constructor(floor: bigint, now: Instant) {
    this.#lastUs = floor;
    this.#reachedUs = floor;
    this.#reachedAtUs = now.us;
  }

  /** The time of the greatest counter sent or followed so far, or the floor. Every later one is greater. */
  get lastUs(): bigint {
    return this.#lastUs;
  }

  get lastSent(): bigint {
    return this.#lastSent;
  }

  /** The time that the last counter sent shows. */
  get sentUs(): bigint {
    return this.#sentUs;
  }

  /** Whether one of the latest advertisements sent has this counter. */
  has(counter: bigint): boolean {
    return this.#sent.has(counter);
  }

  /**
   * Makes the next counter: the system clock, or, while counters are ahead of that, the time that they have
   * reached. Steps of one would collide with another host that was restarted too, or that counts on from what
   * it heard, as FreeBSD and ucarp do.
   *
   * @param fields those of the advertisement that the counter is for
   */
  next(fields: HeaderFields, { tag, signed }: CounterStyle, now: Instant): bigint {
    const reachedUs = this.#timeAt(now);
    this.#reachedUs = reachedUs;
    this.#reachedAtUs = now.us;
    const counter = (signed && this.#nextSigned(fields, reachedUs)) || this.#nextTagged(tag, reachedUs);
    this.#lastSent = counter;
    this.#sent.set(counter, now.us);
    if (this.#sent.size % FORGOTTEN_TOGETHER === 0) this.#forget(now.us - COMES_BACK_WITHIN_US);
    return counter;
  }

  /** The same counters, for those that will be sent if nothing else happens; what these make leaves the others as they are. */
  fork(): OwnCounters {
    const fork = new OwnCounters(this.#lastUs, { us: this.#reachedAtUs, epochUs: 0 });
    fork.#followedUs = this.#followedUs;
    fork.#reachedUs = this.#reachedUs;
    fork.#lastSent = this.#lastSent;
    fork.#sentUs = this.#sentUs;
    fork.#signed = this.#signed;
    fork.#collisions = this.#collisions;
    fork.#skip = this.#skip;
    return fork;
  }

  #timeAt(now: Instant): bigint {
    const clock = BigInt(Math.trunc(now.epochUs));
    const reached = this.#reachedBy(now.us);
    return clock > reached ? clock : reached;
  }

  #reachedBy(atUs: Micros): bigint {
    const passed = Math.max(0, atUs - this.#reachedAtUs);
    return this.#reachedUs + BigInt(Math.trunc(passed - passed / LOST));
  }

  #nextTagged(tag: number, reachedUs: bigint): bigint {
    // Steps below TAGS from another host's counter are those of other implementations, which count by one.
    const after = this.#lastUs === this.#followedUs ? this.#lastUs + TAGS : this.#lastUs + 1n;
    const least = reachedUs > after ? reachedUs : after;
    const tagged = least - (least % TAGS) + BigInt(tag);
    this.#lastUs = tagged < least ? tagged + TAGS : tagged;
    this.#sentUs = this.#lastUs;
    this.#signed = undefined;
    return this.#lastUs;
  }

  /**
   * Makes a signed counter: the present unit, or the one after the last counter. An unchanged header keeps
   * its counter within a unit: a repetition of it is the same advertisement. Undefined: the format has no
   * such time.
   */
  #nextSigned(fields: HeaderFields, reachedUs: bigint): bigint | undefined {
    const former = this.#signed;
    const present = unitAt(reachedUs > EARLIEST_SIGNED_US ? reachedUs : EARLIEST_SIGNED_US);
    if (former?.unit === present && this.#skip === undefined && areEqualFields(former.fields, fields))
      return former.counter;
    const after = unitAt(this.#lastUs) + 1n;
    const unit = (present > after ? present : after) + (this.#skip ?? 0n);
    const counter = signedCounter(unit, fields);
    if (counter === undefined) return undefined;
    this.#skip = undefined;
    const startUs = unitStartUs(unit);
    // What is sent keeps pace with the time that passes, from here on.
    if (startUs > this.#reachedUs) this.#reachedUs = startUs;
    this.#lastUs = startUs + SIGNED_UNIT_US - 1n;
    this.#sentUs = startUs;
    this.#signed = { unit, fields, counter };
    return counter;
  }

  /** Makes every later counter greater than this one of a peer, by its time. */
  follow(us: bigint, atUs: Micros): void {
    // Within a unit the greater of two counters is decided by their fields: none is repeated after another.
    if (this.#signed !== undefined && us >= unitStartUs(this.#signed.unit)) this.#signed = undefined;
    if (us <= this.#lastUs) return;
    this.#lastUs = us;
    this.#followedUs = us;
    if (us <= this.#reachedBy(atUs)) return;
    this.#reachedUs = us;
    this.#reachedAtUs = atUs;
  }

  /**
   * A counter of ours came from another host, which counts in the same units and had the same header. The
   * next one is later by three bits of the tag: the other host's tag differs in some. Only a counter that is made so and
   * collides again takes the next three.
   */
  collided(tag: number): void {
    if (this.willDiffer) return;
    this.#skip = BigInt((tag >> (3 * (this.#collisions++ % 3))) & 7);
    this.#signed = undefined;
  }

  /** Whether the next signed counter differs from one that collided. */
  get willDiffer(): boolean {
    return this.#skip !== undefined;
  }

  /** Forgets the counters sent before this time. */
  #forget(beforeUs: Micros): void {
    if (this.#sent.size <= LEAST_REMEMBERED) return;
    for (const [oldest, sentAtUs] of this.#sent) {
      if (sentAtUs >= beforeUs || this.#sent.size <= LEAST_REMEMBERED) return;
      this.#sent.delete(oldest);
    }
  }
}
