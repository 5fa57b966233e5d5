/**
 * The data path: which carp interface the programs in the kernel judge by which leases. It lays out their maps and
 * writes leases into them; what a packet is worth is decided in the kernel, and who is MASTER in the core.
 */

import type { Micros } from "../core/event.ts";
import {
  ADDRESSES,
  COUNTERS,
  type DataPathLayout,
  type Entry,
  HINTS,
  INTERFACES,
  MACS,
  MAX_NODES,
  type Slot,
} from "./data-path-layout.ts";
import { DataPathPrograms, type Hook } from "./data-path-programs.ts";
import type { CarpdevRepair, DataPath, DataPathInterface, PacketCounts } from "./kernel.ts";
import { type BpfObject, errnoName, native } from "./native.ts";
import { Quarrel } from "./quarrel.ts";

export interface DataPathOptions {
  readonly runDir: string;
  /** Something a person should read that prevents nothing. */
  readonly complain: (text: string) => void;
  /** Where its programs get to see packets; what the kernel lacks is replaced. */
  readonly hook?: Hook;
  /** Has somebody mount the bpffs who may, when this process may not; `repair` goes on from there. */
  readonly remount?: () => void;
}

/** Takes over what an earlier engine of this run directory left: its leases are in force. */
export function createDataPath(options: DataPathOptions): DataPath {
  try {
    const programs = DataPathPrograms.load(options.runDir, options.complain, options.hook);
    return typeof programs === "string" ? without(programs) : new KernelDataPath(programs, options);
  } catch (error) {
    return without(error instanceof Error ? error.message : String(error));
  }
}

/**
 * Why there could be no data path on this host, in words; undefined when there could. For those who only want to
 * know: an engine that runs is not disturbed, and nothing is left behind.
 */
export function dataPathObstacle(): string | undefined {
  try {
    return DataPathPrograms.probe();
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** Where the kernel offers no eBPF. */
function without(obstacle: string): DataPath {
  return {
    obstacle,
    configure: () => obstacle,
    remove: () => {},
    lease: () => {},
    leaseUntilUs: () => 0,
    counts: () => undefined,
    repair: () => [],
    removeLeftovers: () => {},
    close: () => {},
    shutdown: () => {},
  };
}

interface Placed {
  readonly slot: number;
  /** As they are in the slot. */
  readonly leasesUs: Micros[];
  readonly is: Slot;
  /** undefined: an earlier engine's, which nobody has configured yet. */
  readonly wanted: DataPathInterface | undefined;
}

type Directory = typeof MACS | typeof ADDRESSES;

class KernelDataPath implements DataPath {
  readonly obstacle = undefined;
  readonly #programs: DataPathPrograms;
  readonly #layout: DataPathLayout;
  readonly #object: BpfObject;
  readonly #placed = new Map<string, Placed>();
  /** As they are in the kernel. */
  readonly #hints: number[];
  readonly #complain: (text: string) => void;
  readonly #remount: (() => void) | undefined;
  #isClosed = false;
  /** By carpdev, and of the bpffs: who takes things away, and why they cannot be put back. */
  readonly #quarrels = new Map<string, Quarrel>();
  readonly #obstacles = new Map<string, string>();

  constructor(programs: DataPathPrograms, { complain, remount }: DataPathOptions) {
    this.#programs = programs;
    this.#complain = complain;
    this.#remount = remount;
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
    const obstacle = this.#programs.attach(carpdev);
    if (obstacle !== undefined) {
      // Without programs on the carpdev the leases would count for nothing.
      this.remove(name);
      return obstacle;
    }
    if (known !== undefined && known.is.identity === this.#layout.identity(wanted)) {
      this.#write(known.slot, wanted, known.is.counters, known.leasesUs);
      return this.#lead();
    }
    const slot = this.#freeSlot(wanted);
    const counters = this.#freeCounters(vhids.length);
    if (slot === undefined || counters === undefined) return "the data path holds no more carp interfaces";
    this.#clear(slot);
    this.#zeroCounters(counters, vhids.length);
    this.#write(slot, wanted, counters, Array<Micros>(vhids.length).fill(0));
    const failed = this.#lead();
    // Nothing leads to the former slot any more.
    if (known !== undefined) this.#clear(known.slot);
    return failed;
  }

  remove(name: string): void {
    const known = this.#placed.get(name);
    if (known === undefined) return;
    this.#placed.delete(name);
    this.#lead();
    this.#clear(known.slot);
    this.#leaveCarpdevs();
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
    const { vhids, counters } = known.is;
    const sums = vhids.map((vhid, node) => {
      const value = this.#object.lookup(COUNTERS, this.#layout.number(counters + node));
      return { vhid, ...this.#layout.sumCounters(value ?? new Uint8Array(0)) };
    });
    const total = (counter: "dropped_by_lease" | "malformed" | "withheld") =>
      sums.reduce((sum, each) => sum + each[counter], 0);
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
    return [...this.#repairPins(), ...this.#repairPrograms()];
  }

  #repairPins(): readonly CarpdevRepair[] {
    const what = this.#programs.unpinned;
    if (what === undefined || !this.#quarrel("eBPF").allows([what])) return [];
    const obstacle = this.#programs.pin();
    if (obstacle === undefined)
      return [...this.#carpdevs()].flatMap((index) => {
        const carpdev = native.interfaceName(index);
        return carpdev === undefined ? [] : [{ carpdev, what }];
      });
    if (this.#remount !== undefined) this.#remount();
    else this.#complainOnce("eBPF", obstacle);
    return [];
  }

  #repairPrograms(): readonly CarpdevRepair[] {
    return [...this.#carpdevs()].flatMap((index) => {
      const carpdev = native.interfaceName(index);
      if (carpdev === undefined || this.#programs.isAttached(index)) return [];
      const what = "eBPF programs were removed";
      if (!this.#quarrel(carpdev).allows([what])) return [];
      const obstacle = this.#programs.attach(index);
      if (obstacle === undefined) return [{ carpdev, what }];
      this.#complainOnce(carpdev, obstacle);
      return [];
    });
  }

  #complainOnce(subject: string, obstacle: string): void {
    if (this.#obstacles.get(subject) !== obstacle) this.#complain(obstacle);
    this.#obstacles.set(subject, obstacle);
  }

  removeLeftovers(): void {
    for (const [name, { wanted }] of this.#placed) if (wanted === undefined) this.remove(name);
    this.#lead();
    this.#leaveCarpdevs();
  }

  close(): void {
    this.#isClosed = true;
    this.#letGo();
    this.#object.close();
  }

  shutdown(): void {
    this.#isClosed = true;
    this.#letGo();
    this.#programs.remove();
  }

  #letGo(): void {
    for (const quarrel of this.#quarrels.values()) quarrel.close();
    this.#placed.clear();
  }

  #quarrel(subject: string): Quarrel {
    const known = this.#quarrels.get(subject);
    if (known !== undefined) return known;
    // The next look comes by itself.
    const quarrel = new Quarrel({ subject, complain: this.#complain, again: () => {} });
    this.#quarrels.set(subject, quarrel);
    return quarrel;
  }

  #adopt(): void {
    for (let slot = 0; slot < this.#layout.slots; slot++) {
      const is = this.#layout.readSlot(
        this.#object.read(this.#layout.slotOffset(slot), this.#layout.slotBytes),
      );
      if (is === undefined) continue;
      // An engine died while it moved from one slot to another: one of the two is enough to go on from.
      if (this.#placed.has(is.name)) this.#clear(slot);
      else {
        const leasesUs = is.vhids.map((_, node) => this.#leaseUs(slot, node));
        this.#placed.set(is.name, { slot, leasesUs, is, wanted: undefined });
      }
    }
  }

  /** Everything of a slot but its leases. */
  #write(slot: number, wanted: DataPathInterface, counters: number, leasesUs: Micros[]): void {
    this.#object.write(this.#layout.slotOffset(slot), this.#layout.slotHeader(wanted, counters));
    const { name, vhids, carpdev, realMac } = wanted;
    const is = { name, vhids, carpdev, realMac, counters, identity: this.#layout.identity(wanted) };
    this.#placed.set(name, { slot, leasesUs, is, wanted });
  }

  #clear(slot: number): void {
    this.#object.write(this.#layout.slotOffset(slot), new Uint8Array(this.#layout.slotBytes));
  }

  /** Makes the MACs and addresses lead to the slots: what is new first, so that no packet finds nothing. */
  #lead(): string | undefined {
    const macs: Entry[] = [];
    const addresses: Entry[] = [];
    for (const { slot, wanted } of this.#placed.values()) {
      if (wanted === undefined) continue;
      macs.push(...this.#layout.macEntries(wanted, slot));
      addresses.push(...this.#layout.addressEntries(wanted, slot));
    }
    const failed = this.#put(ADDRESSES, addresses) ?? this.#put(MACS, macs);
    this.#hint();
    this.#removeStale(ADDRESSES, addresses);
    this.#removeStale(MACS, macs);
    this.#hint();
    return failed;
  }

  /** Makes the hints lead to everything that MACS leads to. */
  #hint(): void {
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

  #leaveCarpdevs(): void {
    const used = this.#carpdevs();
    for (const index of [...this.#programs.attached]) if (!used.has(index)) this.#programs.detach(index);
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

  /** The first gap that is long enough. */
  #freeCounters(length: number): number | undefined {
    const used = [...this.#placed.values()]
      .map(({ is }) => ({ from: is.counters, to: is.counters + is.vhids.length }))
      .sort((a, b) => a.from - b.from);
    let at = 0;
    for (const { from, to } of used) {
      if (from - at >= length) break;
      at = Math.max(at, to);
    }
    return at + length <= this.#layout.maxEntries(COUNTERS) ? at : undefined;
  }

  #zeroCounters(from: number, length: number): void {
    for (let i = from; i < from + length; i++) {
      const key = this.#layout.number(i);
      const value = this.#object.lookup(COUNTERS, key);
      if (value !== undefined) this.#object.update(COUNTERS, key, value.fill(0));
    }
  }
}
