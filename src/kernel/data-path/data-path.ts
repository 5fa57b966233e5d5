/**
 * Implements DataPath: gives each carp interface a slot in the eBPF maps, writes leases into it, and repairs
 * attachments. The programs decide about packets, the core about MASTER; neither is decided here.
 */

import type { Micros } from "../../core/model.ts";
import type {
  CarpdevRepair,
  DataPath,
  DataPathInterface,
  Document,
  Overruled,
  PacketCounts,
} from "../kernel.ts";
import { errnoName, native } from "../native.ts";
import { RepairBackoff } from "../repair-backoff.ts";
import type { Attachments, Hook } from "./attachments.ts";
import {
  ADDRESSES,
  type DataPathLayout,
  type Entry,
  HINTS,
  INTERFACES,
  MACS,
  MAX_NODES,
  PACKET_COUNTS,
  type Slot,
} from "./layout.ts";
import { type BpfObject, nativeBpf } from "./native-bpf.ts";
import { DataPathPrograms } from "./programs.ts";

export interface DataPathOptions {
  readonly runDir: string;
  /** Keeps the programs' ids. */
  readonly record: Document;
  /** Takes a message for the administrator about a failure that prevents nothing. */
  readonly complain: (text: string) => void;
  /** The way the programs are attached; the other way is taken where the kernel lacks this one. */
  readonly hook?: Hook;
}

/** Loads the data path and takes over an earlier engine's: its leases stay in force. */
export function createDataPath(options: DataPathOptions): DataPath {
  let programs: DataPathPrograms | string | undefined;
  try {
    programs = DataPathPrograms.load(options, options.complain, options.hook);
    return typeof programs === "string" ? without(programs) : new KernelDataPath(programs, options);
  } catch (error) {
    // Programs on devices whose leases nobody renews would drop what is for this host.
    if (typeof programs === "object") programs.remove();
    return without(error instanceof Error ? error.message : String(error));
  }
}

/**
 * In words, why this host can have no data path; undefined when it can. A probe: it disturbs no running engine and
 * leaves nothing behind.
 */
export function dataPathObstacle(): string | undefined {
  try {
    return DataPathPrograms.probe();
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** The data path of a host that has none. */
function without(obstacle: string): DataPath {
  return {
    obstacle,
    configure: () => obstacle,
    remove: () => {},
    lease: () => {},
    leaseUntilUs: () => 0,
    counts: () => undefined,
    repair: () => [],
    overruled: () => ({ before: [], xdp: 0 }),
    removeLeftovers: () => {},
    close: () => {},
    shutdown: () => {},
  };
}

interface Placed {
  readonly slot: number;
  /** The leases in the slot, in the order of the nodes. */
  readonly leasesUs: Micros[];
  readonly is: Slot;
  /** undefined: an earlier engine's, not configured by this one yet. */
  readonly wanted: DataPathInterface | undefined;
}

type Directory = typeof MACS | typeof ADDRESSES;

class KernelDataPath implements DataPath {
  readonly obstacle = undefined;
  readonly #programs: DataPathPrograms;
  readonly #attachments: Attachments;
  readonly #layout: DataPathLayout;
  readonly #object: BpfObject;
  readonly #placed = new Map<string, Placed>();
  /** The contents of HINTS. */
  readonly #hints: number[];
  readonly #complain: (text: string) => void;
  #isClosed = false;
  /** Backoff and last error of repairs, by carpdev. */
  readonly #backoffs = new Map<string, RepairBackoff>();
  readonly #obstacles = new Map<string, string>();

  constructor(programs: DataPathPrograms, { complain }: DataPathOptions) {
    this.#programs = programs;
    this.#attachments = programs.attachments;
    this.#complain = complain;
    this.#layout = programs.layout;
    this.#object = programs.object;
    const error = this.#object.share(INTERFACES);
    if (error !== 0) throw new Error(`the leases cannot be mapped: ${errnoName(error)}`);
    this.#hints = Array.from(
      { length: this.#layout.maxEntries(HINTS) },
      (_, bucket) => this.#object.lookup(HINTS, this.#layout.number(bucket))?.[0] ?? 0,
    );
    if (programs.adopted) this.#adopt();
  }

  configure(wanted: DataPathInterface): string | undefined {
    const { name, vhids, carpdev } = wanted;
    if (vhids.length < 1 || vhids.length > MAX_NODES)
      throw new RangeError(`${name}: ${vhids.length} nodes: must be 1..${MAX_NODES}`);
    const known = this.#placed.get(name);
    const obstacle = this.#attachments.attach(carpdev);
    if (obstacle !== undefined) {
      // Without programs on the carpdev the leases would have no effect.
      this.remove(name);
      return obstacle;
    }
    if (known !== undefined && known.is.identity === this.#layout.identity(wanted)) {
      this.#write(known.slot, wanted, known.is.firstCount, known.leasesUs);
      return this.#writeEntries();
    }
    const slot = this.#freeSlot(wanted);
    const firstCount = this.#freeCounts(vhids.length);
    if (slot === undefined || firstCount === undefined) return "the data path holds no more carp interfaces";
    this.#clear(slot);
    this.#zeroCounts(firstCount, vhids.length);
    this.#write(slot, wanted, firstCount, Array<Micros>(vhids.length).fill(0));
    const failed = this.#writeEntries();
    // No entry leads to the former slot any more.
    if (known !== undefined) this.#clear(known.slot);
    return failed;
  }

  remove(name: string): void {
    const known = this.#placed.get(name);
    if (known === undefined) return;
    this.#placed.delete(name);
    this.#writeEntries();
    this.#clear(known.slot);
    this.#detachUnused();
  }

  lease(name: string, vhid: number, untilUs: Micros): void {
    const known = this.#placed.get(name);
    const node = known?.is.vhids.indexOf(vhid) ?? -1;
    if (known === undefined || node < 0) return;
    const { slot, leasesUs } = known;
    const offset = this.#layout.slotOffset(slot);
    leasesUs[node] = untilUs;
    this.#object.storeUs(offset + this.#layout.leaseOffset(node), untilUs);
    this.#object.storeUs(offset + this.#layout.untilOffset, Math.max(...leasesUs));
  }

  leaseUntilUs(name: string, vhid: number): Micros {
    const known = this.#placed.get(name);
    return known?.leasesUs[known.is.vhids.indexOf(vhid)] ?? 0;
  }

  counts(name: string): PacketCounts | undefined {
    const known = this.#placed.get(name);
    if (known === undefined) return undefined;
    const { vhids, firstCount } = known.is;
    const sums = vhids.map((vhid, node) => {
      const value = this.#object.lookup(PACKET_COUNTS, this.#layout.number(firstCount + node));
      return { vhid, ...this.#layout.sumCounts(value ?? new Uint8Array(0)) };
    });
    const total = (name: "dropped_by_lease" | "malformed" | "withheld") =>
      sums.reduce((sum, each) => sum + each[name], 0);
    return {
      nodes: sums.map(({ vhid, accepted, dropped_by_hash }) => ({
        vhid,
        accepted,
        droppedByHash: dropped_by_hash,
      })),
      droppedByLease: total("dropped_by_lease"),
      malformed: total("malformed"),
      withheld: total("withheld"),
    };
  }

  repair(): readonly CarpdevRepair[] {
    if (this.#isClosed) return [];
    this.#programs.recordAgain();
    return [...this.#carpdevs()].flatMap((index) => {
      const carpdev = native.interfaceName(index);
      if (carpdev === undefined) return [];
      const isAttached = this.#attachments.isAttached(index);
      if (isAttached && !this.#attachments.canPrecede(index)) return [];
      const what = isAttached ? this.#attachments.overruling(index).join("; ") : "eBPF programs were removed";
      if (!this.#backoff(carpdev).allows([what])) return [];
      const obstacle = isAttached ? this.#attachments.precede(index) : this.#attachments.attach(index);
      if (obstacle === undefined) return [{ carpdev, what }];
      this.#complainOnce(carpdev, obstacle);
      return [];
    });
  }

  overruled(carpdev: number): Overruled {
    return {
      before: this.#isClosed ? [] : this.#attachments.overruling(carpdev),
      xdp: nativeBpf.xdpProgram(carpdev),
    };
  }

  #complainOnce(subject: string, obstacle: string): void {
    if (this.#obstacles.get(subject) !== obstacle) this.#complain(obstacle);
    this.#obstacles.set(subject, obstacle);
  }

  removeLeftovers(): void {
    for (const [name, { wanted }] of this.#placed) if (wanted === undefined) this.remove(name);
    this.#writeEntries();
    this.#detachUnused();
    this.#programs.forgetFormer();
  }

  close(): void {
    this.#isClosed = true;
    this.#forgetAll();
    this.#object.close();
  }

  shutdown(): void {
    this.#isClosed = true;
    this.#forgetAll();
    this.#programs.remove();
  }

  #forgetAll(): void {
    for (const backoff of this.#backoffs.values()) backoff.close();
    this.#placed.clear();
  }

  #backoff(subject: string): RepairBackoff {
    const known = this.#backoffs.get(subject);
    if (known !== undefined) return known;
    // `repair` is called again and again: no retry is needed.
    const backoff = new RepairBackoff({ subject, complain: this.#complain, again: () => {} });
    this.#backoffs.set(subject, backoff);
    return backoff;
  }

  #adopt(): void {
    for (let slot = 0; slot < this.#layout.slots; slot++) {
      const is = this.#layout.readSlot(
        this.#object.read(this.#layout.slotOffset(slot), this.#layout.slotBytes),
      );
      if (is === undefined) continue;
      // An engine was killed while it moved an interface to another slot: one of the two is enough.
      if (this.#placed.has(is.name)) this.#clear(slot);
      else {
        const leasesUs = is.vhids.map((_, node) => this.#leaseUs(slot, node));
        this.#placed.set(is.name, { slot, leasesUs, is, wanted: undefined });
      }
    }
  }

  /** Writes a slot, except its leases. */
  #write(slot: number, wanted: DataPathInterface, firstCount: number, leasesUs: Micros[]): void {
    this.#object.write(this.#layout.slotOffset(slot), this.#layout.slotHeader(wanted, firstCount));
    const { name, vhids, carpdev, realMac } = wanted;
    const is = { name, vhids, carpdev, realMac, firstCount, identity: this.#layout.identity(wanted) };
    this.#placed.set(name, { slot, leasesUs, is, wanted });
  }

  #clear(slot: number): void {
    this.#object.write(this.#layout.slotOffset(slot), new Uint8Array(this.#layout.slotBytes));
  }

  /** Writes MACS, ADDRESSES and HINTS: new entries before old ones are removed, so that every packet finds one. */
  #writeEntries(): string | undefined {
    const macs: Entry[] = [];
    const addresses: Entry[] = [];
    for (const { slot, wanted } of this.#placed.values()) {
      if (wanted === undefined) continue;
      macs.push(...this.#layout.macEntries(wanted, slot));
      addresses.push(...this.#layout.addressEntries(wanted, slot));
    }
    const failed = this.#put(ADDRESSES, addresses) ?? this.#put(MACS, macs);
    this.#writeHints();
    this.#removeStale(ADDRESSES, addresses);
    this.#removeStale(MACS, macs);
    this.#writeHints();
    return failed;
  }

  /** Writes HINTS for all entries of MACS. */
  #writeHints(): void {
    const macs = this.#object.keys(MACS).flatMap((key) => {
      const value = this.#object.lookup(MACS, key);
      return value === undefined ? [] : [{ key, value }];
    });
    for (const [bucket, hint] of this.#layout.hints(macs).entries()) {
      if (this.#hints[bucket] === hint) continue;
      this.#object.update(HINTS, this.#layout.number(bucket), Uint8Array.of(hint));
      this.#hints[bucket] = hint;
    }
  }

  #put(map: Directory, entries: readonly Entry[]): string | undefined {
    for (const { key, value } of entries) {
      const error = this.#object.update(map, key, value);
      if (error !== 0) return `the data path holds no more addresses (${map}: ${errnoName(error)})`;
    }
    return undefined;
  }

  #removeStale(map: Directory, wanted: readonly Entry[]): void {
    const keep = new Set(wanted.map(({ key }) => Buffer.from(key).toString("hex")));
    const leftBehind = [...this.#placed.values()].filter(({ wanted }) => wanted === undefined);
    const slots = new Set<number | undefined>(leftBehind.map(({ slot }) => slot));
    if (leftBehind.some(({ is }) => is.realMac)) slots.add(undefined);
    for (const key of this.#object.keys(map)) {
      if (keep.has(Buffer.from(key).toString("hex"))) continue;
      const value = this.#object.lookup(map, key);
      if (value === undefined || slots.has(this.#layout.slotOf(map, value))) continue;
      this.#object.remove(map, key);
    }
  }

  #carpdevs(): Set<number> {
    return new Set([...this.#placed.values()].map(({ is }) => is.carpdev));
  }

  #detachUnused(): void {
    const used = this.#carpdevs();
    for (const index of [...this.#attachments.indexes]) if (!used.has(index)) this.#attachments.detach(index);
  }

  #leaseUs(slot: number, node: number): Micros {
    const offset = this.#layout.slotOffset(slot) + this.#layout.leaseOffset(node);
    const bytes = this.#object.read(offset, 8);
    return Number(new BigUint64Array(Uint8Array.from(bytes).buffer)[0] ?? 0n) / 1000;
  }

  #freeSlot(wanted: DataPathInterface): number | undefined {
    const used = new Set([...this.#placed.values()].map(({ slot }) => slot));
    const best = this.#layout.bestSlot(wanted);
    if (!used.has(best)) return best;
    for (let slot = 0; slot < this.#layout.slots; slot++) if (!used.has(slot)) return slot;
    return undefined;
  }

  /** The first gap in PACKET_COUNTS that is long enough. */
  #freeCounts(length: number): number | undefined {
    const used = [...this.#placed.values()]
      .map(({ is }) => ({ from: is.firstCount, to: is.firstCount + is.vhids.length }))
      .sort((a, b) => a.from - b.from);
    let at = 0;
    for (const { from, to } of used) {
      if (from - at >= length) break;
      at = Math.max(at, to);
    }
    return at + length <= this.#layout.maxEntries(PACKET_COUNTS) ? at : undefined;
  }

  #zeroCounts(from: number, length: number): void {
    for (let i = from; i < from + length; i++) {
      const key = this.#layout.number(i);
      const value = this.#object.lookup(PACKET_COUNTS, key);
      if (value !== undefined) this.#object.update(PACKET_COUNTS, key, value.fill(0));
    }
  }
}
