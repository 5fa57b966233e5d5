/**
 * CounterBook: the advertisement counters of every virtual host, those of destroyed interfaces included: a
 * virtual host that is made anew goes on where it ended, and refuses what was recorded before. Holds what the
 * next engine needs for the same.
 */

import type { Instant } from "../model.ts";
import { CounterReserve } from "./counter-reserve.ts";
import type { WindowState } from "./counter-window.ts";
import { type Saver, VirtualHostCounters } from "./virtual-host-counters.ts";

/** The window of one virtual host as it is saved. */
export interface SavedWindow extends WindowState {
  readonly interface: string;
  readonly vhid: number;
}

/** Windows of virtual hosts that no longer exist. */
const MAX_FORMER = 4096;

export class CounterBook {
  /** The time of the greatest counter sent or followed so far, or the floor given. */
  #floor: bigint;
  readonly #interfaces = new Map<string, Map<number, VirtualHostCounters>>();
  /** The windows of virtual hosts that an earlier engine had, or that were destroyed, by `carp0/1`. */
  readonly #former = new Map<string, SavedWindow>();
  readonly #reserve = new CounterReserve();
  /** Since the last `takeSave`: the greatest time sent or followed, and whether a window has to be saved. */
  #reachedUs = 0n;
  #isNews = false;
  readonly #saver: Saver = {
    reached: (us) => {
      if (us > this.#reachedUs) this.#reachedUs = us;
      if (us > this.#floor) this.#floor = us;
    },
    changed: () => {
      this.#isNews = true;
    },
  };

  /** @param floor the time of the greatest counter that an earlier engine may have sent */
  constructor(floor: bigint) {
    this.#floor = floor;
  }

  /** Takes the windows that an earlier engine saved. */
  restore(windows: readonly SavedWindow[], now: Instant): void {
    for (const window of windows) this.#keep({ ...window, atUs: Math.min(window.atUs, now.us) });
  }

  /** The counters of a virtual host; they are made when it has none yet. */
  of(name: string, vhid: number, now: Instant): VirtualHostCounters {
    const ofInterface = this.#interfaces.get(name) ?? new Map<number, VirtualHostCounters>();
    this.#interfaces.set(name, ofInterface);
    const known = ofInterface.get(vhid);
    if (known !== undefined) return known;
    const former = this.#former.get(`${name}/${vhid}`);
    const made = new VirtualHostCounters(this.#floor, former, this.#saver, now);
    ofInterface.set(vhid, made);
    if (made.lastUs > this.#floor) this.#floor = made.lastUs;
    return made;
  }

  /** The interface is destroyed. */
  destroyed(name: string): void {
    for (const window of this.#windowsOf(name)) this.#keep(window);
    this.#interfaces.delete(name);
  }

  /** The time of the greatest counter sent or followed so far, or the floor given. */
  get floor(): bigint {
    return this.#floor;
  }

  /** The windows to save. */
  get windows(): SavedWindow[] {
    const all = new Map(this.#former);
    for (const name of this.#interfaces.keys())
      for (const window of this.#windowsOf(name)) all.set(`${name}/${window.vhid}`, window);
    return [...all.values()];
  }

  /**
   * The greatest time that was or may be sent without another save; it grows no faster than CLOCK_BOOTTIME.
   */
  greatest(now: Instant): bigint {
    const [sent, reserved] = [this.floor, this.#reserve.at(now)];
    return reserved > sent ? reserved : sent;
  }

  /** Whether the state has to be saved after the present event. */
  takeSave(now: Instant): boolean {
    const isPast = this.#reachedUs > 0n && this.#reserve.take(this.#reachedUs, now);
    const isNews = this.#isNews;
    this.#reachedUs = 0n;
    this.#isNews = false;
    return isPast || isNews;
  }

  #windowsOf(name: string): SavedWindow[] {
    return [...(this.#interfaces.get(name) ?? [])].flatMap(([vhid, { state }]) =>
      state === undefined ? [] : [{ interface: name, vhid, ...state }],
    );
  }

  #keep(window: SavedWindow): void {
    const key = `${window.interface}/${window.vhid}`;
    this.#former.delete(key);
    this.#former.set(key, window);
    if (this.#former.size <= MAX_FORMER) return;
    for (const oldest of this.#former.keys()) {
      this.#former.delete(oldest);
      return;
    }
  }
}
