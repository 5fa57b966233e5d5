/**
 * The host's links and addresses: what the kernel tells becomes link events, what carp wants becomes devices. It
 * follows changes from `start` to `close`, reads everything again when notifications were lost, and reports nothing
 * twice.
 */

import { isDeepStrictEqual } from "node:util";
import type { Link } from "../core/event.ts";
import { CarpdevSettings } from "./carpdev-settings.ts";
import { Devices } from "./devices.ts";
import type { LinkEvents, Links } from "./kernel.ts";
import { addressKey, Observed } from "./observed.ts";
import { PlacedAddresses } from "./placed-addresses.ts";
import { PreparedLinks } from "./prepared-links.ts";
import { RtNetlink } from "./rtnetlink.ts";
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
} from "./rtnetlink-messages.ts";

/** A host where containers come and go makes hundreds of notifications at once. The kernel caps it at rmem_max. */
const RECEIVE_BUFFER_BYTES = 4 * 1024 * 1024;

/** Milliseconds at most; a kernel that has not told of an address by then will not, or is in worse trouble. */
const TELLS_WITHIN_MS = 100;

export interface LinksOptions {
  /** Marks our devices, and holds what an engine started after a kill has to know. */
  readonly runDir: string;
  readonly events: LinkEvents;
  readonly receiveBufferBytes?: number;
}

export function createLinks(options: LinksOptions): Links {
  return new KernelLinks(options);
}

class KernelLinks implements Links {
  readonly #options: LinksOptions;
  readonly #events: LinkEvents;
  readonly #observed = new Observed();
  readonly #placed: PlacedAddresses;
  readonly #prepared: PreparedLinks;
  readonly #devices: Devices;
  #net: RtNetlink | undefined;

  #turn: Promise<void> = Promise.resolve();

  /** By index: what was reported last. */
  readonly #reported = new Map<number, Link>();
  readonly #changed = new Set<number>();
  #reportSoon: NodeJS.Immediate | undefined;
  /** Links with a new address whose place in the kernel's order is not known yet. */
  readonly #unordered = new Set<number>();
  #toRead: "nothing" | "addresses" | "everything" = "nothing";
  #reading: Promise<void> | undefined;
  /** Addresses that somebody waits for the kernel to tell of, by index and key. */
  readonly #expected = new Map<string, () => void>();
  /** What arrived while tables were being read. */
  #sinceReading: Notice[] | undefined;

  constructor(options: LinksOptions) {
    const { runDir, events } = options;
    const complain = (text: string) => events.complaint(text);
    this.#options = options;
    this.#events = events;
    this.#placed = new PlacedAddresses(runDir, complain);
    this.#devices = new Devices({
      alias: `carpctl ${runDir}`,
      observed: this.#observed,
      placed: this.#placed,
      events,
      perform: async (requests) => this.#net?.perform(requests) ?? requests.map(() => "ECANCELED"),
      turn: () => {
        this.#turn = this.#turn.then(() => new Promise((resolve) => setImmediate(resolve)));
        return this.#turn;
      },
      told: (index, key) => this.#told(index, key),
      reread: () => this.#read("everything"),
    });
    const nameOf = (index: number) => this.#observed.links.get(index)?.name;
    this.#prepared = new PreparedLinks({
      settings: new CarpdevSettings({
        runDir,
        nameOf,
        complain,
        written: (name, setting, value) => this.#observed.noteSetting(name, setting, value),
      }),
      observed: this.#observed,
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

  apply(name: string, device: Parameters<Links["apply"]>[1]): Promise<void> {
    const done = this.#devices.apply(name, device);
    // The device's pass has not asked the kernel for anything yet.
    if (device !== null) this.#prepared.follow();
    return done;
  }

  prepareCarpdev(carpdev: string): void {
    this.#prepared.prepare(carpdev);
  }

  restoreCarpdev(carpdev: string): void {
    this.#prepared.restore(carpdev);
  }

  async removeLeftovers(keep: ReadonlySet<string>): Promise<void> {
    const carpdevs = this.#devices.carpdevsOf(keep);
    await this.#devices.removeLeftovers(keep);
    const kept = [...keep].flatMap((name) => this.#observed.byName(name) ?? []);
    this.#prepared.restoreAllBut(
      carpdevs,
      kept.flatMap(({ index }) => this.#observed.addresses(index)),
    );
  }

  look(): void {
    const indexes = new Set([...this.#devices.indexes(), ...this.#prepared.indexes()]);
    void this.#net?.perform([...indexes].map(linkQuery));
  }

  close(): void {
    this.#devices.close();
    this.#prepared.close();
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
      // Nearly always the answer to what is asked now and then.
      if (isDeepStrictEqual(notice.link, this.#observed.links.get(notice.link.index))) return;
      this.#take(notice);
      this.#prepared.heard(notice.link);
    } else this.#take(notice);
    if (notice.kind === "address" && (notice.address.flags & IFA_F_TENTATIVE) === 0)
      this.#expected.get(`${notice.address.index} ${addressKey(notice.address)}`)?.();
    const index = notice.kind === "link" ? notice.link.index : notice.address.index;
    if (notice.kind === "link" && notice.gone) this.#unordered.delete(index);
    this.#changed.add(index);
    // Not at once: a burst of changes to one link is one event.
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
      const timeout = setTimeout(done, TELLS_WITHIN_MS);
      this.#expected.set(expected, done);
    });
  }

  #take(notice: Notice): void {
    const unplaced = this.#observed.take(notice);
    if (!unplaced || notice.kind !== "address") return;
    const { index } = notice.address;
    const link = this.#observed.links.get(index);
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
      if (everything) this.#observed.replaceLinks(links);
      this.#observed.replaceAddresses(addresses);
      this.#unordered.clear();
      // Each ends as its last notification says, so it does no harm that some are older than the tables.
      for (const notice of since) this.#take(notice);
      for (const index of [...this.#reported.keys(), ...this.#observed.links.keys()])
        this.#changed.add(index);
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
      if (before && before.name !== this.#observed.links.get(index)?.name) this.#withdraw(index);
    }
    this.#prepared.follow();
    for (const index of changed) this.#report(index);
  }

  #report(index: number): void {
    const link = this.#observed.links.get(index);
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
      addresses: this.#observed
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
