/**
 * Datagrams of rtnetlink: whatever they hold, what is read from them is a link or an address that can be one, an
 * attribute that is not known changes nothing, and what was read, said again, is read the same.
 */

import assert from "node:assert/strict";
import { isIP } from "node:net";
import fc from "fast-check";
import { parseMessages } from "netlink/dist/structs.js";
import { addressKey, LinkCache } from "../../../src/kernel/devices/link-cache.ts";
import { canonical } from "../../../src/kernel/netlink/bytes.ts";
import {
  type KernelAddress,
  type KernelLink,
  type Notice,
  parseNotice,
} from "../../../src/kernel/netlink/messages.ts";
import { parseNeighbour } from "../../../src/kernel/netlink/neighbours.ts";
import { subnetOf } from "../../../src/protocol/subnet.ts";
import type { Target, Trial } from "../target.ts";

/** linux/rtnetlink.h */
const NEWLINK = 16;
const DELLINK = 17;
const NEWADDR = 20;
const DELADDR = 21;
const NEWNEIGH = 28;

function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16LE(value);
  return bytes;
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

/** struct rtattr and its padding. */
function attribute(type: number, data: Uint8Array): Buffer {
  return Buffer.concat([u16(data.length + 4), u16(type), data, Buffer.alloc((4 - (data.length % 4)) % 4)]);
}

const terminated = (text: string) => Buffer.from(`${text}\0`);

/** Numbers from linux/if_link.h. */
function linkBody(link: Omit<KernelLink, "settings">): Buffer {
  const { index, name, type, flags, mac, mtu, parentIndex, masterIndex, kind, bridgeMode, alias, protoDown } =
    link;
  const mode = kind === "macvlan" && bridgeMode ? attribute(2, attribute(1, u32(4))) : Buffer.alloc(0);
  return Buffer.concat([
    Buffer.from([0, 0]),
    u16(type),
    u32(index),
    u32(flags),
    u32(0),
    attribute(3, terminated(name)),
    attribute(4, u32(mtu)),
    ...(mac === "" ? [] : [attribute(1, Buffer.from(mac.replaceAll(":", ""), "hex"))]),
    ...(parentIndex === 0 ? [] : [attribute(5, u32(parentIndex))]),
    ...(masterIndex === 0 ? [] : [attribute(10, u32(masterIndex))]),
    ...(kind === undefined ? [] : [attribute(18, Buffer.concat([attribute(1, terminated(kind)), mode]))]),
    ...(alias === undefined ? [] : [attribute(20, terminated(alias))]),
    attribute(39, Buffer.from([protoDown ? 1 : 0])),
  ]);
}

/** Numbers from linux/if_addr.h. */
function addressBody({ index, family, address, prefixLength, broadcast, flags }: KernelAddress): Buffer {
  return Buffer.concat([
    Buffer.from([family === 4 ? 2 : 10, prefixLength, 0, 0]),
    u32(index),
    attribute(1, bytesOf(address)),
    // IPv6 tells its own address so only where there is another end.
    ...(family === 4 ? [attribute(2, bytesOf(address))] : []),
    attribute(8, u32(flags)),
    ...(broadcast === undefined ? [] : [attribute(4, bytesOf(broadcast))]),
  ]);
}

/** The bytes of a canonical address. */
function bytesOf(address: string): Buffer {
  if (isIP(address) === 4) return Buffer.from(address.split(".").map(Number));
  const [left = "", right] = address.split("::");
  const words = (half: string) => (half === "" ? [] : half.split(":"));
  const [head, tail] = [words(left), words(right ?? "")];
  const zeros = Array<string>(8 - head.length - tail.length).fill("0");
  return Buffer.from([...head, ...zeros, ...tail].map((word) => word.padStart(4, "0")).join(""), "hex");
}

/** The notice after encoding its fields and parsing them again. A link's settings come in a notice of their own. */
function encodedAgain(notice: Notice): Notice | undefined {
  if (notice.kind === "route-gone" || notice.kind === "host-route") return notice;
  if (notice.kind === "address")
    return parseNotice(notice.gone ? DELADDR : NEWADDR, addressBody(notice.address));
  const again = parseNotice(notice.gone ? DELLINK : NEWLINK, linkBody(notice.link));
  const { settings } = notice.link;
  return again?.kind === "link" ? { ...again, link: { ...again.link, settings } } : undefined;
}

function checkNotice(notice: Notice): void {
  if (notice.kind === "link") {
    const { name, mac, index } = notice.link;
    assert.ok(!name.includes("\0") && Number.isInteger(index));
    assert.match(mac, /^([0-9a-f]{2}(:[0-9a-f]{2})*)?$/);
  } else if (notice.kind === "address") {
    const { family, address } = notice.address;
    assert.equal(isIP(address), family);
    assert.equal(canonical(address), address);
    subnetOf(notice.address);
  }
}

function checkNeighbour(body: Buffer): void {
  const { mac } = parseNeighbour(body) ?? {};
  assert.ok(mac === undefined || (mac.length === 6 && ((mac[0] ?? 1) & 1) === 0));
}

function hear(cache: LinkCache, type: number, body: Buffer): void {
  const notice = parseNotice(type, body);
  if (notice === undefined) return;
  checkNotice(notice);
  assert.deepEqual(encodedAgain(notice), notice);
  if (body.length % 4 === 0) {
    const unknown = attribute(0x3ff, Buffer.from("of a newer kernel"));
    assert.deepEqual(parseNotice(type, Buffer.concat([body, unknown])), notice);
  }
  cache.take(notice);
  // Two links of one name: the kernel never says so.
  if (notice.kind === "link" && !notice.gone) assert.deepEqual(cache.byName(notice.link.name), notice.link);
  if (notice.kind !== "address") return;
  const keys = cache.addresses(notice.address.index).map(addressKey);
  assert.equal(new Set(keys).size, keys.length);
  assert.equal(keys.includes(addressKey(notice.address)), !notice.gone);
}

/** Numbers from linux/neighbour.h. */
function neighbourBody(state: number): Buffer {
  const header = Buffer.concat([Buffer.from([2, 0, 0, 0]), u32(2), u16(state), Buffer.from([0, 1])]);
  const mac = Buffer.from("020000000001", "hex");
  return Buffer.concat([header, attribute(1, Buffer.from([10, 0, 0, 9])), attribute(2, mac)]);
}

/** struct nlmsghdr before it. */
function message(type: number, body: Uint8Array): Buffer {
  return Buffer.concat([u32(body.length + 16), u16(type), u16(0), u32(1), u32(1), body]);
}

const index = fc.constantFrom(1, 2, 3, 0xffff_ffff);
const link = fc.record({
  index,
  name: fc.constantFrom("eth0", "eth1", "carp0", "ä"),
  type: fc.constantFrom(1, 772),
  flags: fc.constantFrom(0, 0x1, 0x10043),
  mac: fc.constantFrom("", "02:00:00:00:00:01", "00:00:5e:00:01:01"),
  mtu: fc.constantFrom(68, 1500, 65_536),
  parentIndex: fc.constantFrom(0, 2),
  masterIndex: fc.constantFrom(0, 3),
  kind: fc.constantFrom(undefined, "macvlan", "veth"),
  bridgeMode: fc.boolean(),
  alias: fc.constantFrom(undefined, "", "carpctl /run/carp"),
  protoDown: fc.boolean(),
});
const address = fc
  .record({
    index,
    address: fc.constantFrom("10.0.0.1", "10.0.0.2", "2001:db8::1", "fe80::1", "::"),
    prefixLength: fc.constantFrom(0, 24, 32, 64, 128, 255),
    broadcast: fc.constantFrom(undefined, "10.0.0.255"),
    flags: fc.constantFrom(0, 0x40, 0x280),
  })
  .map((each): KernelAddress => ({ ...each, family: each.address.includes(":") ? 6 : 4 }));
const one = fc.oneof(
  fc.tuple(fc.constantFrom(NEWLINK, DELLINK), link).map(([type, each]) => message(type, linkBody(each))),
  fc
    .tuple(fc.constantFrom(NEWADDR, DELADDR), address)
    .map(([type, each]) => message(type, addressBody(each))),
  fc.constantFrom(0, 2, 4, 0x20).map((state) => message(NEWNEIGH, neighbourBody(state))),
);

export const rtnetlink: Target = {
  name: "rtnetlink",
  sensible: fc.array(one, { minLength: 1, maxLength: 5 }).map((all) => Buffer.concat(all)),
  tokens: [
    ...[3, 4, 1, 18, 20].map((type) => attribute(type, Buffer.from("x\0"))),
    ...[0, 1, 3, 4, 15, 16, 0xffff, 0xffff_ffff].map(u32),
    message(3, Buffer.alloc(4)),
    message(2, u32(0xffff_fffe)),
  ],
  tries: 1000,
  open(): Trial {
    return {
      feed(input) {
        const cache = new LinkCache();
        let messages: ReturnType<typeof parseMessages>;
        try {
          messages = parseMessages(Buffer.from(input));
        } catch {
          return;
        }
        for (const { type, data } of messages) {
          hear(cache, type, data);
          checkNeighbour(data);
        }
      },
    };
  },
};
