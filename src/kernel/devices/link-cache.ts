/**
 * LinkCache: the links and addresses of this network namespace as the kernel last described them. It only stores them;
 * it reports nothing and decides nothing.
 */

import type { InterfaceAddress } from "../../core/model.ts";
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

  /** Number of addresses the link has lost so far. */
  departures(index: number): number {
    return this.#departures.get(index) ?? 0;
  }

  /** Records a value written to a setting, for which the kernel sends no notification. */
  noteSetting(name: string, setting: SettingName, value: number): void {
    const link = this.byName(name);
    if (link === undefined) return;
    this.links.set(link.index, { ...link, settings: { ...link.settings, [setting]: value } });
  }

  /** Takes a notification in. @returns true for a new address, whose place among the others is not known */
  take(notice: Notice): boolean {
    if (notice.kind === "link") {
      if (notice.gone) {
        this.links.delete(notice.link.index);
        if (this.#indexes.get(notice.link.name) === notice.link.index) this.#indexes.delete(notice.link.name);
        this.#addresses.delete(notice.link.index);
        this.#departures.delete(notice.link.index);
      } else {
        this.links.set(notice.link.index, notice.link);
        this.#indexes.set(notice.link.name, notice.link.index);
      }
      return false;
    }
    if (notice.kind !== "address") return false;
    const { address, gone } = notice;
    const key = addressKey(address);
    if (gone) {
      this.#departures.set(address.index, this.departures(address.index) + 1);
      this.#addresses.get(address.index)?.delete(key);
      return false;
    }
    const isNew = !this.has(address.index, key);
    const known = this.#addresses.get(address.index);
    if (known === undefined) this.#addresses.set(address.index, new Map([[key, address]]));
    else known.set(key, address);
    return isNew;
  }

  replaceLinks(notices: readonly Notice[]): void {
    this.links.clear();
    this.#indexes.clear();
    for (const notice of notices) if (notice.kind === "link") this.take(notice);
  }

  replaceAddresses(notices: readonly Notice[]): void {
    this.#addresses.clear();
    for (const notice of notices) if (notice.kind === "address") this.take(notice);
  }
}
