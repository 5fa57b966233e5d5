/**
 * Announcements: when a MASTER sends gratuitous ARP and neighbour advertisements. All addresses at a takeover
 * and once more with the second further advertisement, because the first may be lost; also shortly after a takeover
 * from a master that still answered, whose last packets may have led switches back to it; with `announce`,
 * each address once in every period, a few at a time, so that thousands of them are no burst.
 */

import type { Micros } from "../model.ts";
import { MILLISECOND } from "./timing.ts";

/** The addresses to announce now: `count` of them from this index on. */
export interface Part {
  readonly from: number;
  readonly count: number;
}

/** A takeover's announcement is repeated after this many further advertisements. */
const ADVERTISEMENTS_TO_SECOND = 2;

/**
 * When all addresses are announced once more, after the first advertisement of a takeover from a master that still
 * answered: soon, because clients are without an answer while that one's last packets mislead a switch; and when the
 * slowest master has heard of the takeover.
 */
const AFTER_RELIEF_US: readonly Micros[] = [3 * MILLISECOND, 20 * MILLISECOND];

const NEVER: Micros = Number.POSITIVE_INFINITY;

/** Addresses announced together, unless the period is too short for so few. */
const TOGETHER = 8;
/** Two parts are at least this far apart. */
const LEAST_STEP_US: Micros = 100 * MILLISECOND;

/** A period divided into parts, of which the last may be smaller. */
interface Pace {
  readonly addresses: number;
  readonly periodUs: Micros;
  readonly stepUs: Micros;
  /** Addresses in each part. */
  readonly count: number;
}

export interface AnnouncementEvents {
  /** @param part undefined: all addresses */
  announce(part?: Part): void;
  arm(atUs: Micros): void;
  cancel(): void;
}

export class Announcements {
  readonly #events: AnnouncementEvents;
  /** Number of advertisements until all addresses are announced again; 0: that is not planned. */
  #toNext = 0;
  #pace: Pace | undefined;
  /** Index of the address that is the next one in the period. */
  #at = 0;
  #dueUs: Micros = NEVER;
  /** When the first advertisement left that relieved a master. */
  #relievedUs: Micros = NEVER;
  /** Announcements since then. */
  #sinceRelief = 0;
  #armedUs: Micros = NEVER;

  constructor(events: AnnouncementEvents) {
    this.#events = events;
  }

  /** The host took over, and has announced all addresses. */
  tookOver(): void {
    this.#toNext = ADVERTISEMENTS_TO_SECOND;
  }

  /** The first advertisement has left of a takeover from a master that still answered. */
  relieved(leftUs: Micros): void {
    this.#relievedUs = leftUs;
    this.#sinceRelief = 0;
    this.#arm();
  }

  /** Plans that all addresses are announced with the next advertisement. */
  repeat(): void {
    this.#toNext = 1;
  }

  /** Whether all addresses are to be announced with one of the next advertisements. */
  get isPlanned(): boolean {
    return this.#toNext > 0;
  }

  /** An advertisement is due. @returns whether all addresses are to be announced with it */
  advertised(): boolean {
    return this.#toNext > 0 && --this.#toNext === 0;
  }

  /** Announces each of so many addresses once in every period; a period of 0: never. */
  setPace(addresses: number, periodUs: Micros, nowUs: Micros): void {
    const former = this.#pace;
    if (former?.addresses === addresses && former.periodUs === periodUs) return;
    if (addresses === 0 || periodUs === 0) {
      this.#stopPace();
      this.#arm();
      return;
    }
    const mostParts = Math.max(1, Math.floor(periodUs / LEAST_STEP_US));
    const count = Math.max(Math.min(addresses, TOGETHER), Math.ceil(addresses / mostParts));
    this.#pace = { addresses, periodUs, count, stepUs: periodUs / Math.ceil(addresses / count) };
    this.#at = 0;
    this.#dueUs = nowUs + this.#pace.stepUs;
    this.#arm();
  }

  /** The announce timer fired. */
  timer(nowUs: Micros): void {
    this.#armedUs = NEVER;
    if (this.#soonUs <= nowUs) {
      while (this.#soonUs <= nowUs) this.#sinceRelief++;
      this.#events.announce();
    }
    if (this.#dueUs <= nowUs) this.#nextPart(nowUs);
    this.#arm();
  }

  #nextPart(nowUs: Micros): void {
    const pace = this.#pace;
    if (pace === undefined) return;
    const { addresses, stepUs } = pace;
    const from = this.#at;
    const count = Math.min(pace.count, addresses - from);
    this.#at = from + count < addresses ? from + count : 0;
    this.#events.announce({ from, count });
    // After a late step the next one is not early.
    this.#dueUs = Math.max(this.#dueUs + stepUs, nowUs + stepUs / 2);
  }

  /** The host is MASTER no longer, or leaves. */
  stop(): void {
    this.#toNext = 0;
    this.#relievedUs = NEVER;
    this.#stopPace();
    this.#arm();
  }

  #stopPace(): void {
    this.#pace = undefined;
    this.#dueUs = NEVER;
  }

  /** When all addresses are announced once more, shortly after a takeover. */
  get #soonUs(): Micros {
    return this.#relievedUs + (AFTER_RELIEF_US[this.#sinceRelief] ?? NEVER);
  }

  #arm(): void {
    const atUs = Math.min(this.#dueUs, this.#soonUs);
    if (atUs === this.#armedUs) return;
    this.#armedUs = atUs;
    if (atUs === NEVER) this.#events.cancel();
    else this.#events.arm(atUs);
  }
}
