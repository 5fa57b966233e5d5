/**
 * ArpLinks: the links whose ARP settings carp changes: the carpdevs, and the host's other links on which Linux would
 * answer for the shared addresses, because they have an address in the same subnet or the same device below. How
 * settings are changed and put back is in carpdev-settings.ts.
 */

import type { Device, InterfaceAddress } from "../../core/model.ts";
import { subnetOf } from "../../protocol/subnet.ts";
import { parentOf } from "../devices/device-plan.ts";
import type { LinkCache } from "../devices/link-cache.ts";
import type { LinkEvents } from "../kernel.ts";
import type { KernelLink } from "../netlink/messages.ts";
import { RepairBackoff } from "../repair-backoff.ts";
import type { CarpdevSettings } from "./carpdev-settings.ts";

/** The kernel reports a new name before it has moved the settings there, and sends nothing afterwards. */
const AGAIN_MS = 10;
const ATTEMPTS = 100;

export interface ArpLinksOptions {
  readonly settings: Pick<
    CarpdevSettings,
    "prepare" | "restore" | "restoreAllBut" | "changed" | "isWritable"
  >;
  readonly cache: LinkCache;
  /** Whether a link could be a carpdev. */
  readonly isCarpdev: (link: KernelLink) => boolean;
  /** The devices of all carp interfaces. */
  readonly wanted: () => readonly Device[];
  readonly events: Pick<LinkEvents, "repaired" | "complaint">;
}

export class ArpLinks {
  readonly #options: ArpLinksOptions;
  /** Names. Everything else goes by index: names may be exchanged. */
  readonly #carpdevs = new Set<string>();
  /** Other links that need the settings. */
  #sharingSubnet: ReadonlySet<number> = new Set();
  /** The links that need the settings now. */
  #inUse: ReadonlySet<number> = new Set();
  /** Those of them whose settings have been written. */
  readonly #prepared = new Set<number>();
  readonly #backoffs = new Map<number, RepairBackoff>();
  /** Cached: needed whenever an address comes or goes. */
  readonly #subnets = new WeakMap<Device, ReadonlySet<string>>();

  constructor(options: ArpLinksOptions) {
    this.#options = options;
  }

  prepare(carpdev: string): void {
    this.#carpdevs.add(carpdev);
    // Links that an earlier engine prepared are restored only when all of this engine's interfaces are known.
    this.#settle(this.#sharingSubnet.union(this.#linksInSharedSubnets()));
  }

  restore(carpdev: string): void {
    this.#carpdevs.delete(carpdev);
    this.follow();
  }

  /** Restores links of an earlier engine, except these carpdevs and links in the subnets of these addresses. */
  restoreAllBut(carpdevs: ReadonlySet<string>, addresses: readonly InterfaceAddress[]): void {
    this.#sharingSubnet = this.#linksIn(subnetsOf(addresses), carpdevs);
    this.#options.settings.restoreAllBut(this.#sharingSubnet.union(this.#indexesOf(carpdevs)));
  }

  /** Must be called whenever a link was renamed or an address came or went, on a link or in a carp interface's device. */
  follow(): void {
    this.#settle(this.#linksInSharedSubnets());
  }

  #settle(sharing: ReadonlySet<number>): void {
    const former = this.#inUse.union(this.#sharingSubnet);
    this.#sharingSubnet = sharing;
    this.#inUse = this.#indexesOf(this.#carpdevs).union(sharing);
    for (const index of this.#inUse) if (!former.has(index)) this.#prepare(index);
    for (const index of former) if (!this.#inUse.has(index)) this.#restore(index);
  }

  #indexesOf(names: ReadonlySet<string>): Set<number> {
    return new Set([...names].flatMap((name) => this.#options.cache.byName(name)?.index ?? []));
  }

  #prepare(index: number): void {
    untilDone(() => {
      if (!this.#inUse.has(index)) return true;
      if (!this.#options.settings.prepare(index)) return false;
      this.#prepared.add(index);
      return true;
    });
  }

  /** Must be called for every link notification, also one that tells nothing new. */
  heard({ index }: KernelLink): void {
    if (this.#prepared.has(index)) this.#consider(index);
  }

  /** The links to query now and then: the kernel sends no notification of these settings. */
  indexes(): Iterable<number> {
    return this.#prepared;
  }

  close(): void {
    for (const backoff of this.#backoffs.values()) backoff.close();
    this.#prepared.clear();
  }

  #consider(index: number): void {
    const { settings, cache, events } = this.#options;
    const link = cache.links.get(index);
    if (link === undefined || !this.#prepared.has(index)) return;
    const what = settings.changed(index, link.settings);
    if (what.length === 0 || !this.#backoff(link).allows(what)) return;
    if (settings.prepare(index) && settings.isWritable(index)) events.repaired(link.name, what.join("; "));
  }

  #backoff({ index, name: subject }: KernelLink): RepairBackoff {
    const known = this.#backoffs.get(index);
    if (known !== undefined) return known;
    const complain = (text: string) => this.#options.events.complaint(text);
    const backoff = new RepairBackoff({ subject, complain, again: () => this.#consider(index) });
    this.#backoffs.set(index, backoff);
    return backoff;
  }

  #restore(index: number): void {
    this.#prepared.delete(index);
    this.#backoffs.get(index)?.close();
    this.#backoffs.delete(index);
    untilDone(() => this.#inUse.has(index) || this.#options.settings.restore(index));
  }

  #linksInSharedSubnets(): ReadonlySet<number> {
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

  /** Links that seem to be on a carpdev's segment, besides the carpdevs. */
  #linksIn(subnets: ReadonlySet<string>, carpdevs: ReadonlySet<string>): ReadonlySet<number> {
    const { cache, isCarpdev } = this.#options;
    const below = new Set([...carpdevs].flatMap((name) => cache.byName(name) ?? []).map(parentOf));
    const found = [...cache.links.values()].filter(
      (link) =>
        !carpdevs.has(link.name) &&
        isCarpdev(link) &&
        (below.has(parentOf(link)) || cache.addresses(link.index).some((own) => subnets.has(subnetOf(own)))),
    );
    return new Set(found.map(({ index }) => index));
  }
}

/** The IPv4 subnets: neighbour discovery answers only on the interface that has the address. */
function subnetsOf(addresses: readonly InterfaceAddress[]): ReadonlySet<string> {
  return new Set(addresses.filter(({ family }) => family === 4).map(subnetOf));
}

function untilDone(attempt: () => boolean, attempts = ATTEMPTS): void {
  if (attempt() || attempts === 0) return;
  setTimeout(() => untilDone(attempt, attempts - 1), AGAIN_MS).unref();
}
