/**
 * The devices of carp interfaces: one pass at a time for each, the last wish wins, and what somebody else changes is
 * put back, unless it is a quarrel. What a pass does is in device-pass.ts; nothing here talks to the kernel.
 */

import { isDeepStrictEqual } from "node:util";
import type { Device } from "../core/effect.ts";
import { removePlaced } from "./carpdev-addresses.ts";
import { asWanted, difference, doubtRoutes, type Kept, type PassContext, pass } from "./device-pass.ts";
import { localRouteKey, removal } from "./device-plan.ts";
import { Quarrel } from "./quarrel.ts";
import type { KernelLink, Notice } from "./rtnetlink-messages.ts";
import type { KernelRoute } from "./rtnetlink-routes.ts";

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
  readonly quarrel: Quarrel;
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
    if (notice.kind === "route-gone") {
      this.#routeGone(notice.route);
      return;
    }
    const index = notice.kind === "link" ? notice.link.index : notice.address.index;
    const name = notice.kind === "link" ? notice.link.name : this.#context.observed.links.get(index)?.name;
    for (const entry of this.#entries.values()) {
      // A new address has a new route.
      if (notice.kind === "address" && !notice.gone) entry.lost.delete(localRouteKey(notice.address));
      if (entry.index === index && notice.kind === "link" && notice.gone) this.#gone(entry);
      if (entry.index === index || entry.name === name || entry.desired?.carpdev === name) this.#touch(entry);
    }
  }

  /** Everything was read anew: anything may have happened. */
  heardAll(): void {
    for (const entry of this.#entries.values()) {
      if (entry.index !== 0 && !this.#context.observed.links.has(entry.index)) this.#gone(entry);
      doubtRoutes(this.#context, entry);
      this.#touch(entry);
    }
  }

  /** The links that the kernel has to be asked about: of some changes it tells nobody. */
  indexes(): number[] {
    return [...this.#entries.values()].flatMap(({ index }) => (index === 0 ? [] : index));
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
      entry.quarrel.close();
      for (const { resolve } of entry.waiters) resolve();
    }
    this.#entries.clear();
  }

  #entry(name: string): Entry {
    const known = this.#entries.get(name);
    if (known) return known;
    const quarrel = new Quarrel({
      subject: name,
      complain: (text) => this.#context.events.complaint(text),
      again: () => this.#consider(entry),
    });
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
      lost: new Map(),
      asked: new Set(),
      exempt: new Set(),
      restored: [],
      carpdevMtu: undefined,
      quarrel,
    };
    this.#entries.set(name, entry);
    return entry;
  }

  #gone(entry: Entry): void {
    entry.index = 0;
    entry.placed.clear();
    entry.lost.clear();
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

  /** What follows from something else is no second incident. */
  #tellRepaired(entry: Entry): void {
    const { name, foreign, restored } = entry;
    entry.foreign = [];
    entry.restored = [];
    const what = foreign.length > 0 ? foreign : restored;
    if (what.length > 0) this.#context.events.repaired(name, what.join("; "));
  }

  #forget(entry: Entry): void {
    entry.quarrel.close();
    this.#entries.delete(entry.name);
  }

  #routeGone({ index, key, table }: KernelRoute): void {
    const name = this.#context.observed.links.get(index)?.name;
    for (const entry of this.#entries.values()) {
      if (entry.index !== index && !(entry.desired?.realMac && entry.desired.carpdev === name)) continue;
      entry.lost.set(key, table);
      this.#touch(entry);
    }
  }

  #consider(entry: Entry): void {
    if (entry.running || entry.quarrel.waits) return;
    entry.touched = false;
    const { needed, what } = difference(this.#context, entry);
    if (!needed) {
      entry.foreign = [];
      asWanted(this.#context, entry);
      return;
    }
    if (entry.settled || entry.foreign.length > 0) entry.foreign = what;
    if (entry.quarrel.allows(entry.foreign)) void this.#run(entry);
  }
}
