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
  readonly settings: Pick<CarpdevSettings, "prepare" | "restore" | "restoreAllBut" | "changed">;
  readonly cache: LinkCache;
  /** Whether a link could be a carpdev. */
  readonly isCarpdev: (link: KernelLink) => boolean;
  /** The devices of all carp interfaces. */
  readonly wanted: () => readonly Device[];
  readonly events: Pick<LinkEvents, "repaired" | "complaint">;
}

export class ArpLinks {
  readonly #options: ArpLinksOptions;
  readonly #carpdevs = new Set<string>();
  /** Other links that need the settings: indexes by name. */
  #sharingSubnet: ReadonlyMap<string, number> = new Map();
  /** Links whose settings have been written: indexes by name. */
  readonly #prepared = new Map<string, number>();
  readonly #backoffs = new Map<string, RepairBackoff>();
  /** Cached: needed whenever an address comes or goes. */
  readonly #subnets = new WeakMap<Device, ReadonlySet<string>>();

  constructor(options: ArpLinksOptions) {
    this.#options = options;
  }

  prepare(carpdev: string): void {
    this.#carpdevs.add(carpdev);
    this.#prepare(carpdev, this.#options.cache.byName(carpdev)?.index ?? 0);
    // Links that an earlier engine prepared are restored only when all of this engine's interfaces are known.
    this.#settle(new Map([...this.#sharingSubnet, ...this.#linksInSharedSubnets()]));
  }

  restore(carpdev: string): void {
    this.#carpdevs.delete(carpdev);
    this.#restore(carpdev);
    this.follow();
  }

  /** Restores links of an earlier engine, except these carpdevs and links in the subnets of these addresses. */
  restoreAllBut(carpdevs: ReadonlySet<string>, addresses: readonly InterfaceAddress[]): void {
    this.#sharingSubnet = this.#linksIn(subnetsOf(addresses), carpdevs);
    this.#options.settings.restoreAllBut(carpdevs.union(new Set(this.#sharingSubnet.keys())));
  }

  /** Must be called whenever an address came or went, on a link or in a carp interface's device. */
  follow(): void {
    this.#settle(this.#linksInSharedSubnets());
  }

  #settle(sharing: ReadonlyMap<string, number>): void {
    const former = this.#sharingSubnet;
    this.#sharingSubnet = sharing;
    for (const [name, index] of sharing) if (former.get(name) !== index) this.#prepare(name, index);
    for (const name of former.keys()) if (!sharing.has(name)) this.#restore(name);
  }

  #isInUse(name: string): boolean {
    return this.#carpdevs.has(name) || this.#sharingSubnet.has(name);
  }

  #prepare(name: string, index: number): void {
    const { settings, cache } = this.#options;
    const isMeant = () => this.#isInUse(name) && (cache.byName(name)?.index ?? 0) === index;
    untilDone(() => {
      if (!isMeant()) return true;
      if (!settings.prepare(name, index)) return false;
      this.#prepared.set(name, index);
      return true;
    });
  }

  /** Must be called for every link notification. */
  heard({ name, index }: KernelLink): void {
    if (this.#prepared.get(name) === index) this.#consider(name);
  }

  /** The links to query now and then: the kernel sends no notification of these settings. */
  indexes(): Iterable<number> {
    return this.#prepared.values();
  }

  close(): void {
    for (const backoff of this.#backoffs.values()) backoff.close();
    this.#prepared.clear();
  }

  #consider(name: string): void {
    const { settings, cache, events } = this.#options;
    const link = cache.byName(name);
    if (link === undefined || this.#prepared.get(name) !== link.index) return;
    const what = settings.changed(name, link.settings);
    if (what.length === 0 || !this.#backoff(name).allows(what)) return;
    settings.prepare(name, link.index);
    events.repaired(name, what.join("; "));
  }

  #backoff(subject: string): RepairBackoff {
    const known = this.#backoffs.get(subject);
    if (known !== undefined) return known;
    const complain = (text: string) => this.#options.events.complaint(text);
    const backoff = new RepairBackoff({ subject, complain, again: () => this.#consider(subject) });
    this.#backoffs.set(subject, backoff);
    return backoff;
  }

  #restore(name: string): void {
    this.#prepared.delete(name);
    this.#backoffs.get(name)?.close();
    this.#backoffs.delete(name);
    untilDone(() => this.#isInUse(name) || this.#options.settings.restore(name));
  }

  #linksInSharedSubnets(): ReadonlyMap<string, number> {
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

  /** Links that seem to be on a carpdev's segment, besides the carpdevs: indexes by name. */
  #linksIn(subnets: ReadonlySet<string>, carpdevs: ReadonlySet<string>): ReadonlyMap<string, number> {
    const { cache, isCarpdev } = this.#options;
    const below = new Set([...carpdevs].flatMap((name) => cache.byName(name) ?? []).map(parentOf));
    const found = [...cache.links.values()].filter(
      (link) =>
        !carpdevs.has(link.name) &&
        isCarpdev(link) &&
        (below.has(parentOf(link)) || cache.addresses(link.index).some((own) => subnets.has(subnetOf(own)))),
    );
    return new Map(found.map(({ name, index }) => [name, index]));
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
