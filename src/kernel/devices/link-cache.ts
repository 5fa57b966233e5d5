/**
 * LinkCache: the links and addresses of this network namespace as the kernel last described them. It only stores them;
 * it reports nothing and decides nothing.
 */

import type { InterfaceAddress } from "../../core/model.ts";
import { subnetOf } from "../../protocol/subnet.ts";
import { Grouped } from "../grouped.ts";
import type { KernelAddress, KernelLink, Notice } from "../netlink/messages.ts";
import type { SettingName } from "../settings/link-settings.ts";

/** The key of an address; to Linux, the same address with another prefix length is another one. */
export const addressKey = (address: InterfaceAddress): string => `${address.address}/${address.prefixLength}`;

export class LinkCache {
  readonly links = new Map<number, KernelLink>();
  readonly #indexes = new Map<string, number>();
  /** By index and key, in the kernel's order: a host may have thousands. */
  readonly #addresses = new Map<number, Map<string, KernelAddress>>();
  readonly #departures = new Map<number, number>();
  /** IPv4 addresses by their subnet. */
  readonly #inSubnet = new Grouped<string, KernelAddress>();
  /** Macvlans by the index of the device below. */
  readonly #macvlans = new Grouped<number, number>();
  readonly #doubt: (index: number) => void;

  /** @param doubt told of a link that has changed without a message from the kernel */
  constructor(doubt: (index: number) => void = () => {}) {
    this.#doubt = doubt;
  }

  byName(name: string): KernelLink | undefined {
    const link = this.links.get(this.#indexes.get(name) ?? 0);
    return link?.name === name ? link : undefined;
  }

  addresses(index: number): readonly KernelAddress[] {
    return [...(this.#addresses.get(index)?.values() ?? [])];
  }

  has(index: number, key: string): boolean {
    return this.#addresses.get(index)?.has(key) === true;
  }

  /** The links with an IPv4 address in this subnet. */
  linksIn(subnet: string): Set<number> {
    return new Set([...this.#inSubnet.get(subnet)].map(({ index }) => index));
  }

  macvlansOn(index: number): ReadonlySet<number> {
    return this.#macvlans.get(index);
  }

  /** Number of addresses the link has lost so far. */
  departures(index: number): number {
    return this.#departures.get(index) ?? 0;
  }

  /** Records a value written to a setting, for which the kernel sends no notification. */
  noteSetting(name: string, setting: SettingName, value: number): void {
    const link = this.byName(name);
    if (link === undefined) return;
    this.links.set(link.index, { ...link, settings: { ...link.settings, [setting]: value } });
    this.#doubt(link.index);
  }

  /** Takes a notification in. @returns true for a new address, whose place among the others is not known */
  take(notice: Notice): boolean {
    if (notice.kind === "link") {
      const { index } = notice.link;
      this.#unindex(this.links.get(index));
      if (!notice.gone) this.#store(notice.link);
      else {
        this.links.delete(index);
        for (const address of this.addresses(index)) this.#inSubnet.delete(subnetOf(address), address);
        this.#addresses.delete(index);
        this.#departures.delete(index);
      }
      return false;
    }
    if (notice.kind !== "address") return false;
    const { address, gone } = notice;
    const { index } = address;
    const key = addressKey(address);
    const known = this.#addresses.get(index) ?? new Map<string, KernelAddress>();
    const before = known.get(key);
    if (before !== undefined) this.#inSubnet.delete(subnetOf(before), before);
    if (gone) {
      this.#departures.set(index, this.departures(index) + 1);
      known.delete(key);
      return false;
    }
    this.#addresses.set(index, known.set(key, address));
    if (address.family === 4) this.#inSubnet.add(subnetOf(address), address);
    return before === undefined;
  }

  replaceLinks(notices: readonly Notice[]): void {
    this.links.clear();
    this.#indexes.clear();
    this.#macvlans.clear();
    for (const notice of notices) if (notice.kind === "link") this.take(notice);
  }

  replaceAddresses(notices: readonly Notice[]): void {
    this.#addresses.clear();
    this.#inSubnet.clear();
    for (const notice of notices) if (notice.kind === "address") this.take(notice);
  }

  #store(link: KernelLink): void {
    this.links.set(link.index, link);
    this.#indexes.set(link.name, link.index);
    if (link.kind === "macvlan") this.#macvlans.add(link.parentIndex, link.index);
  }

  #unindex(link: KernelLink | undefined): void {
    if (link === undefined) return;
    this.#macvlans.delete(link.parentIndex, link.index);
    if (this.#indexes.get(link.name) === link.index) this.#indexes.delete(link.name);
  }
}
