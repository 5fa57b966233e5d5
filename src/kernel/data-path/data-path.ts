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
  LeaseMemory,
  Overruled,
  PacketCounts,
  Polling,
  Watch,
} from "../kernel.ts";
import { errnoName, native } from "../native.ts";
import { RepairBackoff } from "../repair-backoff.ts";
import type { Attachments, Fault, Hook } from "./attachments.ts";
import {
  type DataPathLayout,
  MAX_NODES,
  MORE_PACKET_COUNTS,
  PACKET_COUNTS,
  type Slot,
  VARIABLES,
} from "./layout.ts";
import { Lookups } from "./lookups.ts";
import { type BpfObject, nativeBpf } from "./native-bpf.ts";
import { DataPathPrograms } from "./programs.ts";
import { Room } from "./room.ts";

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
    leaseMemory: () => undefined,
    leaseUntilUs: () => 0,
    counts: () => undefined,
    watch: () => {},
    repair: async () => [],
    overruled: () => ({ before: [], xdp: 0 }),
    removeLeftovers: () => {},
    close: () => {},
    shutdown: () => {},
  };
}

/** Carpdevs that are looked at together: their number must not cost. */
const LOOK_AT = 48;

/** What an interface takes in the maps. */
interface Place {
  readonly slot: number;
  readonly is: Slot;
}

interface Placed extends Place {
  /** Other places under its name: an engine was killed while it moved the interface. */
  readonly others: Place[];
  /** false: an earlier engine's, not configured by this one yet. */
  readonly isConfigured: boolean;
}

class KernelDataPath implements DataPath {
  readonly obstacle = undefined;
  readonly #programs: DataPathPrograms;
  readonly #attachments: Attachments;
  readonly #layout: DataPathLayout;
  readonly #object: BpfObject;
  /** Of the variables, the slots among them. */
  readonly #memory: ArrayBuffer;
  readonly #lookups: Lookups;
  readonly #placed = new Map<string, Placed>();
  readonly #slots: Room;
  /** The size of PACKET_COUNTS, and what is taken of it. */
  readonly #arrayedCounts: number;
  readonly #counts: Room;
  /** The value of a node that has counted nothing. */
  readonly #zeroCounts: Uint8Array;
  /** The number of interfaces on each carpdev, by index. */
  readonly #carpdevs = new Map<number, number>();
  /** Whether `repair` waits for the kernel. */
  #isLooking = false;
  #watch: Watch<number> | undefined;
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
    this.#lookups = new Lookups(this.#object, this.#layout);
    this.#slots = new Room(this.#layout.slots);
    this.#arrayedCounts = this.#layout.maxEntries(PACKET_COUNTS);
    this.#counts = new Room(this.#arrayedCounts);
    const value = this.#object.lookup(PACKET_COUNTS, this.#layout.number(0));
    this.#zeroCounts = new Uint8Array(value?.length ?? 0);
    const error = this.#object.share(VARIABLES);
    const memory = this.#object.memory();
    if (memory === undefined) throw new Error(`the leases cannot be mapped: ${errnoName(error)}`);
    this.#memory = memory;
    if (programs.adopted) this.#adopt();
  }

  configure(wanted: DataPathInterface): string | undefined {
    const { name, vhids, carpdev } = wanted;
    if (vhids.length < 1 || vhids.length > MAX_NODES)
      throw new RangeError(`${name}: ${vhids.length} nodes: must be 1..${MAX_NODES}`);
    const known = this.#placed.get(name);
    const identity = this.#layout.identity(wanted);
    const stays = known?.is.identity === identity;
    // Without programs on the carpdev the leases would have no effect.
    const obstacle = this.#attachments.attachOnce(carpdev);
    const place = obstacle ?? (stays ? known : this.#takePlace(wanted));
    if (typeof place === "string") {
      this.remove(name);
      this.#detachUnused();
      return place;
    }
    const { slot, is } = place;
    this.#object.write(this.#layout.slotOffset(slot), this.#layout.slotHeader(wanted, is.firstCount));
    this.#placed.set(name, { slot, is, others: [], isConfigured: true });
    const macs = this.#layout.macEntries(wanted, slot);
    const failed = this.#lookups.write(name, macs, this.#layout.addressEntries(wanted, slot));
    // No entry leads to a former slot any more.
    if (known !== undefined)
      for (const each of stays ? known.others : [known, ...known.others]) this.#free(each);
    return failed;
  }

  remove(name: string): void {
    const known = this.#placed.get(name);
    if (known === undefined) return;
    this.#placed.delete(name);
    this.#lookups.remove(name);
    for (const each of [known, ...known.others]) this.#free(each);
  }

  lease(name: string, vhid: number, untilUs: Micros): void {
    const known = this.#placed.get(name);
    const node = known?.is.vhids.indexOf(vhid) ?? -1;
    if (known === undefined || node < 0) return;
    const { slot } = known;
    const offset = this.#layout.slotOffset(slot);
    this.#object.storeUs(offset + this.#layout.leaseOffset(node), untilUs);
    const latestUs = known.is.vhids.length === 1 ? untilUs : this.#latestUs(known);
    this.#object.storeUs(offset + this.#layout.untilOffset, latestUs);
  }

  leaseMemory(name: string, vhid: number): LeaseMemory | undefined {
    const known = this.#placed.get(name);
    const node = known?.is.vhids.indexOf(vhid) ?? -1;
    if (known === undefined || node < 0) return undefined;
    const offset = this.#layout.slotOffset(known.slot);
    return [this.#layout.leaseOffset(node), this.#layout.untilOffset].map(
      (at) => new Uint8Array(this.#memory, offset + at, 8),
    );
  }

  leaseUntilUs(name: string, vhid: number): Micros {
    const known = this.#placed.get(name);
    const node = known?.is.vhids.indexOf(vhid) ?? -1;
    return known === undefined || node < 0 ? 0 : this.#leaseUs(known.slot, node);
  }

  counts(name: string): PacketCounts | undefined {
    const known = this.#placed.get(name);
    if (known === undefined) return undefined;
    const { vhids, firstCount } = known.is;
    const sums = vhids.map((vhid, node) => {
      const index = firstCount + node;
      const value = this.#object.lookup(this.#countsMap(index), this.#layout.number(index));
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

  watch(polling: Polling, changed: (carpdevs: readonly number[]) => void): void {
    this.#watch = polling.watch(this.#attachments.hook, LOOK_AT, (keys) => changed(keys.map(Number)));
    for (const index of this.#carpdevs.keys()) this.#watch.add(index);
  }

  async repair(carpdevs = [...this.#carpdevs.keys()]): Promise<readonly CarpdevRepair[]> {
    if (this.#isClosed) return [];
    if (this.#isLooking) {
      for (const index of carpdevs) this.#watch?.doubt(index);
      return [];
    }
    this.#isLooking = true;
    const faults = await Promise.all(carpdevs.map((index) => this.#attachments.faultOf(index)));
    this.#isLooking = false;
    return carpdevs.flatMap((index, at) => this.#repair(index, faults[at]));
  }

  #repair(index: number, fault: Fault | undefined): CarpdevRepair[] {
    // It may have been removed while it was looked at.
    if (fault === undefined || this.#isClosed || !this.#carpdevs.has(index)) return [];
    const carpdev = native.interfaceName(index);
    if (carpdev === undefined) return [];
    const { what, repair } = fault;
    this.#watch?.doubt(index);
    if (!this.#backoff(carpdev).allows([what])) return [];
    const obstacle = repair();
    if (obstacle === undefined) return [{ carpdev, what }];
    this.#complainOnce(carpdev, obstacle);
    return [];
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
    for (const [name, { isConfigured }] of this.#placed) if (!isConfigured) this.remove(name);
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
    // What is wrong is doubted: no retry is needed.
    const backoff = new RepairBackoff({ subject, complain: this.#complain, again: () => {} });
    this.#backoffs.set(subject, backoff);
    return backoff;
  }

  #adopt(): void {
    const owners = new Map<number, string[]>();
    const { slots, slotBytes } = this.#layout;
    const all = this.#object.read(this.#layout.slotOffset(0), slots * slotBytes);
    for (let slot = 0; slot < slots; slot++) {
      const is = this.#layout.readSlot(all.subarray(slot * slotBytes, (slot + 1) * slotBytes));
      if (is === undefined) continue;
      owners.set(slot, [is.name]);
      const place = { slot, is };
      this.#take(place);
      const former = this.#placed.get(is.name);
      // Of an interface's places the one with leases counts.
      const isBest = former === undefined || this.#latestUs(place) > this.#latestUs(former);
      if (!isBest) former.others.push(place);
      else {
        const others = former === undefined ? [] : [former, ...former.others];
        this.#placed.set(is.name, { ...place, others, isConfigured: false });
      }
    }
    const ofRealMac = [...this.#placed].filter(([, { is }]) => is.realMac).map(([name]) => name);
    this.#lookups.adopt((slot) => (slot === undefined ? ofRealMac : (owners.get(slot) ?? [])));
  }

  /** Takes a free slot, cleared, and packet counts of zero. @returns why there is none */
  #takePlace(wanted: DataPathInterface): Place | string {
    const { name, vhids, carpdev, realMac } = wanted;
    const slot = this.#slots.near(this.#layout.bestSlot(wanted));
    if (slot === undefined) return "the data path holds no more carp interfaces";
    const firstCount = this.#counts.gap(vhids.length) ?? this.#arrayedCounts + slot * MAX_NODES;
    const identity = this.#layout.identity(wanted);
    const place = { slot, is: { name, vhids, carpdev, realMac, firstCount, identity } };
    this.#take(place);
    this.#clear(slot);
    for (const index of countsOf(place)) {
      const error = this.#object.update(this.#countsMap(index), this.#layout.number(index), this.#zeroCounts);
      if (error === 0) continue;
      this.#free(place);
      return `the data path counts no more packets (${errnoName(error)})`;
    }
    return place;
  }

  #take({ slot, is }: Place): void {
    this.#slots.take(slot);
    if (is.firstCount < this.#arrayedCounts) this.#counts.take(is.firstCount, is.vhids.length);
    const before = this.#carpdevs.get(is.carpdev) ?? 0;
    this.#carpdevs.set(is.carpdev, before + 1);
    if (before === 0) this.#watch?.add(is.carpdev);
  }

  /** Gives up a place that no entry leads to, and its carpdev when no interface is on it any more. */
  #free(place: Place): void {
    const { slot, is } = place;
    this.#clear(slot);
    this.#slots.free(slot);
    if (is.firstCount < this.#arrayedCounts) this.#counts.free(is.firstCount, is.vhids.length);
    else
      for (const index of countsOf(place))
        this.#object.remove(MORE_PACKET_COUNTS, this.#layout.number(index));
    const left = (this.#carpdevs.get(is.carpdev) ?? 1) - 1;
    if (left > 0) this.#carpdevs.set(is.carpdev, left);
    else {
      this.#carpdevs.delete(is.carpdev);
      this.#watch?.remove(is.carpdev);
      this.#attachments.detach(is.carpdev);
    }
  }

  #clear(slot: number): void {
    this.#object.write(this.#layout.slotOffset(slot), new Uint8Array(this.#layout.slotBytes));
  }

  #detachUnused(): void {
    for (const index of [...this.#attachments.indexes])
      if (!this.#carpdevs.has(index)) this.#attachments.detach(index);
  }

  #leaseUs(slot: number, node: number): Micros {
    const offset = this.#layout.slotOffset(slot) + this.#layout.leaseOffset(node);
    return Number(new BigUint64Array(this.#memory, offset, 1)[0] ?? 0n) / 1000;
  }

  /** The latest of the leases of an interface. */
  #latestUs({ slot, is }: Place): Micros {
    return Math.max(...is.vhids.map((_, node) => this.#leaseUs(slot, node)));
  }

  /** The map that has the packet counts with this index. */
  #countsMap(index: number): string {
    return index < this.#arrayedCounts ? PACKET_COUNTS : MORE_PACKET_COUNTS;
  }
}

/** The indexes of its nodes' packet counts. */
function countsOf({ is }: Place): number[] {
  return is.vhids.map((_, node) => is.firstCount + node);
}
