/**
 * The devices of carp interfaces: one pass at a time for each, the last wish wins, and what somebody else changes is
 * put back. A quarrel with another program is bounded: after a few repairs it waits, longer each time. What a pass
 * does is in device-pass.ts; nothing here talks to the kernel.
 */

import { isDeepStrictEqual } from "node:util";
import type { Device } from "../core/effect.ts";
import { difference, type Kept, type PassContext, pass, removePlaced } from "./device-pass.ts";
import { removal } from "./device-plan.ts";
import type { KernelLink, Notice } from "./rtnetlink-messages.ts";

const REPAIRS = 5;
const REPAIRS_WITHIN_MS = 10_000;
/** `ip address flush` deletes in rounds until nothing is left: it must not win by that. */
const FIRST_HOLD_MS = 100;
const LONGEST_HOLD_MS = REPAIRS_WITHIN_MS / 2;

interface Entry extends Kept {
  /** Counts the wishes; a waiter is content with the one it made or a later one. */
  wish: number;
  waiters: { wish: number; resolve: () => void }[];
  running: boolean;
  /** The last pass left everything as wanted: from here on, a difference is somebody else's doing. */
  settled: boolean;
  /** What somebody did that has not been put back yet: a deletion shows as other changes first. */
  foreign: readonly string[];
  /** Something about the device or its carpdev was heard since the last look. */
  touched: boolean;
  /** When passes nobody asked for were made, in milliseconds of the monotonic clock. */
  repairs: number[];
  hold: NodeJS.Timeout | undefined;
  /** The last wait of a quarrel; 0: there is none. */
  holdMs: number;
}

export class Devices {
  readonly #context: PassContext;
  readonly #entries = new Map<string, Entry>();
  #look: NodeJS.Immediate | undefined;
  #closed = false;

  constructor(context: PassContext) {
    this.#context = context;
  }

  apply(name: string, device: Device | null): Promise<void> {
    if (this.#closed) return Promise.resolve();
    const entry = this.#entry(name);
    const desired = device && { ...device, mac: device.mac.toLowerCase() };
    if (!isDeepStrictEqual(entry.desired, desired)) {
      entry.desired = desired;
      entry.settled = false;
      entry.foreign = [];
    }
    entry.refused.clear();
    const wish = ++entry.wish;
    const done = new Promise<void>((resolve) => entry.waiters.push({ wish, resolve }));
    void this.#run(entry);
    return done;
  }

  /** Our own device, or one of another engine on this host: no link that could be a carpdev. */
  isCarp(link: KernelLink): boolean {
    const entry = this.#entries.get(link.name);
    if (entry?.creating) return true;
    return (
      link.alias?.startsWith("carpctl ") === true ||
      [...this.#entries.values()].some((e) => e.index === link.index)
    );
  }

  /** Called for every notification, after it has been taken into `observed`. */
  heard(notice: Notice): void {
    const index = notice.kind === "link" ? notice.link.index : notice.address.index;
    const name = notice.kind === "link" ? notice.link.name : this.#context.observed.links.get(index)?.name;
    for (const entry of this.#entries.values()) {
      if (entry.index === index && notice.kind === "link" && notice.gone) this.#gone(entry);
      if (entry.index === index || entry.name === name || entry.desired?.carpdev === name) this.#touch(entry);
    }
  }

  /** Everything was read anew: anything may have happened. */
  heardAll(): void {
    for (const entry of this.#entries.values()) {
      if (entry.index !== 0 && !this.#context.observed.links.has(entry.index)) this.#gone(entry);
      this.#touch(entry);
    }
  }

  async removeLeftovers(keep: ReadonlySet<string>): Promise<void> {
    const { observed, alias, placed, perform } = this.#context;
    const left = [...observed.links.values()].filter(
      (link) => link.kind === "macvlan" && link.alias === alias && !keep.has(link.name),
    );
    await perform(left.map(({ index }) => removal(index).request));
    for (const name of placed.names()) {
      const on = placed.get(name);
      if (on === undefined || keep.has(name)) continue;
      await removePlaced(this.#context, on.carpdev, on.keys);
      placed.set(name, on.carpdev, new Set());
    }
  }

  wanted(): Device[] {
    return [...this.#entries.values()].flatMap(({ desired }) => desired ?? []);
  }

  /** The carpdevs that devices of these names, left by an earlier engine, are on. */
  carpdevsOf(names: ReadonlySet<string>): Set<string> {
    const { observed, alias, placed } = this.#context;
    const carpdevs = new Set<string>();
    for (const name of names) {
      const link = observed.byName(name);
      const parent = link?.alias === alias ? observed.links.get(link.parentIndex)?.name : undefined;
      for (const carpdev of [parent, placed.get(name)?.carpdev]) if (carpdev) carpdevs.add(carpdev);
    }
    return carpdevs;
  }

  close(): void {
    this.#closed = true;
    clearImmediate(this.#look);
    for (const entry of this.#entries.values()) {
      clearTimeout(entry.hold);
      for (const { resolve } of entry.waiters) resolve();
    }
    this.#entries.clear();
  }

  #entry(name: string): Entry {
    const known = this.#entries.get(name);
    if (known) return known;
    const entry: Entry = {
      name,
      desired: null,
      index: 0,
      creating: false,
      placed: new Set(),
      refused: new Set(),
      complaints: new Map(),
      wish: 0,
      waiters: [],
      running: false,
      settled: false,
      foreign: [],
      touched: false,
      repairs: [],
      hold: undefined,
      holdMs: 0,
    };
    this.#entries.set(name, entry);
    return entry;
  }

  #gone(entry: Entry): void {
    entry.index = 0;
    entry.placed.clear();
    this.#context.events.device(entry.name, 0);
  }

  #touch(entry: Entry): void {
    entry.touched = true;
    // Not at once: what belongs together (a flush, a carpdev and all that is on it) arrives together.
    this.#look ??= setImmediate(() => {
      this.#look = undefined;
      for (const each of [...this.#entries.values()]) if (each.touched) this.#consider(each);
    });
  }

  async #run(entry: Entry): Promise<void> {
    if (entry.running) return;
    entry.running = true;
    for (let wish = -1; wish !== entry.wish && !this.#closed; ) {
      wish = entry.wish;
      entry.settled = await pass(this.#context, entry);
      const [content, waiting] = [true, false].map((yes) =>
        entry.waiters.filter((w) => w.wish <= wish === yes),
      );
      entry.waiters = waiting ?? [];
      for (const { resolve } of content ?? []) resolve();
    }
    entry.running = false;
    if (this.#closed) return;
    if (entry.settled) this.#tellRepaired(entry);
    if (entry.desired === null && entry.settled) this.#forget(entry);
    else if (entry.touched) this.#touch(entry);
  }

  #tellRepaired(entry: Entry): void {
    const { name, foreign } = entry;
    entry.foreign = [];
    if (foreign.length > 0) this.#context.events.repaired(name, foreign.join("; "));
  }

  #forget(entry: Entry): void {
    clearTimeout(entry.hold);
    this.#entries.delete(entry.name);
  }

  #consider(entry: Entry): void {
    if (entry.running || entry.hold !== undefined) return;
    entry.touched = false;
    const { needed, what } = difference(this.#context, entry);
    if (!needed) {
      entry.foreign = [];
      return;
    }
    if (entry.settled || entry.foreign.length > 0) entry.foreign = what;
    const now = performance.now();
    entry.repairs = entry.repairs.filter((at) => now - at < REPAIRS_WITHIN_MS);
    if (entry.repairs.length === 0) entry.holdMs = 0;
    if (entry.repairs.length >= REPAIRS) {
      this.#hold(entry);
      return;
    }
    entry.repairs.push(now);
    void this.#run(entry);
  }

  #hold(entry: Entry): void {
    if (entry.holdMs === 0) {
      const last = entry.foreign.length > 0 ? ` (${entry.foreign.join("; ")})` : "";
      this.#context.events.complaint(
        `${entry.name}: changed again${last} after ${REPAIRS} repairs in ${REPAIRS_WITHIN_MS / 1000} s:` +
          " somebody else keeps changing it; it is put right less often from now on",
      );
    }
    entry.holdMs = Math.min(Math.max(FIRST_HOLD_MS, 2 * entry.holdMs), LONGEST_HOLD_MS);
    entry.hold = setTimeout(() => {
      entry.hold = undefined;
      // One for each wait.
      entry.repairs.shift();
      this.#consider(entry);
    }, entry.holdMs);
  }
}
