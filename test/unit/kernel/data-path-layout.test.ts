/** The eBPF maps' keys and values as bytes, with a layout made up here whose members lie otherwise than the compiler's. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { DataPathLayout, MACS, MAX_NODES } from "../../../src/kernel/data-path/layout.ts";
import type { BpfLayout } from "../../../src/kernel/data-path/native-bpf.ts";
import type { DataPathInterface } from "../../../src/kernel/kernel.ts";

/** A struct of these members, with their sizes in bytes, one behind the other after four unused bytes. */
function struct(sizes: Readonly<Record<string, number>>): BpfLayout["structs"][string] {
  let offset = 4;
  const members = Object.fromEntries(
    Object.entries(sizes).map(([name, size]) => {
      const member = { offset, size };
      offset += size;
      return [name, member];
    }),
  );
  return { size: offset, members };
}

const HEADER = {
  name: 16,
  vhids: 32,
  nodes: 4,
  mode: 4,
  carpdev: 4,
  first_count: 4,
  given_mac: 6,
  device_mac: 6,
  source_mac: 6,
  real_mac: 1,
  fold_mask: 1,
};
const structs = {
  carp_interface: struct({ ...HEADER, until_ns: 8, leases_ns: 8 * MAX_NODES }),
  carp_packet_counts: struct({
    withheld: 8,
    malformed: 8,
    dropped_by_lease: 8,
    dropped_by_hash: 8,
    accepted: 8,
  }),
  carp_mac_key: struct({ mac: 6, carpdev: 4 }),
  carp_mac_entry: struct({ judged: 4, slot: 4 }),
  carp_address_key: struct({ word: 16, carpdev: 4 }),
  carp_address_entry: struct({ kind: 4, slot: 4 }),
};
const enums = {
  CARP_MODE_NONE: 10,
  CARP_MODE_IP: 11,
  CARP_MODE_IP_UNICAST: 12,
  CARP_MODE_IP_STEALTH: 13,
  CARP_HINT_NONE: 0,
  CARP_HINT_ASK: 65_535,
  CARP_JUDGED_ALL: 20,
  CARP_JUDGED_BY_ADDRESS: 21,
  CARP_ADDRESS_VIRTUAL: 30,
  CARP_ADDRESS_BROADCAST: 31,
};

const aligned = (size: number) => Math.ceil(size / 8) * 8;
/** Some more than a power of two. */
const SLOTS = 4100;
const SLOT_BYTES = aligned(structs.carp_interface.size);
const map = (keySize: number, valueSize: number, maxEntries: number) => ({
  type: 1,
  keySize,
  valueSize,
  maxEntries,
});
const HINT_BYTES = 2 * 0x10000;
const variables = {
  carp_hints: { offset: 64, size: HINT_BYTES },
  carp_interfaces: { offset: 64 + HINT_BYTES, size: SLOT_BYTES * SLOTS },
};
const maps = {
  "carp.bss": map(4, 64 + HINT_BYTES + SLOT_BYTES * SLOTS, 1),
  carp_packets: map(4, structs.carp_packet_counts.size, 64),
  carp_more_packets: map(4, structs.carp_packet_counts.size, 1024),
  carp_macs: map(structs.carp_mac_key.size, structs.carp_mac_entry.size, 512),
  carp_addresses: map(structs.carp_address_key.size, structs.carp_address_entry.size, 512),
  carp_carpdevs: map(4, 4, 64),
};

const LAYOUT: BpfLayout = { structs, enums, variables, maps };
const layout = new DataPathLayout(LAYOUT);

const carp0 = (changes: Partial<DataPathInterface> = {}): DataPathInterface => ({
  name: "carp0",
  carpdev: 0x0102,
  carpdevMac: "02:00:00:00:00:07",
  mac: "00:00:5e:00:01:0a",
  realMac: false,
  leaves: false,
  balancing: "none",
  vhids: [10],
  addresses: [{ family: 4, address: "10.0.0.1", prefixLength: 24, broadcast: "10.0.0.255" }],
  ...changes,
});

const littleEndian = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");

/** A member of a struct, as hexadecimal digits or as a number. */
function member(type: keyof typeof structs, name: string, bytes: Uint8Array): string {
  const place = structs[type].members[name];
  assert.ok(place);
  return hex(bytes.subarray(place.offset, place.offset + place.size));
}
function numberOf(type: keyof typeof structs, name: string, bytes: Uint8Array): number {
  const digits = Buffer.from(member(type, name, bytes), "hex");
  if (digits.length === 1) return digits.readUInt8(0);
  return littleEndian ? digits.readUInt32LE(0) : digits.readUInt32BE(0);
}

const slotOf = (wanted: DataPathInterface, firstCount = 0) => {
  const slot = new Uint8Array(layout.slotBytes);
  slot.set(layout.slotHeader(wanted, firstCount));
  return slot;
};

describe("a slot", () => {
  const inSlot = (name: string, wanted: DataPathInterface) => member("carp_interface", name, slotOf(wanted));

  test("has every member where the layout says, and ends before its leases", () => {
    const header = layout.slotHeader(carp0({ vhids: [10, 11, 12], balancing: "ip-stealth" }), 7);
    assert.equal(header.length, layout.untilOffset);
    const number = (name: string) => numberOf("carp_interface", name, header);
    assert.deepEqual(
      ["nodes", "mode", "carpdev", "first_count", "real_mac"].map(number),
      [3, 13, 0x0102, 7, 0],
    );
    assert.equal(member("carp_interface", "name", header), hex(Buffer.from("carp0".padEnd(16, "\0"))));
    assert.equal(member("carp_interface", "vhids", header), `0a0b0c${"00".repeat(29)}`);
    assert.equal(layout.leaseOffset(2) - layout.leaseOffset(0), 16);
    assert.equal(layout.leaseOffset(0), structs.carp_interface.members.leases_ns?.offset);
  });

  test("lies behind the one before, in whole 64-bit words", () => {
    assert.equal(layout.slots, SLOTS);
    assert.equal(layout.slotBytes % 8, 0);
    assert.equal(layout.slotOffset(3), variables.carp_interfaces.offset + 3 * SLOT_BYTES);
  });

  test("has the given-out MAC, the device's without the multicast bit, and the mode's source", () => {
    const multicast = carp0({ balancing: "ip", mac: "01:00:5e:00:01:0a" });
    const macs = ["given_mac", "device_mac", "source_mac"];
    assert.deepEqual(
      macs.map((name) => inSlot(name, multicast)),
      ["01005e00010a", "00005e00010a", "020000000007"],
    );
    const source = (balancing: DataPathInterface["balancing"]) => inSlot("source_mac", carp0({ balancing }));
    assert.equal(source("none"), "000000000000");
    assert.equal(source("ip-unicast"), "00005e00010a");
    assert.equal(source("ip-stealth"), "020000000007");
  });

  test("has a fold mask where the nodes are a power of two", () => {
    const mask = (nodes: number) => {
      const vhids = Array.from({ length: nodes }, (_, node) => node + 1);
      return numberOf("carp_interface", "fold_mask", slotOf(carp0({ vhids })));
    };
    assert.deepEqual([1, 2, 3, 4, 5, 32].map(mask), [0, 1, MAX_NODES, 3, MAX_NODES, 31]);
  });

  test("is read as it was written", () => {
    const wanted = carp0({ vhids: [10, 20], balancing: "ip", realMac: true });
    assert.deepEqual(layout.readSlot(slotOf(wanted, 9)), {
      name: "carp0",
      vhids: [10, 20],
      carpdev: 0x0102,
      firstCount: 9,
      realMac: true,
      identity: layout.identity(wanted),
    });
  });

  test("without nodes is free; with more than there can be it is invalid", () => {
    assert.equal(layout.readSlot(new Uint8Array(layout.slotBytes)), undefined);
    const slot = slotOf(carp0());
    const at = structs.carp_interface.members.nodes?.offset ?? 0;
    slot.set(layout.number(MAX_NODES + 1), at);
    assert.equal(layout.readSlot(slot), undefined);
  });
});

describe("the identity of an interface, with which its leases stay", () => {
  test("changes with carpdev, MAC, real MAC, balancing and nodes", () => {
    const changes: Partial<DataPathInterface>[] = [
      {},
      { carpdev: 3 },
      { mac: "00:00:5e:00:01:0b" },
      { realMac: true },
      { balancing: "ip" },
      { vhids: [10, 11] },
      { vhids: [11, 10] },
    ];
    const identities = changes.map((each) => layout.identity(carp0(each)));
    assert.equal(new Set(identities).size, changes.length);
  });

  test("does not change with name, addresses or the carpdev's MAC", () => {
    const other = carp0({ name: "carp1", addresses: [], carpdevMac: "02:00:00:00:00:08" });
    assert.equal(layout.identity(other), layout.identity(carp0()));
  });
});

describe("entries that lead to a slot", () => {
  test("by MAC: the given-out one and the device's, for every packet", () => {
    const entries = layout.macEntries(carp0({ balancing: "ip", mac: "01:00:5e:00:01:0a" }), 5);
    assert.deepEqual(
      entries.map(({ key }) => member("carp_mac_key", "mac", key)),
      ["01005e00010a", "00005e00010a"],
    );
    for (const { key, value } of entries) {
      assert.equal(numberOf("carp_mac_key", "carpdev", key), 0x0102);
      assert.equal(numberOf("carp_mac_entry", "judged", value), enums.CARP_JUDGED_ALL);
      assert.equal(layout.slotOf(MACS, value), 5);
    }
    assert.equal(layout.macEntries(carp0(), 5).length, 1);
  });

  test("a real MAC leads to no single slot: its packets are judged by address", () => {
    const [entry, ...more] = layout.macEntries(carp0({ realMac: true }), 5);
    assert.ok(entry);
    assert.deepEqual(more, []);
    assert.equal(numberOf("carp_mac_entry", "judged", entry.value), enums.CARP_JUDGED_BY_ADDRESS);
    assert.equal(layout.slotOf(MACS, entry.value), undefined);
  });

  test("by address: IPv4 as mapped IPv6, with its broadcast address; IPv6 as it is", () => {
    const addresses = [
      ...carp0().addresses,
      { family: 6, address: "2001:db8::1", prefixLength: 64 } as const,
    ];
    const entries = layout.addressEntries(carp0({ addresses }), 5);
    assert.deepEqual(
      entries.map(({ key, value }) => [
        member("carp_address_key", "word", key),
        numberOf("carp_address_entry", "kind", value),
        numberOf("carp_address_entry", "slot", value),
      ]),
      [
        ["00000000000000000000ffff0a000001", enums.CARP_ADDRESS_VIRTUAL, 5],
        ["20010db8000000000000000000000001", enums.CARP_ADDRESS_VIRTUAL, 5],
        ["00000000000000000000ffff0a0000ff", enums.CARP_ADDRESS_BROADCAST, 5],
      ],
    );
  });
});

describe("the bucket of a MAC", () => {
  const bucketOf = (change: Partial<DataPathInterface>) => {
    const [entry] = layout.macEntries(carp0(change), 5);
    return layout.bucketOf(entry?.key ?? assert.fail());
  };
  const ofVhid = (vhid: number) => `00:00:5e:00:01:${vhid.toString(16).padStart(2, "0")}`;

  test("is its last two bytes XOR the carpdev's index with its bytes exchanged", () => {
    assert.equal(bucketOf({}), 0x010a ^ 0x0201);
    assert.equal(bucketOf({ mac: "02:00:00:00:ff:0a", carpdev: 0x10000 }), 0xff0a);
  });

  test("is another for each vhid of a carpdev, and for each carpdev of a vhid", () => {
    const vhids = Array.from({ length: 255 }, (_, n) => n + 1);
    const carpdevs = Array.from({ length: 4096 }, (_, n) => n + 1);
    assert.equal(new Set(vhids.map((vhid) => bucketOf({ mac: ofVhid(vhid) }))).size, 255);
    assert.equal(new Set(carpdevs.map((carpdev) => bucketOf({ carpdev }))).size, 4096);
  });

  test("gives the preferred slot, one of a power of two", () => {
    assert.equal(layout.bestSlot(carp0()), (0x010a ^ 0x0201) & 4095);
    // Sixteen carpdevs with every vhid have a slot each.
    const slots = Array.from({ length: 4096 }, (_, n) =>
      layout.bestSlot(carp0({ carpdev: 7 + (n >> 8), mac: ofVhid(n & 0xff) })),
    );
    assert.equal(new Set(slots).size, 4096);
  });
});

describe("hints", () => {
  test("name the slot that the MACs of a bucket lead to, plus one", () => {
    assert.equal(layout.hint(new Set([5])), 6);
    assert.equal(layout.hint(new Set([SLOTS - 1])), SLOTS);
    assert.equal(layout.hint(new Set()), enums.CARP_HINT_NONE);
  });

  test("send to the hash where two slots share a bucket, and where a MAC is real", () => {
    for (const slots of [
      [5, 6],
      [5, undefined],
    ])
      assert.equal(layout.hint(new Set(slots)), enums.CARP_HINT_ASK);
    assert.equal(layout.hint(new Set([undefined])), enums.CARP_HINT_ASK);
  });

  test("lie one behind the other, with 16 bits each", () => {
    assert.equal(layout.hintOffset(3), variables.carp_hints.offset + 6);
  });
});

describe("packet counts", () => {
  test("are the sums over all processors, whose values are 64-bit aligned", () => {
    const size = aligned(structs.carp_packet_counts.size);
    const names = ["accepted", "dropped_by_hash", "dropped_by_lease", "malformed", "withheld"] as const;
    const all = new Uint8Array(3 * size);
    for (const processor of [0, 1, 2])
      for (const [n, name] of names.entries()) {
        const at = processor * size + (structs.carp_packet_counts.members[name]?.offset ?? 0);
        new DataView(all.buffer).setBigUint64(at, BigInt(10 ** n * (processor + 1)), littleEndian);
      }
    assert.deepEqual(layout.sumCounts(all), {
      accepted: 6,
      dropped_by_hash: 60,
      dropped_by_lease: 600,
      malformed: 6000,
      withheld: 60_000,
    });
    assert.equal(layout.sumCounts(new Uint8Array(0)).accepted, 0);
  });
});

describe("numbers", () => {
  test("are read as they were written, in the machine's byte order", () => {
    for (const value of [0, 1, 0x01020304, 0xffff_ffff])
      assert.equal(layout.readNumber(layout.number(value)), value);
    assert.equal(layout.number(1)[littleEndian ? 0 : 3], 1);
  });
});

describe("a layout of other programs", () => {
  const refused = (change: Partial<BpfLayout>, wrong: string) =>
    assert.throws(() => new DataPathLayout({ ...LAYOUT, ...change }), {
      message: `the programs do not have the expected ${wrong}`,
    });

  test("without a member, or with one of another size, is refused", () => {
    const without = struct({ ...HEADER, leases_ns: 8 * MAX_NODES });
    refused({ structs: { ...structs, carp_interface: without } }, "carp_interface.until_ns");
    const short = struct({ ...HEADER, until_ns: 8, leases_ns: 8 * MAX_NODES - 8 });
    refused({ structs: { ...structs, carp_interface: short } }, "carp_interface.leases_ns");
  });

  test("without a constant is refused", () => {
    const { CARP_MODE_IP: _, ...others } = enums;
    refused({ enums: others }, "CARP_MODE_IP");
  });

  test("with maps of another shape is refused, each named", () => {
    for (const name of Object.keys(maps) as (keyof typeof maps)[]) {
      const wrong = name === "carp.bss" ? { ...maps[name], maxEntries: 2 } : { ...maps[name], valueSize: 3 };
      refused({ maps: { ...maps, [name]: wrong } }, name);
    }
  });

  test("with other variables is refused", () => {
    const { carp_hints, carp_interfaces } = variables;
    refused({ variables: { carp_hints } }, "carp_interfaces");
    refused({ variables: { carp_interfaces, carp_hints: { offset: 0, size: 512 } } }, "carp_hints");
  });

  test("has another version, so that its maps are never taken over", () => {
    const version = (change: Partial<BpfLayout>) => new DataPathLayout({ ...LAYOUT, ...change }).version;
    assert.equal(version({}), layout.version);
    const larger = { ...maps, carp_macs: { ...maps.carp_macs, maxEntries: 1024 } };
    const moved = { ...enums, CARP_MODE_IP: 99 };
    const elsewhere = { ...variables, carp_hints: { ...variables.carp_hints, offset: 0 } };
    const versions = [
      layout.version,
      version({ maps: larger }),
      version({ enums: moved }),
      version({ variables: elsewhere }),
    ];
    assert.equal(new Set(versions).size, 4);
  });
});
