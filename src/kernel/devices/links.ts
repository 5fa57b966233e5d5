/**
 * Implements Links over rtnetlink: notifications become link events, carp interfaces become devices. It follows changes
 * from `start` to `close`, reads everything again when notifications were lost, and reports nothing twice.
 */

import { setTimeout as sleep } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import type { Link } from "../../core/model.ts";
import type { Carrier, Document, LinkEvents, Links, Polling, Watch } from "../kernel.ts";
import { native } from "../native.ts";
import type { Request } from "../netlink/bytes.ts";
import {
  ARPHRD_ETHER,
  addressDump,
  IFA_F_DADFAILED,
  IFA_F_TENTATIVE,
  IFF_LOOPBACK,
  IFF_LOWER_UP,
  IFF_RUNNING,
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
import { pathOf } from "../settings/link-settings.ts";
import { carriersIn } from "./carriers.ts";
import { type ExpectedReport, SENDING } from "./device-state.ts";
import { Devices } from "./devices.ts";
import { addressKey, LinkCache } from "./link-cache.ts";
import { PlacedAddresses } from "./placed-addresses.ts";

/** A host where containers come and go makes hundreds of notifications at once. The kernel caps it at rmem_max. */
const RECEIVE_BUFFER_BYTES = 4 * 1024 * 1024;

/**
 * The limit for the report of an address that was added, or of a link that sends; a later one will not come. The worker
 * that makes it has no real-time priority: the kernel gives it some time in every second, whatever real-time processes do.
 */
const REPORTED_WITHIN_MS = 1000;

/** So many devices in one look, and half as many links with ARP settings of ours: what it takes has a limit. */
const LOOK_AT = 90;
const ASKED_AT_ONCE = 10;
/** With these the settings of links may suffice, or not any more. */
const HOST_SETTINGS = [pathOf("all", "arp_ignore"), pathOf("all", "arp_announce")];

/** Pauses between attempts to read a table that the kernel does not give. */
const AGAIN_MS = 5;
const LONGEST_AGAIN_MS = 1000;
/** So many failures in a row are told of. */
const TELLING_FAILURES = 8;

export interface LinksOptions {
  /** Its path marks our devices. */
  readonly runDir: string;
  /** Keeps the keys of our addresses on carpdevs. */
  readonly placed: Document;
  /** Keeps the former settings of carpdevs. */
  readonly settings: Document;
  readonly events: LinkEvents;
  readonly polling: Polling;
  readonly receiveBufferBytes?: number;
}

export function createLinks(options: LinksOptions): Links {
  return new KernelLinks(options);
}

class KernelLinks implements Links {
  readonly #options: LinksOptions;
  readonly #events: LinkEvents;
  readonly #cache = new LinkCache((index) => this.#doubt(index));
  readonly #placed: PlacedAddresses;
  readonly #arpLinks: ArpLinks;
  readonly #devices: Devices;
  #net: RtNetlink | undefined;

  /** Devices of carp interfaces, and links with ARP settings of ours. */
  readonly #watches: { readonly devices: Watch<number>; readonly arpLinks: Watch<number> };

  #turn: Promise<void> = Promise.resolve();

  /** The links reported last, by index. */
  readonly #reported = new Map<number, Link>();
  /** The links last reported as unfit, by index. */
  readonly #unfit = new Map<number, { readonly name: string; readonly why: string }>();
  readonly #changed = new Set<number>();
  #reportSoon: NodeJS.Immediate | undefined;
  /** Links with a new address whose place in the kernel's order is not known yet. */
  readonly #unordered = new Set<number>();
  #toRead: "nothing" | "addresses" | "everything" = "nothing";
  #reading: Promise<void> | undefined;
  /** Called with the report of a new address, by index and key, or of a link that sends. */
  readonly #expected = new Map<string, () => void>();
  #resolving: Promise<void> | undefined;
  /** Notifications that arrived while tables were being read. */
  #sinceReading: Notice[] | undefined;

  constructor(options: LinksOptions) {
    const { runDir, events, placed, settings, polling } = options;
    const complain = (text: string) => events.complaint(text);
    this.#options = options;
    this.#events = events;
    this.#placed = new PlacedAddresses(placed, complain);
    this.#watches = {
      devices: polling.watch("link", LOOK_AT, (indexes) => void this.#ask(indexes)),
      arpLinks: polling.watch("link", LOOK_AT / 2, (indexes) => void this.#ask(indexes)),
    };
    const host = polling.watch("text", HOST_SETTINGS.length, () => this.#arpLinks.consider());
    for (const path of HOST_SETTINGS) host.add(path);
    this.#devices = new Devices({
      alias: `carpctl ${runDir}`,
      cache: this.#cache,
      placed: this.#placed,
      events,
      perform: (requests) => this.#perform(requests),
      performApart: (request) => this.#net?.performApart(request) ?? Promise.resolve("ECANCELED"),
      turn: async () => {
        const before = this.#turn;
        const { promise, resolve } = Promise.withResolvers<void>();
        this.#turn = promise;
        await before;
        return resolve;
      },
      expectReport: (index, key) => this.#expectReport(index, key),
      followRoutes: (index, follows) => this.#net?.followRoutes(index, follows),
      watch: this.#watches.devices,
      added: (address) => {
        const notice: Notice = { kind: "address", gone: false, address };
        // A table that is being read may have been older than this address.
        this.#sinceReading?.push(notice);
        this.#cache.take(notice);
      },
      reread: () => this.#read("everything"),
    });
    this.#arpLinks = new ArpLinks({
      settings: new CarpdevSettings({
        document: settings,
        nameOf: (index) => native.interfaceName(index),
        complain,
        written: (name, setting, value) => this.#cache.noteSetting(name, setting, value),
      }),
      cache: this.#cache,
      isCarpdev: (link) => this.#isCarpdev(link),
      events,
      watch: this.#watches.arpLinks,
    });
  }

  async start(): Promise<void> {
    this.#net = new RtNetlink(
      {
        notice: (notice, message) => {
          if (notice.kind === "link" && !notice.gone) this.#options.polling.know(message);
          this.#heard(notice);
        },
        overrun: () => {
          this.#expectNoReport();
          void this.#read("everything");
        },
      },
      this.#options.receiveBufferBytes ?? RECEIVE_BUFFER_BYTES,
    );
    await this.#read("everything");
  }

  apply(name: string, device: Parameters<Links["apply"]>[1], done: () => void): void {
    // Before the pass makes a request, and after it has removed the device.
    if (device !== null) this.#arpLinks.want(name, device);
    this.#devices.apply(name, device, () => {
      if (!this.#devices.wants(name)) this.#arpLinks.want(name, null);
      done();
    });
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

  /** Asks for these links, a few in a turn of the event loop: timers and frames come in between. */
  async #ask(indexes: readonly string[]): Promise<void> {
    for (let at = 0; at < indexes.length; at += ASKED_AT_ONCE) {
      const some = indexes.slice(at, at + ASKED_AT_ONCE);
      await this.#net?.perform(some.map((index) => linkQuery(Number(index))));
    }
  }

  async caughtUp(): Promise<void> {
    // The answer comes after the notifications that are under way.
    await this.#perform([linkQuery("lo")]);
    await this.#reading;
    await new Promise((resolve) => setImmediate(resolve));
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
    this.#expectNoReport();
    clearImmediate(this.#reportSoon);
    this.#net?.close();
    this.#net = undefined;
  }

  #heard(notice: Notice): void {
    if (this.#net === undefined) return;
    if (notice.kind === "route-gone" || notice.kind === "host-route") {
      this.#devices.heard(notice);
      return;
    }
    this.#sinceReading?.push(notice);
    if (notice.kind === "link" && !notice.gone) {
      const isNews = !isDeepStrictEqual(notice.link, this.#cache.links.get(notice.link.index));
      if (isNews) this.#take(notice);
      this.#arpLinks.heard(notice.link);
      if (!isNews) return;
    } else this.#take(notice);
    // Also of one that is gone: the kernel does not report it as added then.
    if (notice.kind === "address" && (notice.address.flags & IFA_F_TENTATIVE) === 0)
      this.#expected.get(`${notice.address.index} ${addressKey(notice.address)}`)?.();
    const index = notice.kind === "link" ? notice.link.index : notice.address.index;
    if (notice.kind === "link" && (notice.gone || (notice.link.flags & IFF_RUNNING) !== 0))
      this.#expected.get(`${index} ${SENDING}`)?.();
    if (notice.kind === "link" && notice.gone) this.#unordered.delete(index);
    this.#changed.add(index);
    // In the next turn: a burst of changes to one link is one event.
    this.#reportSoon ??= setImmediate(() => {
      this.#reportSoon = undefined;
      this.#reportChanged();
    });
    this.#devices.heard(notice);
  }

  #doubt(index: number): void {
    for (const watch of Object.values(this.#watches)) watch.doubt(index);
  }

  #expectReport(index: number, key: string): ExpectedReport {
    const { promise, resolve } = Promise.withResolvers<void>();
    const expected = `${index} ${key}`;
    const forget = () => {
      clearTimeout(timeout);
      if (this.#expected.get(expected) === forget) this.#expected.delete(expected);
      resolve();
    };
    const timeout = setTimeout(forget, REPORTED_WITHIN_MS);
    this.#expected.set(expected, forget);
    return { heard: promise, forget };
  }

  #expectNoReport(): void {
    for (const forget of [...this.#expected.values()]) forget();
  }

  #take(notice: Notice): void {
    const unplaced = this.#cache.take(notice);
    if (!unplaced || notice.kind !== "address") return;
    const { index } = notice.address;
    const link = this.#cache.links.get(index);
    if (link === undefined || !this.#isCarpdev(link)) return;
    if (this.#placed.on(link).has(addressKey(notice.address))) return;
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
    let failures = 0;
    while (this.#toRead !== "nothing" && this.#net !== undefined) {
      const everything = this.#toRead === "everything";
      this.#toRead = "nothing";
      this.#sinceReading = [];
      const links = everything ? await this.#net.dump(linkDump()) : [];
      const addresses = (await this.#net?.dump(addressDump())) ?? "ECANCELED";
      const since = this.#sinceReading;
      this.#sinceReading = undefined;
      if (typeof links === "string" || typeof addresses === "string") {
        this.#toRead = "everything";
        const error = [links, addresses].find((each) => typeof each === "string");
        await this.#pauseAfter(String(error), ++failures);
        continue;
      }
      failures = 0;
      if (everything) {
        this.#cache.replaceLinks(links);
        for (const index of this.#cache.links.keys()) this.#doubt(index);
      }
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

  /** Waits before a table is read again, longer each time. */
  async #pauseAfter(error: string, failures: number): Promise<void> {
    if (failures === TELLING_FAILURES)
      this.#events.complaint(`links and addresses cannot be read (${error}): trying again`);
    await sleep(Math.min(AGAIN_MS * 2 ** failures, LONGEST_AGAIN_MS), undefined, { ref: false });
  }

  #isCarpdev(link: KernelLink): boolean {
    return this.#unfitness(link) === undefined;
  }

  carriers(): (device: string) => readonly Carrier[] {
    return carriersIn(this.#cache);
  }

  /** Why a link can be no carpdev; undefined: it can. */
  #unfitness(link: KernelLink): string | undefined {
    if (link.type !== ARPHRD_ETHER || (link.flags & IFF_LOOPBACK) !== 0) return "no Ethernet device";
    return this.#devices.isCarp(link) ? "a carp interface" : undefined;
  }

  #reportChanged(): void {
    const changed = [...this.#changed];
    this.#changed.clear();
    // Names first leave, then arrive: they may have been exchanged.
    for (const index of changed) {
      const before = this.#reported.get(index);
      const link = this.#cache.links.get(index);
      if (before && before.name !== link?.name) this.#withdraw(index);
      const unfit = this.#unfit.get(index);
      if (unfit === undefined || (link?.name === unfit.name && !this.#isCarpdev(link))) continue;
      this.#unfit.delete(index);
      this.#events.unfit(unfit.name, undefined);
    }
    for (const index of changed) this.#arpLinks.changed(index);
    for (const index of changed) this.#report(index);
  }

  #report(index: number): void {
    const link = this.#cache.links.get(index);
    if (link === undefined || this.#unordered.has(index)) return;
    const why = this.#unfitness(link);
    if (why !== undefined) {
      this.#withdraw(index);
      if (this.#unfit.get(index)?.why === why) return;
      this.#unfit.set(index, { name: link.name, why });
      this.#events.unfit(link.name, why);
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
    const ours = this.#placed.on(link);
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
