/**
 * Implements Links over rtnetlink: notifications become link events, carp interfaces become devices. It follows changes
 * from `start` to `close`, reads everything again when notifications were lost, and reports nothing twice.
 */

import { isDeepStrictEqual } from "node:util";
import type { Link } from "../../core/model.ts";
import type { Document, LinkEvents, Links } from "../kernel.ts";
import type { Request } from "../netlink/bytes.ts";
import {
  ARPHRD_ETHER,
  addressDump,
  IFA_F_DADFAILED,
  IFA_F_TENTATIVE,
  IFF_LOOPBACK,
  IFF_LOWER_UP,
  IFF_UP,
  type KernelLink,
  linkDump,
  linkQuery,
  type Notice,
} from "../netlink/messages.ts";
import { neighbourQuery, neighbourUse, parseNeighbour } from "../netlink/neighbours.ts";
import { RtNetlink } from "../netlink/rtnetlink.ts";
import { ArpLinks } from "../settings/arp-links.ts";
import { CarpdevSettings } from "../settings/carpdev-settings.ts";
import { Devices } from "./devices.ts";
import { addressKey, LinkCache } from "./link-cache.ts";
import { PlacedAddresses } from "./placed-addresses.ts";

/** A host where containers come and go makes hundreds of notifications at once. The kernel caps it at rmem_max. */
const RECEIVE_BUFFER_BYTES = 4 * 1024 * 1024;

/** The limit for the notification of an address that was added; a later one will not come. */
const NOTIFIED_WITHIN_MS = 100;

export interface LinksOptions {
  /** Its path marks our devices. */
  readonly runDir: string;
  /** Keeps the keys of our addresses on carpdevs. */
  readonly placed: Document;
  /** Keeps the former settings of carpdevs. */
  readonly settings: Document;
  readonly events: LinkEvents;
  readonly receiveBufferBytes?: number;
}

export function createLinks(options: LinksOptions): Links {
  return new KernelLinks(options);
}

class KernelLinks implements Links {
  readonly #options: LinksOptions;
  readonly #events: LinkEvents;
  readonly #cache = new LinkCache();
  readonly #placed: PlacedAddresses;
  readonly #arpLinks: ArpLinks;
  readonly #devices: Devices;
  #net: RtNetlink | undefined;

  #turn: Promise<void> = Promise.resolve();

  /** The links reported last, by index. */
  readonly #reported = new Map<number, Link>();
  readonly #changed = new Set<number>();
  #reportSoon: NodeJS.Immediate | undefined;
  /** Links with a new address whose place in the kernel's order is not known yet. */
  readonly #unordered = new Set<number>();
  #toRead: "nothing" | "addresses" | "everything" = "nothing";
  #reading: Promise<void> | undefined;
  /** Callbacks for the notification of a new address, by index and key. */
  readonly #expected = new Map<string, () => void>();
  #resolving: Promise<void> | undefined;
  /** Notifications that arrived while tables were being read. */
  #sinceReading: Notice[] | undefined;

  constructor(options: LinksOptions) {
    const { runDir, events, placed, settings } = options;
    const complain = (text: string) => events.complaint(text);
    this.#options = options;
    this.#events = events;
    this.#placed = new PlacedAddresses(placed, complain);
    this.#devices = new Devices({
      alias: `carpctl ${runDir}`,
      cache: this.#cache,
      placed: this.#placed,
      events,
      perform: (requests) => this.#perform(requests),
      turn: () => {
        this.#turn = this.#turn.then(() => new Promise((resolve) => setImmediate(resolve)));
        return this.#turn;
      },
      told: (index, key) => this.#told(index, key),
      reread: () => this.#read("everything"),
    });
    const nameOf = (index: number) => this.#cache.links.get(index)?.name;
    this.#arpLinks = new ArpLinks({
      settings: new CarpdevSettings({
        document: settings,
        nameOf,
        complain,
        written: (name, setting, value) => this.#cache.noteSetting(name, setting, value),
      }),
      cache: this.#cache,
      isCarpdev: (link) => this.#isCarpdev(link),
      wanted: () => this.#devices.wanted(),
      events,
    });
  }

  async start(): Promise<void> {
    this.#net = new RtNetlink(
      { notice: (notice) => this.#heard(notice), overrun: () => void this.#read("everything") },
      this.#options.receiveBufferBytes ?? RECEIVE_BUFFER_BYTES,
    );
    await this.#read("everything");
  }

  apply(name: string, device: Parameters<Links["apply"]>[1], done: () => void): void {
    this.#devices.apply(name, device, done);
    // Before the pass, which has made no request yet.
    if (device !== null) this.#arpLinks.follow();
  }

  prepareCarpdev(carpdev: string): void {
    this.#arpLinks.prepare(carpdev);
  }

  restoreCarpdev(carpdev: string): void {
    this.#arpLinks.restore(carpdev);
  }

  async removeLeftovers(keep: ReadonlySet<string>): Promise<void> {
    const carpdevs = this.#devices.carpdevsOf(keep);
    await this.#devices.removeLeftovers(keep);
    const kept = [...keep].flatMap((name) => this.#cache.byName(name) ?? []);
    this.#arpLinks.restoreAllBut(
      carpdevs,
      kept.flatMap(({ index }) => this.#cache.addresses(index)),
    );
  }

  look(): void {
    const indexes = new Set([...this.#devices.indexes(), ...this.#arpLinks.indexes()]);
    void this.#net?.perform([...indexes].map(linkQuery));
  }

  resolve(...[neighbours, resolved]: Parameters<Links["resolve"]>): void {
    if (neighbours.length > 0) this.#resolving ??= this.#resolve(neighbours, resolved);
  }

  async #resolve(...[neighbours, resolved]: Parameters<Links["resolve"]>): Promise<void> {
    const answers = (await this.#net?.query(neighbours.map(neighbourQuery))) ?? [];
    const found = answers.map((body) => body && parseNeighbour(body));
    // The kernel confirms a MAC while it is in use, and does not see our frames.
    const stale = neighbours.filter(({ isInUse }, at) => isInUse && found[at]?.isStale);
    const refused = await this.#perform(stale.map(neighbourUse));
    this.#resolving = undefined;
    for (const [at, each] of neighbours.entries()) {
      const isDoubtful = refused[stale.indexOf(each)] !== undefined;
      resolved(each, isDoubtful ? undefined : found[at]?.mac);
    }
  }

  async #perform(requests: readonly Request[]): Promise<(string | undefined)[]> {
    return (await this.#net?.perform(requests)) ?? requests.map(() => "ECANCELED");
  }

  close(): void {
    this.#devices.close();
    this.#arpLinks.close();
    for (const done of this.#expected.values()) done();
    clearImmediate(this.#reportSoon);
    this.#net?.close();
    this.#net = undefined;
  }

  #heard(notice: Notice): void {
    if (this.#net === undefined) return;
    if (notice.kind === "route-gone") {
      this.#devices.heard(notice);
      return;
    }
    this.#sinceReading?.push(notice);
    if (notice.kind === "link" && !notice.gone) {
      // Nearly always the answer to `look`.
      if (isDeepStrictEqual(notice.link, this.#cache.links.get(notice.link.index))) return;
      this.#take(notice);
      this.#arpLinks.heard(notice.link);
    } else this.#take(notice);
    if (notice.kind === "address" && (notice.address.flags & IFA_F_TENTATIVE) === 0)
      this.#expected.get(`${notice.address.index} ${addressKey(notice.address)}`)?.();
    const index = notice.kind === "link" ? notice.link.index : notice.address.index;
    if (notice.kind === "link" && notice.gone) this.#unordered.delete(index);
    this.#changed.add(index);
    // In the next turn: a burst of changes to one link is one event.
    this.#reportSoon ??= setImmediate(() => {
      this.#reportSoon = undefined;
      this.#reportChanged();
    });
    this.#devices.heard(notice);
  }

  #told(index: number, key: string): Promise<void> {
    return new Promise((resolve) => {
      const expected = `${index} ${key}`;
      const done = () => {
        clearTimeout(timeout);
        this.#expected.delete(expected);
        resolve();
      };
      const timeout = setTimeout(done, NOTIFIED_WITHIN_MS);
      this.#expected.set(expected, done);
    });
  }

  #take(notice: Notice): void {
    const unplaced = this.#cache.take(notice);
    if (!unplaced || notice.kind !== "address") return;
    const { index } = notice.address;
    const link = this.#cache.links.get(index);
    if (link === undefined || !this.#isCarpdev(link)) return;
    if (this.#placed.on(link.name).has(addressKey(notice.address))) return;
    this.#unordered.add(index);
    void this.#read("addresses");
  }

  /** Coalesces: at most one reading is under way, and at most one more is wanted. */
  #read(what: "addresses" | "everything"): Promise<void> {
    if (this.#toRead !== "everything") this.#toRead = what;
    if (this.#net === undefined) return Promise.resolve();
    this.#reading ??= this.#readTables();
    return this.#reading;
  }

  async #readTables(): Promise<void> {
    while (this.#toRead !== "nothing" && this.#net !== undefined) {
      const everything = this.#toRead === "everything";
      this.#toRead = "nothing";
      this.#sinceReading = [];
      const links = everything ? await this.#net.dump(linkDump()) : [];
      const addresses = await this.#net?.dump(addressDump());
      const since = this.#sinceReading;
      this.#sinceReading = undefined;
      if (links === undefined || addresses === undefined) {
        this.#toRead = "everything";
        continue;
      }
      if (everything) this.#cache.replaceLinks(links);
      this.#cache.replaceAddresses(addresses);
      this.#unordered.clear();
      // Each ends as its last notification says, so it does no harm that some are older than the tables.
      for (const notice of since) this.#take(notice);
      for (const index of [...this.#reported.keys(), ...this.#cache.links.keys()]) this.#changed.add(index);
      this.#reportChanged();
      if (everything) this.#devices.heardAll();
    }
    this.#reading = undefined;
  }

  #isCarpdev(link: KernelLink): boolean {
    return link.type === ARPHRD_ETHER && (link.flags & IFF_LOOPBACK) === 0 && !this.#devices.isCarp(link);
  }

  #reportChanged(): void {
    const changed = [...this.#changed];
    this.#changed.clear();
    // Names first leave, then arrive: they may have been exchanged.
    for (const index of changed) {
      const before = this.#reported.get(index);
      if (before && before.name !== this.#cache.links.get(index)?.name) this.#withdraw(index);
    }
    this.#arpLinks.follow();
    for (const index of changed) this.#report(index);
  }

  #report(index: number): void {
    const link = this.#cache.links.get(index);
    if (link === undefined || this.#unordered.has(index)) return;
    if (!this.#isCarpdev(link)) {
      this.#withdraw(index);
      return;
    }
    const now = this.#describe(link);
    if (isDeepStrictEqual(now, this.#reported.get(index))) return;
    this.#reported.set(index, now);
    this.#events.link(now);
  }

  #withdraw(index: number): void {
    const before = this.#reported.get(index);
    if (before === undefined) return;
    this.#reported.delete(index);
    this.#events.linkGone(before.name);
  }

  #describe(link: KernelLink): Link {
    const ours = this.#placed.on(link.name);
    return {
      name: link.name,
      index: link.index,
      mac: link.mac,
      mtu: link.mtu,
      up: (link.flags & IFF_UP) !== 0,
      carrier: (link.flags & IFF_LOWER_UP) !== 0,
      addresses: this.#cache
        .addresses(link.index)
        .filter((address) => (address.flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED)) === 0)
        .filter((address) => !ours.has(addressKey(address)))
        .map(({ family, address, prefixLength, broadcast }) => ({
          family,
          address,
          prefixLength,
          ...(broadcast === undefined ? {} : { broadcast }),
        })),
    };
  }
}
