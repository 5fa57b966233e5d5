/**
 * VirtualHostCounters: the advertisement counters of one virtual host, its own and its peers'. Its own follow
 * the peers' that are ahead; recorded advertisements are refused by both. Outlives the nodes: our own bow-out
 * must be recognised when it comes back.
 */

import type { Heard, Instant } from "../model.ts";
import type { HeaderFields } from "./counter-format.ts";
import { CounterWindow, type Reader, type WindowState } from "./counter-window.ts";
import { type CounterStyle, OwnCounters } from "./own-counters.ts";

/** What a virtual host's counters tell the one who saves them. */
export interface Saver {
  /** A counter that shows this time was sent, or is followed. */
  reached(us: bigint): void;
  /** The window's state has to be saved. */
  changed(): void;
}

export class VirtualHostCounters {
  readonly #own: OwnCounters;
  readonly #window: CounterWindow;
  readonly #saver: Saver;

  /**
   * @param floor the time of every counter sent will be greater than this
   * @param former the window of an earlier engine, or of a virtual host that was destroyed
   */
  constructor(floor: bigint, former: WindowState | undefined, saver: Saver, now: Instant) {
    this.#own = new OwnCounters(floor, now);
    this.#window = new CounterWindow(former, floor, saver.changed);
    this.#saver = saver;
    // Counters keep pace with the time since the greatest one: the peers expect it.
    this.#own.follow(this.#window.greatestBy(now.us), now.us);
  }

  /** The time of the greatest counter sent or followed: every later one is greater. */
  get lastUs(): bigint {
    return this.#own.lastUs;
  }

  get lastSent(): bigint {
    return this.#own.lastSent;
  }

  /** The window's state to save; undefined: nothing was sent or heard. */
  get state(): WindowState | undefined {
    return this.#window.state;
  }

  /** Whether this host sent an advertisement with this counter itself. */
  isOwn(counter: bigint): boolean {
    return this.#own.has(counter);
  }

  /** Whether the counter comes from a host that is known to run this program. @param tag of this host */
  isFromOurs(counter: bigint, tag: number): boolean {
    return this.#window.isFromOurs(counter, tag);
  }

  /** Makes the counter of an advertisement. */
  next(fields: HeaderFields, style: CounterStyle, now: Instant): bigint {
    const counter = this.#own.next(fields, style, now);
    this.#window.sent(counter, this.#own.sentUs, style.tag, now.us);
    this.#saver.reached(this.#own.lastUs);
    return counter;
  }

  /**
   * The counters that `next` will make at these times, if no other advertisement is sent or heard before. They may be sent
   * then: an engine that is killed before `next` told of them is followed by one whose counters are greater.
   */
  foresee(
    fields: HeaderFields,
    style: CounterStyle,
    { times, now }: { readonly times: readonly Instant[]; readonly now: Instant },
  ): bigint[] {
    const fork = this.#own.fork();
    return times.map((at) => {
      const counter = fork.next(fields, style, at);
      this.#saver.reached(fork.lastUs - BigInt(Math.trunc(at.us - now.us)));
      return counter;
    });
  }

  /** A counter of ours came from another host: the next one will differ. */
  collided(tag: number): void {
    this.#own.collided(tag);
  }

  /** Whether that is so, and the next one is still to be made. */
  get willDiffer(): boolean {
    return this.#own.willDiffer;
  }

  /** Judges the counter of an advertisement with a valid digest. @returns why it is refused */
  refusal(heard: Heard, reader: Reader): string | undefined {
    const verdict = this.#window.judge(heard, reader);
    if ("refusal" in verdict) return verdict.refusal;
    if (verdict.followUs === undefined) return undefined;
    this.#own.follow(verdict.followUs, heard.receivedUs);
    this.#saver.reached(verdict.followUs);
    return undefined;
  }
}
