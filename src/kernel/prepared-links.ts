/**
 * Which links have ARP settings as carp needs them: the carpdevs, and the host's other links on which Linux would
 * answer for the addresses shared there: those that are in the same subnet, or on the same device below. How settings
 * are changed and put back is in carpdev-settings.ts.
 */

import type { Device } from "../core/effect.ts";
import type { InterfaceAddress } from "../core/event.ts";
import type { CarpdevSettings } from "./carpdev-settings.ts";
import { parentOf } from "./device-plan.ts";
import type { LinkEvents } from "./kernel.ts";
import type { Observed } from "./observed.ts";
import { Quarrel } from "./quarrel.ts";
import type { KernelLink } from "./rtnetlink-messages.ts";
import { prefixOf } from "./subnets.ts";

/** The kernel tells of a new name before it has moved the settings there, and of nothing afterwards. */
const AGAIN_MS = 10;
const ATTEMPTS = 100;

export interface PreparedLinksOptions {
  readonly settings: Pick<CarpdevSettings, "prepare" | "restore" | "restoreAllBut" | "changed">;
  readonly observed: Observed;
  /** Whether a link could be a carpdev. */
  readonly isCarpdev: (link: KernelLink) => boolean;
  /** What carp interfaces want at the time. */
  readonly wanted: () => readonly Device[];
  readonly events: Pick<LinkEvents, "repaired" | "complaint">;
}

export class PreparedLinks {
  readonly #options: PreparedLinksOptions;
  readonly #carpdevs = new Set<string>();
  /** By name, their indexes. */
  #beside: ReadonlyMap<string, number> = new Map();
  /** By name, the indexes of those whose settings have been seen to. */
  readonly #prepared = new Map<string, number>();
  readonly #quarrels = new Map<string, Quarrel>();
  /** Worked out once: this is asked for whenever an address comes or goes. */
  readonly #subnets = new WeakMap<Device, ReadonlySet<string>>();

  constructor(options: PreparedLinksOptions) {
    this.#options = options;
  }

  prepare(carpdev: string): void {
    this.#carpdevs.add(carpdev);
    this.#prepare(carpdev, this.#options.observed.byName(carpdev)?.index ?? 0);
    // What an engine before this one prepared is let go only when it is known what this one wants.
    this.#settle(new Map([...this.#beside, ...this.#linksBeside()]));
  }

  restore(carpdev: string): void {
    this.#carpdevs.delete(carpdev);
    this.#restore(carpdev);
    this.follow();
  }

  /** Restores what an earlier engine prepared, but for these carpdevs and what is beside addresses still in place. */
  restoreAllBut(carpdevs: ReadonlySet<string>, addresses: readonly InterfaceAddress[]): void {
    this.#beside = this.#linksIn(subnetsOf(addresses), carpdevs);
    this.#options.settings.restoreAllBut(carpdevs.union(new Set(this.#beside.keys())));
  }

  /** To be called whenever an address came or went, here or in what carp interfaces want. */
  follow(): void {
    this.#settle(this.#linksBeside());
  }

  #settle(beside: ReadonlyMap<string, number>): void {
    const former = this.#beside;
    this.#beside = beside;
    for (const [name, index] of beside) if (former.get(name) !== index) this.#prepare(name, index);
    for (const name of former.keys()) if (!beside.has(name)) this.#restore(name);
  }

  #isInUse(name: string): boolean {
    return this.#carpdevs.has(name) || this.#beside.has(name);
  }

  #prepare(name: string, index: number): void {
    const { settings, observed } = this.#options;
    const isMeant = () => this.#isInUse(name) && (observed.byName(name)?.index ?? 0) === index;
    untilDone(() => {
      if (!isMeant()) return true;
      if (!settings.prepare(name, index)) return false;
      this.#prepared.set(name, index);
      return true;
    });
  }

  /** To be called whenever the kernel has told of a link. */
  heard({ name, index }: KernelLink): void {
    if (this.#prepared.get(name) === index) this.#consider(name);
  }

  /** The links that the kernel has to be asked about: of these settings it tells nobody. */
  indexes(): Iterable<number> {
    return this.#prepared.values();
  }

  close(): void {
    for (const quarrel of this.#quarrels.values()) quarrel.close();
    this.#prepared.clear();
  }

  #consider(name: string): void {
    const { settings, observed, events } = this.#options;
    const link = observed.byName(name);
    if (link === undefined || this.#prepared.get(name) !== link.index) return;
    const what = settings.changed(name, link.settings);
    if (what.length === 0 || !this.#quarrel(name).allows(what)) return;
    settings.prepare(name, link.index);
    events.repaired(name, what.join("; "));
  }

  #quarrel(subject: string): Quarrel {
    const known = this.#quarrels.get(subject);
    if (known !== undefined) return known;
    const complain = (text: string) => this.#options.events.complaint(text);
    const quarrel = new Quarrel({ subject, complain, again: () => this.#consider(subject) });
    this.#quarrels.set(subject, quarrel);
    return quarrel;
  }

  #restore(name: string): void {
    this.#prepared.delete(name);
    this.#quarrels.get(name)?.close();
    this.#quarrels.delete(name);
    untilDone(() => this.#isInUse(name) || this.#options.settings.restore(name));
  }

  #linksBeside(): ReadonlyMap<string, number> {
    const shared = this.#options.wanted().filter(({ carpdev }) => this.#carpdevs.has(carpdev));
    const subnets = new Set(shared.flatMap((device) => [...this.#subnetsOf(device)]));
    return this.#linksIn(subnets, this.#carpdevs);
  }

  #subnetsOf(device: Device): ReadonlySet<string> {
    const known = this.#subnets.get(device);
    if (known !== undefined) return known;
    const subnets = subnetsOf(device.addresses);
    this.#subnets.set(device, subnets);
    return subnets;
  }

  /** By name, the indexes of the links that are on a carpdev's segment for all that can be seen from here. */
  #linksIn(subnets: ReadonlySet<string>, carpdevs: ReadonlySet<string>): ReadonlyMap<string, number> {
    const { observed, isCarpdev } = this.#options;
    const below = new Set([...carpdevs].flatMap((name) => observed.byName(name) ?? []).map(parentOf));
    const found = [...observed.links.values()].filter(
      (link) =>
        !carpdevs.has(link.name) &&
        isCarpdev(link) &&
        (below.has(parentOf(link)) ||
          observed.addresses(link.index).some((own) => subnets.has(prefixOf(own)))),
    );
    return new Map(found.map(({ name, index }) => [name, index]));
  }
}

/** Of IPv4 only: neighbour discovery answers on the interface that has the address and on no other. */
function subnetsOf(addresses: readonly InterfaceAddress[]): ReadonlySet<string> {
  return new Set(addresses.filter(({ family }) => family === 4).map(prefixOf));
}

function untilDone(attempt: () => boolean, attempts = ATTEMPTS): void {
  if (attempt() || attempts === 0) return;
  setTimeout(() => untilDone(attempt, attempts - 1), AGAIN_MS).unref();
}
