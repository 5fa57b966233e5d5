/**
 * ArpLinks: the links whose ARP settings carp changes: the carpdevs, and the host's other links on which Linux would
 * answer for the shared addresses, because they have an address in the same subnet or the same device below. How
 * settings are changed and put back is in carpdev-settings.ts.
 */

import type { Device, InterfaceAddress } from "../../core/model.ts";
import { subnetOf } from "../../protocol/subnet.ts";
import { parentOf } from "../devices/device-plan.ts";
import type { LinkCache } from "../devices/link-cache.ts";
import { Grouped } from "../grouped.ts";
import type { LinkEvents, Watch } from "../kernel.ts";
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
  readonly events: Pick<LinkEvents, "repaired" | "complaint">;
  /** For the links with settings of ours, by index: the kernel sends no notification of these settings. */
  readonly watch: Pick<Watch<number>, "add" | "remove">;
}

/** Where a carpdev is: its index, and that of the device below it. */
interface Place {
  readonly index: number;
  readonly below: number;
}

/** What matters of a carp interface's device. */
interface Wanted {
  readonly carpdev: string;
  readonly addresses: readonly InterfaceAddress[];
  readonly subnets: ReadonlySet<string>;
}

export class ArpLinks {
  readonly #options: ArpLinksOptions;
  /** By name, where each is now. Everything else goes by index: names may be exchanged. */
  readonly #carpdevs = new Map<string, Place | undefined>();
  readonly #nameAt = new Map<number, string>();
  /** The carpdevs by the device below them. */
  readonly #above = new Grouped<number, string>();
  readonly #wanted = new Map<string, Wanted>();
  /** The carp interfaces by carpdev. */
  readonly #wantedOn = new Grouped<string, string>();
  /** The subnets of the shared addresses on the carpdevs, with the carp interfaces that have them. */
  readonly #subnets = new Grouped<string, string>();
  /** Links that an earlier engine prepared, until this engine's interfaces are known. */
  #kept: ReadonlySet<number> = new Set();
  #release: NodeJS.Immediate | undefined;
  /** The links that need the settings now. */
  readonly #inUse = new Set<number>();
  /** Those of them whose settings have been written. */
  readonly #prepared = new Set<number>();
  readonly #backoffs = new Map<number, RepairBackoff>();

  constructor(options: ArpLinksOptions) {
    this.#options = options;
  }

  prepare(carpdev: string): void {
    if (this.#carpdevs.has(carpdev)) return;
    this.#carpdevs.set(carpdev, undefined);
    const doubtful = this.#locate(carpdev);
    for (const name of this.#wantedOn.get(carpdev)) this.#share(name, doubtful);
    this.#judge(doubtful);
  }

  restore(carpdev: string): void {
    const doubtful = this.#locate(carpdev, "nowhere");
    for (const name of this.#wantedOn.get(carpdev)) this.#unshare(name, doubtful);
    this.#carpdevs.delete(carpdev);
    this.#judge(doubtful);
  }

  /** Restores links of an earlier engine, except these carpdevs and links in the subnets of these addresses. */
  restoreAllBut(carpdevs: ReadonlySet<string>, addresses: readonly InterfaceAddress[]): void {
    const { cache, isCarpdev, settings } = this.#options;
    const kept = [...carpdevs].flatMap((name) => cache.byName(name) ?? []);
    const near = kept.flatMap((link) => [parentOf(link), ...cache.macvlansOn(parentOf(link))]);
    const sharing = [...subnetsOf(addresses)].flatMap((subnet) => [...cache.linksIn(subnet)]);
    const others = [...near, ...sharing].flatMap((index) => cache.links.get(index) ?? []).filter(isCarpdev);
    this.#kept = new Set([...kept, ...others].map(({ index }) => index));
    settings.restoreAllBut(this.#kept);
  }

  /** What a carp interface wants of its device. */
  want(name: string, device: Device | null): void {
    // In the next turn the interfaces that the engine starts with are known.
    if (this.#kept.size > 0) this.#release ??= setImmediate(() => this.#releaseKept());
    const before = this.#wanted.get(name);
    if (before?.carpdev === device?.carpdev && before?.addresses === device?.addresses) return;
    const doubtful = new Set<number>();
    if (before !== undefined) {
      this.#unshare(name, doubtful);
      this.#wantedOn.delete(before.carpdev, name);
      this.#wanted.delete(name);
    }
    if (device !== null) {
      const { carpdev, addresses } = device;
      this.#wanted.set(name, { carpdev, addresses, subnets: subnetsOf(addresses) });
      this.#wantedOn.add(carpdev, name);
      this.#share(name, doubtful);
    }
    this.#judge(doubtful);
  }

  /** Must be called whenever a link came, went or was renamed, and when its addresses changed. */
  changed(index: number): void {
    const doubtful = new Set([index]);
    for (const name of [this.#nameAt.get(index), this.#options.cache.links.get(index)?.name])
      if (name !== undefined) this.#locate(name, "where it is", doubtful);
    this.#judge(doubtful);
  }

  #releaseKept(): void {
    const kept = this.#kept;
    this.#kept = new Set();
    for (const index of kept) if (!this.#needs(index)) this.#restore(index);
  }

  /** Adds the subnets of a carp interface. */
  #share(name: string, doubtful: Set<number>): void {
    const { carpdev, subnets } = this.#wanted.get(name) ?? NOTHING;
    if (!this.#carpdevs.has(carpdev)) return;
    for (const subnet of subnets) if (this.#subnets.add(subnet, name)) this.#doubt(subnet, doubtful);
  }

  #unshare(name: string, doubtful: Set<number>): void {
    for (const subnet of (this.#wanted.get(name) ?? NOTHING).subnets)
      if (this.#subnets.delete(subnet, name)) this.#doubt(subnet, doubtful);
  }

  #doubt(subnet: string, doubtful: Set<number>): void {
    for (const index of this.#options.cache.linksIn(subnet)) doubtful.add(index);
  }

  /** Follows a carpdev to the link of its name. @returns the links that may need the settings now, or not any more */
  #locate(carpdev: string, to: "where it is" | "nowhere" = "where it is", doubtful = new Set<number>()) {
    if (!this.#carpdevs.has(carpdev)) return doubtful;
    const { cache } = this.#options;
    const link = to === "nowhere" ? undefined : cache.byName(carpdev);
    const before = this.#carpdevs.get(carpdev);
    const now = link && { index: link.index, below: parentOf(link) };
    if (before?.index === now?.index && before?.below === now?.below) return doubtful;
    this.#carpdevs.set(carpdev, now);
    if (before !== undefined) {
      doubtful.add(before.index);
      if (this.#nameAt.get(before.index) === carpdev) this.#nameAt.delete(before.index);
      if (this.#above.delete(before.below, carpdev)) this.#doubtSegment(before.below, doubtful);
    }
    if (now !== undefined) {
      doubtful.add(now.index);
      this.#nameAt.set(now.index, carpdev);
      if (this.#above.add(now.below, carpdev)) this.#doubtSegment(now.below, doubtful);
    }
    return doubtful;
  }

  #doubtSegment(below: number, doubtful: Set<number>): void {
    doubtful.add(below);
    for (const index of this.#options.cache.macvlansOn(below)) doubtful.add(index);
  }

  /** Whether a link is a carpdev, or seems to be on a carpdev's segment. */
  #needs(index: number): boolean {
    const { cache, isCarpdev } = this.#options;
    if (this.#nameAt.has(index)) return true;
    const link = cache.links.get(index);
    if (link === undefined || !isCarpdev(link)) return false;
    return (
      this.#above.has(parentOf(link)) ||
      cache.addresses(index).some((own) => own.family === 4 && this.#subnets.has(subnetOf(own)))
    );
  }

  /** Prepares or restores each of these links, as it needs. */
  #judge(doubtful: ReadonlySet<number>): void {
    for (const index of doubtful) {
      const needs = this.#needs(index);
      if (needs === this.#inUse.has(index)) continue;
      if (needs) this.#prepare(index);
      else if (!this.#kept.has(index)) this.#restore(index);
    }
  }

  #prepare(index: number): void {
    this.#inUse.add(index);
    untilDone(() => {
      if (!this.#inUse.has(index)) return true;
      if (!this.#options.settings.prepare(index)) return false;
      this.#prepared.add(index);
      this.#options.watch.add(index);
      return true;
    });
  }

  /** Must be called for every link notification, also one that tells nothing new. */
  heard({ index }: KernelLink): void {
    if (this.#prepared.has(index)) this.#consider(index);
  }

  /** Must be called when these settings of the whole host may have changed. */
  consider(): void {
    for (const index of this.#prepared) this.#consider(index);
  }

  close(): void {
    clearImmediate(this.#release);
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
    this.#inUse.delete(index);
    this.#prepared.delete(index);
    this.#options.watch.remove(index);
    this.#backoffs.get(index)?.close();
    this.#backoffs.delete(index);
    untilDone(() => this.#inUse.has(index) || this.#options.settings.restore(index));
  }
}

const NOTHING = { carpdev: "", subnets: new Set<string>() };

/** The IPv4 subnets: neighbour discovery answers only on the interface that has the address. */
function subnetsOf(addresses: readonly InterfaceAddress[]): ReadonlySet<string> {
  return new Set(addresses.filter(({ family }) => family === 4).map(subnetOf));
}

function untilDone(attempt: () => boolean, attempts = ATTEMPTS): void {
  if (attempt() || attempts === 0) return;
  setTimeout(() => untilDone(attempt, attempts - 1), AGAIN_MS).unref();
}
