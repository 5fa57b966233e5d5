/** Many devices at once: few datagrams, looks that take turns, and routes told apart by ranges of indexes. Needs root. */

import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";
import type { Device } from "../../../src/core/model.ts";
import { linkChange, linkQuery } from "../../../src/kernel/netlink/messages.ts";
import { nativeNetlink } from "../../../src/kernel/netlink/native-netlink.ts";
import { RtNetlink } from "../../../src/kernel/netlink/rtnetlink.ts";
import { eventually } from "../../hosts/eventually.ts";
import {
  addCarpdev,
  apply,
  clearNetwork,
  enterPrivateNetwork,
  ip,
  ipBatch,
  openLinks,
  Recorder,
  readConf,
  temporaryRunDir,
  writeConf,
} from "./private-network.ts";

enterPrivateNetwork(import.meta.url);

const MANY = 130;

let runDir: ReturnType<typeof temporaryRunDir>;
let events: Recorder;
let links: ReturnType<typeof openLinks>;
/** The types of the messages in each datagram sent. */
let sent: number[][];
/** The types of the messages that the kernel takes long for. */
let apart: number[];

const NEWLINK = 16;
const DELLINK = 17;
const SETLINK = 19;

function messagesIn(datagram: Uint8Array): number[] {
  const bytes = Buffer.from(datagram);
  const types: number[] = [];
  for (let at = 0; at < bytes.length; at += (bytes.readUInt32LE(at) + 3) & ~3)
    types.push(bytes.readUInt16LE(at + 4));
  return types;
}

beforeEach(async () => {
  sent = [];
  class CountingSocket extends nativeNetlink.NetlinkSocket {
    override send(datagram: Uint8Array): void {
      sent.push(messagesIn(datagram));
      super.send(datagram);
    }
    override sendApart(message: Uint8Array): void {
      apart.push(...messagesIn(message));
      super.sendApart(message);
    }
  }
  mock.property(nativeNetlink, "NetlinkSocket", CountingSocket as typeof nativeNetlink.NetlinkSocket);
  runDir = temporaryRunDir();
  events = new Recorder();
  links = openLinks(runDir.path, events);
  addCarpdev();
  await links.start();
  sent = [];
  apart = [];
});

afterEach(() => {
  links.close();
  clearNetwork();
  runDir.remove();
  mock.reset();
});

const hex = (n: number) => n.toString(16).padStart(2, "0");

const carp = (n: number, changes: Partial<Device> = {}): Device => ({
  name: `carp${n}`,
  carpdev: "eth0",
  mac: `00:00:5e:00:01:${hex(n)}`,
  realMac: false,
  mtu: undefined,
  active: false,
  addresses: [{ family: 4, address: `10.0.${n}.1`, prefixLength: 24 }],
  ...changes,
});

const applyAll = (changes: Partial<Device>) =>
  Promise.all(Array.from({ length: MANY }, (_, n) => apply(links, `carp${n}`, carp(n, changes))));

test("what many devices need at once is few datagrams, and what makes a device is not parted", async () => {
  await applyAll({});
  const made = sent.splice(0);
  assert.ok(made.length <= MANY / 2, String(made.map(({ length }) => length)));
  // Created and marked as ours in one datagram: a kill cannot part them.
  const marked = made.flatMap((types) => types.filter((_, at) => types[at - 1] === NEWLINK));
  assert.deepEqual(marked, Array(MANY).fill(SETLINK));
  await applyAll({ active: true });
  assert.ok(sent.length <= MANY / 2, String(sent.map(({ length }) => length)));
  assert.equal(
    ip("-o -4 addr show")
      .split("\n")
      .filter((line) => line.includes("carp")).length,
    MANY,
  );
});

test("what the kernel takes long for is performed on a thread of its own, unless it is not wanted any more", async () => {
  const few = [0, 1, 2, 3, 4, 5, 6, 7];
  const applyFew = (changes: Partial<Device>) =>
    Promise.all(few.map((n) => apply(links, `carp${n}`, carp(n, changes))));
  await applyFew({ active: true });
  await applyFew({});
  assert.deepEqual(apart.splice(0), Array(few.length).fill(SETLINK));
  await applyFew({ active: true });
  await Promise.all([applyFew({}), applyFew({ active: true })]);
  assert.deepEqual(apart, []);
  await Promise.all(few.map((n) => apply(links, `carp${n}`, null)));
  assert.deepEqual(apart, Array(few.length).fill(DELLINK));
  assert.equal(ip("-o link show").includes("carp"), false);
});

test("looks take turns, and find what is changed on any of many devices", async () => {
  await applyAll({ active: true });
  const changed = [0, MANY / 2, MANY - 1];
  for (const n of changed) writeConf(`carp${n}`, "arp_ignore", 0);
  sent = [];
  await eventually(
    async () => changed.map((n) => readConf(`carp${n}`, "arp_ignore")),
    (values) => values.every((value) => value === 1),
  );
  // The others are not asked for once they are known.
  await eventually(
    async () => sent.splice(0).length,
    (asked) => asked === 0,
  );
});

test("routes through devices whose indexes are far apart come back, however many there are", async () => {
  for (let n = 0; n < MANY; n++) {
    await apply(links, `carp${n}`, carp(n, { active: true }));
    ipBatch([`link add other${n} link eth0 type macvlan`]);
  }
  const last = `carp${MANY - 1}`;
  ip(`route add 192.0.2.0/24 via 10.0.${MANY - 1}.254 dev ${last}`);
  // Notifications come in order: when this change is known, so is the route.
  ip("link set eth0 mtu 1400");
  await events.until(() => events.linkNamed("eth0")?.mtu === 1400);
  ip(`addr flush dev ${last}`);
  assert.match(await events.repair(), /route to 192\.0\.2\.0\/24 via 10\.0\.129\.254 was removed/);
});

test("the event loop turns while the kernel performs requests, and a datagram that is not sent is answered", async () => {
  const net = new RtNetlink({ notice: () => {}, overrun: () => {} }, 1 << 20);
  try {
    // The kernel takes long to set links down.
    for (let n = 0; n < 10; n++) await apply(links, `carp${n}`, carp(n, { active: true }));
    let isDone = false;
    const down = net
      .perform(Array.from({ length: 10 }, (_, n) => linkChange(`carp${n}`, { up: false })))
      .finally(() => {
        isDone = true;
      });
    let turns = 0;
    for (; !isDone; turns++) await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(await down, Array(10).fill(undefined));
    assert.ok(turns > 20, `${turns} turns`);
    // Longer than a message may be.
    const tooLong = { ...linkQuery("lo"), body: new Uint8Array(8 << 20) };
    const [first, second] = await net.perform([tooLong, linkQuery("lo")]);
    assert.deepEqual([first, second], ["EMSGSIZE", "EMSGSIZE"]);
    assert.deepEqual(await net.perform([linkQuery("lo")]), [undefined]);
  } finally {
    net.close();
  }
});
