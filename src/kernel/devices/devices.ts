/**
 * Devices: decides when a pass over a carp interface's device runs: one at a time for each, the last `apply` wins, and
 * changes by other programs are undone, with backoff. A pass is in device-pass.ts; nothing here talks to the kernel.
 */

import { isDeepStrictEqual } from "node:util";
import type { Device } from "../../core/model.ts";
import { RareMap, RareSet } from "../../core/rare.ts";
import { Grouped } from "../grouped.ts";
import type { Watch } from "../kernel.ts";
import type { KernelLink, Notice } from "../netlink/messages.ts";
import type { KernelRoute } from "../netlink/routes.ts";
import { RepairBackoff } from "../repair-backoff.ts";
import { Slices } from "../slices.ts";
import { carpdevOf, removePlaced } from "./carpdev-addresses.ts";
import {
  asWanted,
  difference,
  doubtRoutes,
  noteLostRoute,
  pass,
  placeOf,
  putRoutesBack,
  retryIPv6,
  unrepaired,
} from "./device-pass.ts";
import { inWords, localRouteKey, removal } from "./device-plan.ts";
import {
  complain,
  type DeviceState,
  forgetFailures,
  harmOf,
  isOfActive,
  type PassContext,
} from "./device-state.ts";

/** Clients notice that a device is not repaired for so long: it is told of. */
const LONG_PAUSE_MS = 1000;

interface Entry extends DeviceState {
  /** The number of the last `apply`; a waiter resolves with its own or a later one. */
  generation: number;
  /** The `apply` of the last pass. */
  tried: number;
  waiters: { generation: number; done: () => void }[];
  running: boolean;
  /** The last pass left the device as wanted: a difference from now on is a change by another program. */
  settled: boolean;
  /** Changes by another program, in words, not yet undone: a deletion shows as other changes first. */
  foreign: readonly string[];
  /** The device or its carpdev has changed since the last look. */
  touched: boolean;
  /** The index of the link whose host routes matter, which has the addresses; 0: it is not there. */
  place: number;
  readonly backoff: RepairBackoff;
  /** Repairs, in words, of the host's own routes. */
  readonly routesBack: string[];
  /** The errors told last. */
  told: readonly string[];
}

export interface DevicesOptions extends Omit<PassContext, "indexed"> {
  /** Has the host routes of a link reported, or not any more. */
  followRoutes(index: number, follows: boolean): void;
  /** For our macvlans, by index: the kernel sends no notification of some changes. */
  readonly watch: Pick<Watch<number>, "add" | "remove">;
}

export class Devices {
  readonly #context: PassContext;
  readonly #followRoutes: DevicesOptions["followRoutes"];
  readonly #watch: DevicesOptions["watch"];
  readonly #entries = new Map<string, Entry>();
  /** By the index of our macvlan. */
  readonly #byIndex = new Map<number, Entry>();
  readonly #byCarpdev = new Grouped<string, Entry>();
  readonly #byPlace = new Grouped<number, Entry>();
  /** In this turn, so that what is applied together is requested together. */
  readonly #toRun = new Slices<Entry>((entry) => void this.#run(entry), queueMicrotask);
  /** In the next turn: notifications of one cause (a flush, a carpdev with all that is on it) arrive together. */
  readonly #touched = new Slices<Entry>((entry) => entry.touched && this.#consider(entry), setImmediate);
  #closed = false;

  constructor(options: DevicesOptions) {
    this.#followRoutes = options.followRoutes;
    this.#watch = options.watch;
    this.#context = { ...options, indexed: (name, index) => this.#indexed(this.#entry(name), index) };
  }

  /** Calls `done` once when the device is as wanted, when that failed, or when nothing is done any more. */
  apply(name: string, device: Device | null, done: () => void): void {
    if (this.#closed) {
      done();
      return;
    }
    const entry = this.#entry(name);
    const desired = device && { ...device, mac: device.mac.toLowerCase() };
    if (!isDeepStrictEqual(entry.desired, desired)) {
      this.#want(entry, desired);
      entry.settled = false;
      entry.foreign = [];
    }
    // The kernel drops them with the addresses; hooks add them again.
    if (!desired?.active) entry.hostRoutes.clear();
    const generation = ++entry.generation;
    entry.waiters.push({ generation, done });
    this.#toRun.add(entry);
  }

  /** Whether the link is a carp device, of this engine or another on this host, and so no carpdev. */
  isCarp(link: KernelLink): boolean {
    if (this.#entries.get(link.name)?.creating) return true;
    return link.alias?.startsWith("carpctl ") === true || this.#byIndex.has(link.index);
  }

  /** Called for every notification, after it has been taken into the link cache. */
  heard(notice: Notice): void {
    if (notice.kind === "route-gone") {
      this.#routeGone(notice.route);
      return;
    }
    if (notice.kind === "host-route") {
      this.#hostRoute(notice);
      return;
    }
    const index = notice.kind === "link" ? notice.link.index : notice.address.index;
    const name = notice.kind === "link" ? notice.link.name : this.#context.cache.links.get(index)?.name;
    const own = this.#byIndex.get(index);
    const named = name === undefined ? undefined : this.#entries.get(name);
    const placed = this.#byPlace.get(index);
    for (const entry of new Set([own, named, ...placed, ...this.#byCarpdev.get(name ?? "")])) {
      if (entry === undefined) continue;
      // A new address has a new local route; other devices may have the same link-local address.
      const isItsAddress = entry === own || (entry.desired?.realMac && entry.desired.carpdev === name);
      if (notice.kind === "address" && !notice.gone && isItsAddress)
        entry.lost.delete(localRouteKey(notice.address));
      if (entry === own && notice.kind === "link" && notice.gone) this.#gone(entry);
      if (notice.kind === "link") this.#follow(entry);
      this.#touch(entry);
    }
  }

  /** Called after all links and addresses were read again: every device may have changed. */
  heardAll(): void {
    for (const entry of this.#entries.values()) {
      if (entry.index !== 0 && !this.#context.cache.links.has(entry.index)) this.#gone(entry);
      this.#follow(entry);
      doubtRoutes(this.#context, entry);
      // One that was deleted meanwhile must not come back.
      entry.hostRoutes.clear();
      this.#touch(entry);
    }
  }

  /** Whether a carp interface of this name wants a device. */
  wants(name: string): boolean {
    return (this.#entries.get(name)?.desired ?? null) !== null;
  }

  async removeLeftovers(keep: ReadonlySet<string>): Promise<void> {
    const { cache, alias, placed, perform } = this.#context;
    const left = [...cache.links.values()].filter(
      (link) => link.kind === "macvlan" && link.alias === alias && !keep.has(link.name),
    );
    await perform(left.map(({ index }) => removal(index).request));
    for (const name of placed.names()) {
      const on = placed.get(name);
      if (on === undefined || keep.has(name)) continue;
      await removePlaced(this.#context, on);
      placed.forget(name);
    }
  }

  /** The carpdevs that devices of these names, left by an earlier engine, are on. */
  carpdevsOf(names: ReadonlySet<string>): Set<string> {
    const { cache, alias, placed } = this.#context;
    const carpdevs = new Set<string>();
    for (const name of names) {
      const link = cache.byName(name);
      const parent = link?.alias === alias ? cache.links.get(link.parentIndex)?.name : undefined;
      const on = placed.get(name);
      for (const carpdev of [parent, on && carpdevOf(cache, on)?.name]) if (carpdev) carpdevs.add(carpdev);
    }
    return carpdevs;
  }

  close(): void {
    this.#closed = true;
    this.#toRun.clear();
    this.#touched.clear();
    for (const entry of this.#entries.values()) {
      entry.backoff.close();
      for (const { done } of entry.waiters) done();
    }
    this.#entries.clear();
  }

  #entry(name: string): Entry {
    const known = this.#entries.get(name);
    if (known) return known;
    const backoff = new RepairBackoff({
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
      refused: new RareSet(),
      withoutIPv6: new RareSet(),
      complaints: new RareMap(),
      generation: 0,
      tried: 0,
      waiters: [],
      running: false,
      settled: false,
      foreign: [],
      touched: false,
      place: 0,
      lost: new RareMap(),
      asked: new RareSet(),
      exempt: new RareSet(),
      unwritable: new RareSet(),
      refusedRoutes: new RareSet(),
      hostRoutes: new RareMap(),
      restored: [],
      carpdevMtu: undefined,
      backoff,
      routesBack: [],
      told: [],
    };
    this.#entries.set(name, entry);
    return entry;
  }

  #want(entry: Entry, desired: Device | null): void {
    if (entry.desired !== null) this.#byCarpdev.delete(entry.desired.carpdev, entry);
    if (desired !== null) this.#byCarpdev.add(desired.carpdev, entry);
    entry.desired = desired;
    this.#follow(entry);
  }

  #indexed(entry: Entry, index: number): void {
    if (this.#byIndex.get(entry.index) === entry) {
      this.#byIndex.delete(entry.index);
      this.#watch.remove(entry.index);
    }
    entry.index = index;
    if (index !== 0) {
      this.#byIndex.set(index, entry);
      this.#watch.add(index);
    }
    this.#follow(entry);
  }

  /** Must be called when the link that has the addresses may be another one. */
  #follow(entry: Entry): void {
    const before = entry.place;
    const now = placeOf(this.#context, entry)?.index ?? 0;
    if (now === before) return;
    entry.place = now;
    if (now !== 0 && this.#byPlace.add(now, entry)) this.#followRoutes(now, true);
    if (before !== 0 && this.#byPlace.delete(before, entry)) this.#followRoutes(before, false);
  }

  #gone(entry: Entry): void {
    this.#indexed(entry, 0);
    entry.placed.clear();
    entry.lost.clear();
    this.#context.events.device(entry.name, 0);
  }

  #touch(entry: Entry): void {
    entry.touched = true;
    this.#touched.add(entry);
  }

  async #run(entry: Entry): Promise<void> {
    if (entry.running) return;
    entry.running = true;
    for (let generation = -1; generation !== entry.generation && !this.#closed; ) {
      if (entry.generation > entry.tried) forgetFailures(entry);
      generation = entry.generation;
      entry.tried = generation;
      entry.settled = await pass(this.#context, entry);
      if (entry.settled) entry.routesBack.push(...(await putRoutesBack(this.#context, entry)));
      const due = entry.waiters.filter((each) => each.generation <= generation);
      entry.waiters = entry.waiters.filter((each) => each.generation > generation);
      this.#tellPlaced(entry, true);
      for (const { done } of due) done();
    }
    entry.running = false;
    if (this.#closed) return;
    if (entry.settled) this.#tellRepaired(entry);
    if (entry.desired === null && entry.settled) this.#forget(entry);
    else if (entry.touched) this.#touch(entry);
  }

  /** Reports changes that were undone; lost routes only when no other change explains them. */
  #tellRepaired(entry: Entry): void {
    const { name, foreign, restored } = entry;
    entry.foreign = [];
    entry.restored = [];
    const left = foreign.length > 0 ? unrepaired(this.#context, entry) : new Set();
    const undone = foreign.length > 0 ? foreign.filter((each) => !left.has(each)) : restored;
    const what = [...undone, ...entry.routesBack.splice(0)];
    if (what.length > 0) this.#context.events.repaired(name, inWords(what));
  }

  /** Tells what is not in place. @param always also when it is what was told last */
  #tellPlaced(entry: Entry, always: boolean): void {
    const errors = [...entry.complaints.values()].map(({ text }) => text);
    if (!always && isDeepStrictEqual(errors, entry.told)) return;
    entry.told = errors;
    this.#context.events.placed(entry.name, errors, harmOf(entry), isOfActive(entry));
  }

  #forget(entry: Entry): void {
    entry.backoff.close();
    this.#indexed(entry, 0);
    this.#touched.delete(entry);
    this.#entries.delete(entry.name);
  }

  /** On a carpdev only routes from the shared addresses go with them. */
  #hostRoute({ gone, byKernel, route }: Extract<Notice, { kind: "host-route" }>): void {
    for (const { desired, hostRoutes } of this.#byPlace.get(route.index)) {
      if (!desired?.active) continue;
      if (desired.realMac && !desired.addresses.some(({ address }) => address === route.source)) continue;
      if (!gone) hostRoutes.set(route.key, route);
      else if (!byKernel) hostRoutes.delete(route.key);
    }
  }

  #routeGone(route: KernelRoute): void {
    const own = this.#byIndex.get(route.index);
    for (const entry of new Set([own, ...this.#byPlace.get(route.index)])) {
      if (entry === undefined || (entry !== own && !entry.desired?.realMac)) continue;
      noteLostRoute(entry, route);
      this.#touch(entry);
    }
  }

  #consider(entry: Entry): void {
    if (entry.running || entry.backoff.waits) return;
    entry.touched = false;
    retryIPv6(entry);
    const { needed, what } = difference(this.#context, entry);
    if (!needed) {
      entry.foreign = [];
      asWanted(this.#context, entry);
      this.#tellPlaced(entry, false);
      return;
    }
    if (entry.settled || entry.foreign.length > 0) entry.foreign = what;
    const changed = entry.foreign.length > 0 ? [inWords(entry.foreign)] : [];
    if (entry.backoff.allows(changed)) {
      entry.complaints.delete("backoff");
      void this.#run(entry);
    } else if (entry.backoff.pauseMs >= LONG_PAUSE_MS) {
      const last = changed.length > 0 ? ` (${changed.join()})` : "";
      complain(entry, "backoff", `another program keeps changing it${last}`);
      this.#tellPlaced(entry, false);
    }
  }
}
