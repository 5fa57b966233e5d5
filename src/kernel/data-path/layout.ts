/**
 * DataPathLayout: keys and values of the eBPF maps as bytes, with every field at the offset that the compiled object's
 * BTF gives. Touches no map and decides nothing; the maps are declared in src/native/bpf/data_path_maps.h.
 */

import { createHash } from "node:crypto";
import { endianness } from "node:os";
import { addressBytes, macBytes } from "../../protocol/address.ts";
import type { DataPathInterface } from "../kernel.ts";
import type { BpfLayout } from "./native-bpf.ts";

/** The programs' global variables in one element, as libbpf names it: the slots of all interfaces, and hints. */
export const VARIABLES = "carp.bss";
export const PACKET_COUNTS = "carp_packets";
/** Packet counts with an index that PACKET_COUNTS does not have. */
export const MORE_PACKET_COUNTS = "carp_more_packets";
export const MACS = "carp_macs";
export const ADDRESSES = "carp_addresses";
/** Keeps its layout and name in every version. */
export const CARPDEVS = "carp_carpdevs";

export const MAX_NODES = 32;
const NAME_BYTES = 16;
/** No slot has this number. */
const NO_SLOT = 0xffff_ffff;
const HINT_BYTES = 2;

/** The members that are read and written here, by type, with their sizes in bytes. */
const needed = {
  carp_interface: {
    vhids: MAX_NODES,
    name: NAME_BYTES,
    carpdev: 4,
    given_mac: 6,
    source_mac: 6,
    nodes: 4,
    mode: 4,
    first_count: 4,
    device_mac: 6,
    real_mac: 1,
    fold_mask: 1,
    until_ns: 8,
    leases_ns: 8 * MAX_NODES,
  },
  carp_packet_counts: { accepted: 8, dropped_by_hash: 8, dropped_by_lease: 8, malformed: 8, withheld: 8 },
  carp_mac_key: { carpdev: 4, mac: 6 },
  carp_mac_entry: { slot: 4, judged: 4 },
  carp_address_key: { carpdev: 4, word: 16 },
  carp_address_entry: { slot: 4, kind: 4 },
} as const;

type Needed = typeof needed;

const modes = {
  none: "CARP_MODE_NONE",
  ip: "CARP_MODE_IP",
  "ip-unicast": "CARP_MODE_IP_UNICAST",
  "ip-stealth": "CARP_MODE_IP_STEALTH",
} as const;

const constants = [
  ...Object.values(modes),
  "CARP_HINT_NONE",
  "CARP_HINT_ASK",
  "CARP_JUDGED_ALL",
  "CARP_JUDGED_BY_ADDRESS",
  "CARP_ADDRESS_VIRTUAL",
  "CARP_ADDRESS_BROADCAST",
] as const;

/** An interface as read from its slot. */
export interface Slot {
  readonly name: string;
  readonly vhids: readonly number[];
  readonly carpdev: number;
  /** Index of its first node's packet counts in PACKET_COUNTS. */
  readonly firstCount: number;
  readonly realMac: boolean;
  /** Leases stay in force as long as this is the same. */
  readonly identity: string;
}

export interface Entry {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

export class DataPathLayout {
  readonly #layout: BpfLayout;
  /** As many as there are buckets: see bucketOf. */
  readonly hints = 0x10000;
  readonly slots: number;
  readonly slotBytes: number;
  /** In a slot. */
  readonly untilOffset: number;
  readonly #leasesOffset: number;
  /** In VARIABLES. */
  readonly #slotsOffset: number;
  readonly #hintsOffset: number;

  /** @throws Error when the programs lack a type, member or map that this module uses, or have another size of it */
  constructor(layout: BpfLayout) {
    this.#layout = layout;
    const { carp_interfaces: slots, carp_hints: hints } = layout.variables;
    this.slotBytes = aligned(this.#size("carp_interface"));
    this.slots = Math.floor((slots?.size ?? 0) / this.slotBytes);
    this.untilOffset = this.#offset("carp_interface", "until_ns");
    this.#leasesOffset = this.#offset("carp_interface", "leases_ns");
    this.#slotsOffset = slots?.offset ?? 0;
    this.#hintsOffset = hints?.offset ?? 0;
    const wrong: string[] = [];
    for (const [type, members] of Object.entries(needed)) {
      for (const [member, size] of Object.entries(members)) {
        if (layout.structs[type]?.members[member]?.size !== size) wrong.push(`${type}.${member}`);
      }
    }
    for (const constant of constants) if (layout.enums[constant] === undefined) wrong.push(constant);
    const sizes = [
      [PACKET_COUNTS, 4, "carp_packet_counts"],
      [MORE_PACKET_COUNTS, 4, "carp_packet_counts"],
      [MACS, layout.structs.carp_mac_key?.size, "carp_mac_entry"],
      [ADDRESSES, layout.structs.carp_address_key?.size, "carp_address_entry"],
    ] as const;
    for (const [map, keySize, value] of sizes) {
      const found = layout.maps[map];
      if (found?.keySize !== keySize || found?.valueSize !== layout.structs[value]?.size) wrong.push(map);
    }
    if (layout.maps[VARIABLES]?.maxEntries !== 1) wrong.push(VARIABLES);
    if (this.slots < 1) wrong.push("carp_interfaces");
    if (hints?.size !== this.hints * HINT_BYTES) wrong.push("carp_hints");
    if (layout.maps[CARPDEVS]?.keySize !== 4 || layout.maps[CARPDEVS]?.valueSize !== 4) wrong.push(CARPDEVS);
    if (wrong.length > 0) throw new Error(`the programs do not have the expected ${wrong.join(", ")}`);
  }

  /** Equal when maps have the same layout. */
  get version(): string {
    const { structs, enums, variables, maps } = this.#layout;
    const ours = Object.keys(needed).map((type) => [type, structs[type]]);
    const values = constants.map((constant) => [constant, enums[constant]]);
    return createHash("sha256")
      .update(JSON.stringify([ours, values, variables, maps]))
      .digest("hex")
      .slice(0, 16);
  }

  get maps(): readonly string[] {
    return Object.keys(this.#layout.maps);
  }

  maxEntries(map: string): number {
    return this.#layout.maps[map]?.maxEntries ?? 0;
  }

  /** The entries of a map as BpfObject reads them. */
  entries(map: string, all: Uint8Array): Entry[] {
    const { keySize = 0, valueSize = 0 } = this.#layout.maps[map] ?? {};
    const size = keySize + valueSize;
    return Array.from({ length: size && all.length / size }, (_, n) => ({
      key: all.slice(n * size, n * size + keySize),
      value: all.slice(n * size + keySize, (n + 1) * size),
    }));
  }

  // Slots, in VARIABLES.

  /** The slot that the programs look into first for this interface's packets. */
  bestSlot({ mac, carpdev }: DataPathInterface): number {
    return bucketOf(macBytes(mac), carpdev) % 2 ** Math.floor(Math.log2(this.slots));
  }

  slotOffset(slot: number): number {
    return this.#slotsOffset + slot * this.slotBytes;
  }

  leaseOffset(node: number): number {
    return this.#leasesOffset + 8 * node;
  }

  /** The bytes of a slot before its leases. */
  slotHeader(wanted: DataPathInterface, firstCount: number): Uint8Array {
    const { balancing, mac, realMac, carpdevMac, leaves, vhids, name } = wanted;
    const value = this.#value("carp_interface");
    value.number("nodes", vhids.length);
    value.number("mode", this.#constant(modes[balancing]));
    value.number("fold_mask", foldMask(vhids.length));
    value.number("first_count", firstCount);
    value.number("carpdev", wanted.carpdev);
    value.bytes("given_mac", macBytes(mac));
    value.bytes("device_mac", macBytes(deviceMac(mac)));
    const hidesMac = balancing === "ip" || balancing === "ip-stealth";
    if (hidesMac || leaves) value.bytes("source_mac", macBytes(carpdevMac));
    else if (balancing === "ip-unicast") value.bytes("source_mac", macBytes(mac));
    value.number("real_mac", realMac ? 1 : 0);
    value.bytes("vhids", Uint8Array.from(vhids));
    value.bytes("name", Buffer.from(name).subarray(0, NAME_BYTES - 1));
    return value.all.subarray(0, this.untilOffset);
  }

  /** @returns undefined when the slot is free or invalid */
  readSlot(bytes: Uint8Array): Slot | undefined {
    const value = this.#value("carp_interface", bytes);
    const nodes = value.getNumber("nodes");
    if (nodes < 1 || nodes > MAX_NODES) return undefined;
    const name = Buffer.from(value.getBytes("name"));
    const carpdev = value.getNumber("carpdev");
    const vhids = [...value.getBytes("vhids").subarray(0, nodes)];
    const mode = value.getNumber("mode");
    const realMac = value.getNumber("real_mac") === 1;
    const given = value.getBytes("given_mac");
    return {
      name: name.toString("latin1", 0, name.indexOf(0)),
      vhids,
      carpdev,
      firstCount: value.getNumber("first_count"),
      realMac,
      identity: identityOf(carpdev, given, realMac, mode, vhids),
    };
  }

  identity(wanted: DataPathInterface): string {
    const { carpdev, mac, realMac, balancing, vhids } = wanted;
    return identityOf(carpdev, macBytes(mac), realMac, this.#constant(modes[balancing]), vhids);
  }

  // Entries of MACS and ADDRESSES, and hints, which lead to slots.

  macEntries(wanted: DataPathInterface, slot: number): Entry[] {
    const { carpdev, mac, realMac } = wanted;
    if (realMac) return [this.#macEntry(carpdev, mac, NO_SLOT, "CARP_JUDGED_BY_ADDRESS")];
    return [...new Set([mac, deviceMac(mac)])].map((each) =>
      this.#macEntry(carpdev, each, slot, "CARP_JUDGED_ALL"),
    );
  }

  /** The bucket of an entry of MACS. */
  bucketOf(key: Uint8Array): number {
    const { getNumber, getBytes } = this.#value("carp_mac_key", key);
    return bucketOf(getBytes("mac"), getNumber("carpdev"));
  }

  /** In VARIABLES. */
  hintOffset(bucket: number): number {
    return this.#hintsOffset + HINT_BYTES * bucket;
  }

  /** The hint for a bucket whose MACs lead to these slots, `undefined` to several. */
  hint(slots: ReadonlySet<number | undefined>): number {
    if (slots.size === 0) return this.#constant("CARP_HINT_NONE");
    const [slot] = slots;
    return slots.size > 1 || slot === undefined ? this.#constant("CARP_HINT_ASK") : slot + 1;
  }

  addressEntries(wanted: DataPathInterface, slot: number): Entry[] {
    const { carpdev, addresses } = wanted;
    // One value for all: an interface may have thousands of addresses.
    const virtual = this.#addressValue(slot, "CARP_ADDRESS_VIRTUAL");
    const ofBroadcast = this.#addressValue(slot, "CARP_ADDRESS_BROADCAST");
    const entries = addresses.map(({ address }) => ({
      key: this.#addressKey(carpdev, address),
      value: virtual,
    }));
    for (const { broadcast } of addresses)
      if (broadcast !== undefined)
        entries.push({ key: this.#addressKey(carpdev, broadcast), value: ofBroadcast });
    return entries;
  }

  /** The slot of an entry of MACS or ADDRESSES; undefined when the entry serves several. */
  slotOf(map: typeof MACS | typeof ADDRESSES, entry: Uint8Array): number | undefined {
    const slot = this.#value(map === MACS ? "carp_mac_entry" : "carp_address_entry", entry).getNumber("slot");
    return slot === NO_SLOT ? undefined : slot;
  }

  number(value: number): Uint8Array {
    return Uint8Array.from(new Uint8Array(Uint32Array.of(value).buffer));
  }

  readNumber(bytes: Uint8Array): number {
    return view(bytes).getUint32(0, littleEndian);
  }

  /** Sums per-CPU packet counts. @param perProcessor one value for every possible CPU, as the kernel returns it */
  sumCounts(perProcessor: Uint8Array): Record<keyof Needed["carp_packet_counts"], number> {
    const size = aligned(this.#size("carp_packet_counts"));
    const sums = { accepted: 0, dropped_by_hash: 0, dropped_by_lease: 0, malformed: 0, withheld: 0 };
    for (let at = 0; at + size <= perProcessor.length; at += size) {
      const value = this.#value("carp_packet_counts", perProcessor.subarray(at, at + size));
      for (const name of Object.keys(sums) as (keyof typeof sums)[]) sums[name] += value.getLong(name);
    }
    return sums;
  }

  #macEntry(carpdev: number, mac: string, slot: number, judged: (typeof constants)[number]): Entry {
    const key = this.#value("carp_mac_key");
    key.number("carpdev", carpdev);
    key.bytes("mac", macBytes(mac));
    const value = this.#value("carp_mac_entry");
    value.number("slot", slot);
    value.number("judged", this.#constant(judged));
    return { key: key.all, value: value.all };
  }

  #addressKey(carpdev: number, address: string): Uint8Array {
    const bytes = addressBytes(address);
    const key = this.#value("carp_address_key");
    key.number("carpdev", carpdev);
    key.bytes("word", bytes.length === 4 ? Buffer.concat([MAPPED, bytes]) : bytes);
    return key.all;
  }

  #addressValue(slot: number, kind: (typeof constants)[number]): Uint8Array {
    const value = this.#value("carp_address_entry");
    value.number("slot", slot);
    value.number("kind", this.#constant(kind));
    return value.all;
  }

  #constant(name: (typeof constants)[number]): number {
    return this.#layout.enums[name] ?? 0;
  }

  #size(type: keyof Needed): number {
    return this.#layout.structs[type]?.size ?? 0;
  }

  #offset<Type extends keyof Needed>(type: Type, member: keyof Needed[Type] & string): number {
    return this.#layout.structs[type]?.members[member]?.offset ?? 0;
  }

  /** Access to the members of a value of one of the programs' types. */
  #value<Type extends keyof Needed>(type: Type, all: Uint8Array = new Uint8Array(this.#size(type))) {
    const at = (member: keyof Needed[Type] & string) => this.#offset(type, member);
    const sizeOf = (member: keyof Needed[Type] & string) => Number(needed[type][member]);
    const data = view(all);
    return {
      all,
      number: (member: keyof Needed[Type] & string, value: number) =>
        sizeOf(member) === 1
          ? data.setUint8(at(member), value)
          : data.setUint32(at(member), value, littleEndian),
      bytes: (member: keyof Needed[Type] & string, value: Uint8Array) => all.set(value, at(member)),
      getNumber: (member: keyof Needed[Type] & string) =>
        sizeOf(member) === 1 ? data.getUint8(at(member)) : data.getUint32(at(member), littleEndian),
      getLong: (member: keyof Needed[Type] & string) => Number(data.getBigUint64(at(member), littleEndian)),
      getBytes: (member: keyof Needed[Type] & string) =>
        all.subarray(at(member), at(member) + sizeOf(member)),
    };
  }
}

const littleEndian = endianness() === "LE";
const MAPPED = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff);

function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function aligned(size: number): number {
  return Math.ceil(size / 8) * 8;
}

/** The bucket of a MAC: the same as bucket_of() in carp.bpf.c. */
function bucketOf(mac: Uint8Array, carpdev: number): number {
  const high = (mac[4] ?? 0) ^ carpdev;
  const low = (mac[5] ?? 0) ^ (carpdev >> 8);
  return ((high & 0xff) << 8) | (low & 0xff);
}

/** The mask with which `fold & mask` equals `fold % nodes`; MAX_NODES when there is none. */
function foldMask(nodes: number): number {
  return (nodes & (nodes - 1)) === 0 ? nodes - 1 : MAX_NODES;
}

function identityOf(
  carpdev: number,
  mac: Uint8Array,
  realMac: boolean,
  mode: number,
  vhids: readonly number[],
): string {
  return [carpdev, Buffer.from(mac).toString("hex"), realMac, mode, ...vhids].join();
}

/** Linux gives a device no multicast MAC: carp0 carries it without that bit. */
function deviceMac(mac: string): string {
  const first = (Number.parseInt(mac.slice(0, 2), 16) & 0xfe).toString(16).padStart(2, "0");
  return `${first}${mac.slice(2)}`;
}
