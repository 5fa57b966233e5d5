/** Packet and raw sockets on veth pairs: frames, multicast groups, unicast, strays and the rate limit. Needs root. */

import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { after, afterEach, before, beforeEach, describe, it, test } from "node:test";
import { setImmediate as nextTurn, setTimeout as sleep } from "node:timers/promises";
import { createClock } from "../../../src/kernel/process/clock.ts";
import { encodeAdvertisement } from "../../../src/protocol/advertisement.ts";
import { Authentication } from "../../../src/protocol/authentication.ts";
import { advertisementFrame, type Listener, listen, numberOf } from "./listener.ts";
import { cable, type End, end, enterNamespace, ip } from "./namespace.ts";

enterNamespace(import.meta.url);

let left: End;
let right: End;
let near: Listener;
let far: Listener;

/** The kernel begins to stamp frames some time after the first request, and goes on while any socket asks for it. */
const stamped = listen();
before(() => stamped.wire.open("lo", 1));
after(() => stamped.wire.shutdown());

beforeEach(() => {
  [left, right] = cable("left", "right");
  near = listen();
  far = listen();
  near.wire.open("left", left.index);
  far.wire.open("right", right.index);
});

afterEach(() => {
  near.wire.shutdown();
  far.wire.shutdown();
  for (const { ifname } of JSON.parse(ip("-j link show"))) {
    if (ifname === "left") ip("link delete left");
  }
});

function send(number: number): string | undefined {
  return near.wire.send("left", { family: 4, frame: advertisementFrame(left.mac, number) });
}

function unicast(family: 4 | 6, source: string, destination: string, payload = Buffer.alloc(36, 7)) {
  return near.wire.send("left", { family, source, destination, trafficClass: 0x10, payload });
}

/** Ticks of processor time the reading threads of this process have used. */
function readingTicks(): number {
  let ticks = 0;
  for (const task of readdirSync("/proc/self/task")) {
    const stat = readFileSync(`/proc/self/task/${task}/stat`, "utf8");
    if (!stat.includes("(carp-reader)")) continue;
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    ticks += Number(fields[11]) + Number(fields[12]);
  }
  return ticks;
}

test("a multicast advertisement is received whole, once, with the time it arrived", async () => {
  const clock = createClock();
  const beforeUs = clock.now().us;
  assert.equal(send(1), undefined);
  await far.until("the frame", () => far.frames.length > 0);
  const [frame] = far.frames;
  assert.equal(frame?.carpdev, "right");
  assert.deepEqual(Buffer.from(frame?.bytes ?? []), advertisementFrame(left.mac, 1));
  assert.ok(frame && frame.receivedUs >= beforeUs && frame.receivedUs <= clock.now().us);
  far.wire.drain();
  assert.equal(far.frames.length, 1);
});

/** More frames than the reading thread queues: the rest waits in the socket until JavaScript takes some. */
const MORE_THAN_THE_QUEUE = 5000;

test("the receive time is that of arrival, not that of reading", () => {
  const clock = createClock();
  for (let number = 0; number < MORE_THAN_THE_QUEUE; number++) send(number);
  const lateUs = clock.now().us + 200_000;
  while (clock.now().us < lateUs);
  far.wire.drain();
  assert.ok(far.frames.length > 0);
  for (const { receivedUs } of far.frames) assert.ok(receivedUs < lateUs);
});

test("what this host sends itself is not received", async () => {
  send(1);
  assert.equal(far.wire.send("right", { family: 4, frame: advertisementFrame(right.mac, 2) }), undefined);
  await near.until("the other's frame", () => near.frames.length > 0);
  await far.until("the other's frame", () => far.frames.length > 0);
  near.wire.drain();
  far.wire.drain();
  assert.deepEqual(near.frames.map(numberOf), [2]);
  assert.deepEqual(far.frames.map(numberOf), [1]);
});

/** A frame over IPv6 for an advertisement of 36 bytes. */
function frame6(): Buffer {
  const frame = Buffer.alloc(14 + 40 + 36);
  Buffer.from("333300000012", "hex").copy(frame, 0);
  left.mac.copy(frame, 6);
  frame.writeUInt16BE(0x86dd, 12);
  frame[14] = 0x60;
  frame[20] = 112;
  return frame;
}

test("an IPv6 advertisement is received", async () => {
  const frame = frame6();
  near.wire.send("left", { family: 6, frame });
  await far.until("the frame", () => far.frames.length > 0);
  assert.deepEqual(Buffer.from(far.frames[0]?.bytes ?? []), frame);
});

test("other protocols, other VLANs and frames for other hosts are not received", async () => {
  const plain = advertisementFrame(left.mac, 1);
  const otherProtocol = Buffer.from(plain);
  otherProtocol[23] = 17;
  const tagged = Buffer.concat([plain.subarray(0, 12), Buffer.from([0x81, 0, 0, 5]), plain.subarray(12)]);
  const otherHost = Buffer.from(plain);
  Buffer.from("020000009999", "hex").copy(otherHost, 0);
  for (const frame of [otherProtocol, tagged, otherHost]) near.wire.send("left", { family: 4, frame });
  send(2);
  await far.until("the last frame", () => far.frames.length > 0);
  assert.deepEqual(far.frames.map(numberOf), [2]);
});

test("a frame with a priority tag, which names no VLAN, is received", async () => {
  const plain = advertisementFrame(left.mac, 1);
  const tagged = Buffer.concat([plain.subarray(0, 12), Buffer.from([0x81, 0, 0xe0, 0]), plain.subarray(12)]);
  near.wire.send("left", { family: 4, frame: tagged });
  await far.until("the frame", () => far.frames.length > 0);
  assert.deepEqual(far.frames.map(numberOf), [1]);
});

test("drain delivers, in order, what arrived while JavaScript was busy", () => {
  const numbers = Array.from({ length: 200 }, (_, number) => number);
  for (const number of numbers) send(number);
  // The kernel may still be carrying the last ones; JavaScript never gets to its event loop meanwhile.
  for (let attempt = 0; attempt < 100_000 && far.frames.length < numbers.length; attempt++) far.wire.drain();
  assert.deepEqual(far.frames.map(numberOf), numbers);
});

test("frames of several carpdevs are drained in the order of their arrival", () => {
  const [thatEnd, other] = cable("left2", "right2");
  far.wire.open("right2", other.index);
  near.wire.open("left2", thatEnd.index);
  const numbers = Array.from({ length: 50 }, (_, number) => number);
  for (const number of numbers) {
    const carpdev = number % 2 === 0 ? "left" : "left2";
    near.wire.send(carpdev, { family: 4, frame: advertisementFrame(left.mac, number) });
  }
  const times = () => far.frames.map(({ receivedUs }) => receivedUs);
  for (let attempt = 0; attempt < 100_000 && far.frames.length < numbers.length; attempt++) far.wire.drain();
  assert.deepEqual(
    far.frames.map(numberOf).sort((a, b) => a - b),
    numbers,
  );
  assert.deepEqual(
    times(),
    times().sort((a, b) => a - b),
  );
  ip("link delete left2");
});

test("a burst of 20,000 frames is bounded by the queue, and afterwards frames are received as before", async () => {
  for (let number = 0; number < 20_000; number++) send(number);
  // The socket's own buffer and the queue have room for less than half of it.
  await far.until("what was kept", () => far.frames.length > 0);
  far.wire.drain();
  assert.ok(far.frames.length < 10_000, `${far.frames.length} frames were kept`);
  const received = far.frames.map(numberOf);
  assert.deepEqual(
    received,
    received.toSorted((a, b) => a - b),
  );
  far.frames.length = 0;
  send(42);
  await far.until("the next frame", () => far.frames.some((frame) => numberOf(frame) === 42));
});

/** An advertisement of this pass in an IPv4 frame, unless `frame` says otherwise. */
function signed(pass: string, counter: bigint, frame = advertisementFrame(left.mac, 0)): Buffer {
  const authentication = new Authentication({ pass, vhid: 1, addresses: ["10.0.0.1", "fe80::1"] });
  const fields = { vhid: 1, advskew: 0, advbase: 1, demote: 0, counter };
  frame.set(encodeAdvertisement(fields, authentication), frame.length - 36);
  return frame;
}

/** For each interface another pass first, which the next one replaces. */
function expectAll(): void {
  for (const pass of ["former", "sesame"])
    for (const vhid of [1, 2]) {
      const { forms } = new Authentication({ pass, vhid, addresses: ["10.0.0.1", "fe80::1"] });
      far.wire.expectDigests(`carp${vhid}`, forms);
    }
}

/** More than are let through at once. JavaScript reads in between, so that the socket loses none of them. */
function flood(count: number): void {
  const forged = signed("wrong", 1n);
  for (let number = 0; number < count; number += 1) {
    near.wire.send("left", { family: 4, frame: forged });
    if (number % 200 === 0) far.wire.drain();
  }
}

test("among any number of forgeries, which are counted, advertisements that are signed are all delivered", async () => {
  expectAll();
  const counters = Array.from({ length: 40 }, (_, number) => BigInt(number + 1));
  for (const counter of counters) {
    flood(500);
    near.wire.send("left", { family: 4, frame: signed("sesame", counter) });
  }
  const heard = () => far.frames.map(({ bytes }) => Buffer.from(bytes).readBigUInt64BE(14 + 20 + 8));
  const rateLimited = () => far.rateLimited.get("right 4") ?? 0;
  await far.until("everything", () => far.frames.length + rateLimited() >= 40 * 501);
  assert.equal(far.frames.length + rateLimited(), 40 * 501);
  assert.ok(rateLimited() > 0);
  const forgeries = heard().filter((counter) => counter === 1n).length - 1;
  assert.equal(far.frames.length, forgeries + counters.length);
  assert.deepEqual([...new Set(heard())], counters);
});

test("an expected digest passes the rate limit in every packet that can carry it, and nothing else does", async () => {
  expectAll();
  const withOptions = Buffer.concat([advertisementFrame(left.mac, 0, 20), Buffer.alloc(4 + 36)]);
  withOptions[14] = 0x46;
  const overIpv6 = Buffer.alloc(14 + 40 + 36);
  advertisementFrame(left.mac, 0).copy(overIpv6, 0, 0, 14);
  overIpv6.writeUInt16BE(0x86dd, 12);
  overIpv6[20] = 112;
  const changed = (offset: number) => {
    const frame = signed("sesame", 9n);
    frame[14 + 20 + offset] = (frame[14 + 20 + offset] ?? 0) ^ 1;
    return frame;
  };
  const expected = [signed("sesame", 2n), signed("sesame", 3n, withOptions), signed("sesame", 4n, overIpv6)];
  // advskew is not part of the digest.
  expected.push(changed(2));
  const others = [1, 8, 15, 16, 35].map(changed);
  others.push(signed("former", 5n), signed("sesam", 2n), signed("sesame", 2n).subarray(0, 14 + 20 + 35));
  for (let times = 0; far.rateLimited.size === 0; times += 1) {
    assert.ok(times < 100, "the rate limit dropped nothing");
    flood(2000);
    await nextTurn();
  }
  far.frames.length = 0;
  for (let again = 0; again < 20; again += 1) {
    flood(2000);
    for (const frame of [...expected, ...others]) near.wire.send("left", { family: 4, frame });
    far.wire.drain();
  }
  const times = (wanted: Buffer) => far.frames.filter(({ bytes }) => wanted.equals(bytes)).length;
  assert.deepEqual(expected.map(times), [20, 20, 20, 20]);
  // A few of the others have their turn among the forgeries.
  for (const frame of others) assert.ok(times(frame) < 20, frame.toString("hex"));
});

test("a recording that is repeated without end is limited like forgeries, and crowds no advertisement out", async () => {
  expectAll();
  const recorded = signed("sesame", 1n);
  const counters = Array.from({ length: 40 }, (_, number) => BigInt(number + 2));
  for (const counter of counters) {
    for (let number = 0; number < 500; number += 1) {
      near.wire.send("left", { family: 4, frame: recorded });
      if (number % 200 === 0) far.wire.drain();
    }
    near.wire.send("left", { family: 4, frame: signed("sesame", counter) });
  }
  const rateLimited = () => far.rateLimited.get("right 4") ?? 0;
  await far.until("everything", () => far.frames.length + rateLimited() >= 40 * 501);
  assert.ok(rateLimited() > 0);
  const heard = far.frames.map(({ bytes }) => Buffer.from(bytes).readBigUInt64BE(14 + 20 + 8));
  assert.deepEqual(
    heard.filter((counter) => counter !== 1n),
    counters,
  );
});

test("with no pass to know, there is nothing to prefer, and no frame is left out", () => {
  expectAll();
  for (const name of ["carp1", "carp2"]) far.wire.expectDigests(name, []);
  flood(8000);
  for (let attempt = 0; attempt < 100_000 && far.frames.length < 8000; attempt++) far.wire.drain();
  assert.deepEqual([far.frames.length, far.rateLimited.size], [8000, 0]);
});

test("the rate limit holds for strays too, and the dropped ones are counted", async () => {
  const dropped = () => near.rateLimited.get("lo 4") ?? 0;
  let count = 0;
  // Until more have come in a second than the limit lets through, however slow this machine is.
  for (; dropped() === 0; count += 50) {
    assert.ok(count < 200_000, "the rate limit dropped nothing");
    for (let number = 0; number < 50; number += 1) unicast(4, "127.0.0.1", "127.0.0.1");
    near.wire.drain();
    await nextTurn();
  }
  await near.until("all of them", () => near.strays.length + dropped() >= count);
  assert.equal(near.strays.length + dropped(), count);
});

test("frames of any length are delivered as they are or dropped", async () => {
  const lengths = Array.from({ length: 1500 }, (_, length) => length + 1);
  for (const length of lengths) {
    near.wire.send("left", { family: 4, frame: advertisementFrame(left.mac, length, length) });
    near.wire.drain();
    far.wire.drain();
  }
  send(0);
  await far.until("the last frame", () => far.frames.some((frame) => frame.bytes.length === 70));
  for (const { bytes } of far.frames) assert.ok(bytes.length > 14 && bytes.length <= 1514);
  assert.ok(far.frames.some(({ bytes }) => bytes.length === 1514));
});

test("a frame longer than the medium takes is a send error", () => {
  const frame = advertisementFrame(left.mac, 1, 4000);
  assert.equal(near.wire.send("left", { family: 4, frame }), "EMSGSIZE");
});

test("sending on a link that is down is ENETDOWN, and works again when it is up", async () => {
  ip("link set left down");
  assert.equal(send(1), "ENETDOWN");
  assert.equal(send(2), "ENETDOWN");
  ip("link set left up");
  ip("link set right up");
  assert.equal(send(3), undefined);
  await far.until("the frame", () => far.frames.length > 0);
  assert.deepEqual(far.frames.map(numberOf), [3]);
});

test("a device that goes down costs nothing, and is heard again when it is up", async () => {
  ip("link set right down");
  const before = readingTicks();
  await sleep(300);
  assert.ok(readingTicks() - before <= 3, "the reading thread is busy");
  ip("link set right up");
  // The carrier is back at the other end when the kernel gets round to it.
  const sending = setInterval(() => send(1), 50);
  await far.until("the frame", () => far.frames.length > 0).finally(() => clearInterval(sending));
});

test("a device that went down and up often, without a frame in between, is heard", async () => {
  for (let times = 0; times < 20; times++) {
    ip("link set right down");
    ip("link set right up");
  }
  const sending = setInterval(() => send(1), 50);
  await far.until("the frame", () => far.frames.length > 0).finally(() => clearInterval(sending));
});

test("a link that was down for a moment is no send error when it is up again", () => {
  // The reading thread, its queue full, does not get to see that the link was down.
  for (let number = 0; number < MORE_THAN_THE_QUEUE; number++) {
    far.wire.send("right", { family: 4, frame: advertisementFrame(right.mac, number) });
  }
  ip("link set left down");
  ip("link set left up");
  assert.equal(send(1), undefined);
});

test("sending on a carpdev that is not open is ENODEV", () => {
  near.wire.close("left");
  assert.equal(send(1), "ENODEV");
  near.wire.close("left");
});

test("opening a device that does not exist tells why", () => {
  assert.equal(near.wire.open("nowhere", 4711), "bind: ENODEV");
  assert.equal(near.wire.send("nowhere", { family: 4, frame: advertisementFrame(left.mac, 1) }), "ENODEV");
});

test("a device that is deleted costs nothing, and is heard again when it is back and opened", async () => {
  ip("link delete left");
  near.wire.drain();
  far.wire.drain();
  assert.ok(["ENXIO", "ENODEV"].includes(String(send(1))));
  // That nothing happens can only be seen over a time.
  const before = readingTicks();
  await sleep(300);
  assert.ok(readingTicks() - before <= 3, "the reading thread is busy");

  [left, right] = cable("left", "right");
  near.wire.open("left", left.index);
  far.wire.open("right", right.index);
  assert.equal(send(2), undefined);
  await far.until("the frame", () => far.frames.length > 0);
  assert.deepEqual(far.frames.map(numberOf), [2]);
});

test("frames that were queued for a carpdev that is closed are not delivered", () => {
  for (let number = 0; number < 100; number++) send(number);
  far.wire.close("right");
  far.wire.drain();
  assert.equal(far.frames.length, 0);
});

test("a unicast IPv4 advertisement leaves with TTL 255, DF, and the given source and TOS", async () => {
  ip("address add 192.0.2.1/24 dev left");
  ip("address add 192.0.2.9/24 dev left");
  const mac = end("right").mac.toString("hex").match(/../g)?.join(":");
  ip(`neighbour add 192.0.2.2 lladdr ${mac} dev left`);
  assert.equal(unicast(4, "192.0.2.9", "192.0.2.2"), undefined);
  await far.until("the frame", () => far.frames.length > 0);
  const packet = Buffer.from(far.frames[0]?.bytes ?? []).subarray(14);
  assert.equal(packet[1], 0x10);
  assert.equal(packet.readUInt16BE(6), 0x4000);
  assert.equal(packet[8], 255);
  assert.equal(packet[9], 112);
  assert.deepEqual([...packet.subarray(12, 20)], [192, 0, 2, 9, 192, 0, 2, 2]);
  assert.deepEqual(packet.subarray(20, 56), Buffer.alloc(36, 7));
});

test("a unicast advertisement on the link is a frame to the peer's MAC as soon as that is known", async () => {
  ip("address add 192.0.2.1/24 dev left");
  const peer = end("right").mac;
  ip(`neighbour add 192.0.2.2 lladdr ${peer.toString("hex").match(/../g)?.join(":")} dev left`);
  const onLink = Buffer.from(advertisementFrame(Buffer.from("00005e000107", "hex"), 7)).fill(0, 0, 6);
  const packet = { family: 4 as const, source: "192.0.2.1", destination: "192.0.2.2", trafficClass: 0 };
  const sentFrom = async () => {
    const from = far.frames.length;
    near.wire.send("left", { ...packet, payload: Buffer.alloc(36, 7), onLink });
    await far.until("the frame", () => far.frames.length > from);
    const bytes = Buffer.from(far.frames[from]?.bytes ?? []);
    assert.deepEqual(bytes.subarray(0, 6), peer);
    return bytes.subarray(6, 12).toString("hex");
  };
  const neighbour = { index: left.index, address: "192.0.2.2" };
  assert.deepEqual(near.wire.neighbours(), []);
  assert.equal(await sentFrom(), left.mac.toString("hex"));
  assert.deepEqual(near.wire.neighbours(), [{ ...neighbour, isInUse: true }]);
  near.wire.resolved(neighbour, peer);
  assert.equal(await sentFrom(), "00005e000107");
  assert.deepEqual(onLink.subarray(0, 6), Buffer.alloc(6), "the frame that was handed over is left alone");
  near.wire.resolved(neighbour, undefined);
  assert.equal(await sentFrom(), left.mac.toString("hex"));
  near.wire.resolved(neighbour, peer);
  near.wire.open("left", left.index);
  assert.equal(await sentFrom(), left.mac.toString("hex"), "a socket that is opened again begins anew");
});

test("a unicast IPv6 advertisement leaves with hop limit 255, its own checksum, source and traffic class", async () => {
  ip("address add 2001:db8::1/64 dev left nodad");
  ip("address add 2001:db8::9/64 dev left nodad");
  const mac = end("right").mac.toString("hex").match(/../g)?.join(":");
  ip(`neighbour add 2001:db8::2 lladdr ${mac} dev left`);
  assert.equal(unicast(6, "2001:db8::9", "2001:db8::2"), undefined);
  await far.until("the frame", () => far.frames.length > 0);
  const packet = Buffer.from(far.frames[0]?.bytes ?? []).subarray(14);
  assert.equal((packet.readUInt16BE(0) >> 4) & 0xff, 0x10);
  assert.equal(packet[6], 112);
  assert.equal(packet[7], 255);
  assert.equal(packet.toString("hex", 8, 40), `20010db8${"0".repeat(23)}920010db8${"0".repeat(23)}2`);
  assert.deepEqual(packet.subarray(40, 76), Buffer.alloc(36, 7));
});

test("a unicast advertisement to a link-local peer leaves through its carpdev", async () => {
  ip("address add fe80::1/64 dev left nodad");
  const mac = end("right").mac.toString("hex").match(/../g)?.join(":");
  ip(`neighbour add fe80::2 lladdr ${mac} dev left`);
  assert.equal(unicast(6, "fe80::1", "fe80::2%left"), undefined);
  await far.until("the frame", () => far.frames.length > 0);
});

test("a source address that is not on a device yet can be sent from", async () => {
  ip("address add 192.0.2.1/24 dev left");
  const mac = end("right").mac.toString("hex").match(/../g)?.join(":");
  ip(`neighbour add 192.0.2.2 lladdr ${mac} dev left`);
  assert.equal(unicast(4, "192.0.2.77", "192.0.2.2"), undefined);
  await far.until("the frame", () => far.frames.length > 0);
  assert.deepEqual([...(far.frames[0]?.bytes.subarray(26, 30) ?? [])], [192, 0, 2, 77]);
});

test("a unicast peer that is down, or to which there is no route, is no send error", async () => {
  ip("address add 192.0.2.1/24 dev left");
  assert.equal(unicast(4, "192.0.2.1", "192.0.2.200"), undefined);
  ip("route add unreachable 198.51.100.0/24");
  assert.equal(unicast(4, "192.0.2.1", "198.51.100.1"), undefined);
  assert.equal(unicast(4, "192.0.2.1", "203.0.113.1"), undefined);
  ip("route delete unreachable 198.51.100.0/24");
});

test("an address that is none is a send error", () => {
  assert.equal(unicast(4, "192.0.2.1", "not an address"), "EINVAL");
});

test("CARP that reaches this host elsewhere is reported as stray, with its device and family", async () => {
  unicast(4, "127.0.0.1", "127.0.0.1");
  unicast(6, "::1", "::1");
  await near.until("both strays", () => near.strays.length >= 2);
  assert.deepEqual(near.strays.sort(), ["lo 4", "lo 6"]);
});

test("strays are drained too, and what a packet socket hears is none", () => {
  ip("address add 192.0.2.2/24 dev right");
  const frame = advertisementFrame(left.mac, 1);
  right.mac.copy(frame, 0);
  Buffer.from([192, 0, 2, 7, 192, 0, 2, 2]).copy(frame, 26);
  near.wire.send("left", { family: 4, frame });
  unicast(4, "127.0.0.1", "127.0.0.1");
  for (let attempt = 0; attempt < 100_000 && far.strays.length < 1; attempt++) far.wire.drain();
  assert.deepEqual(far.strays, ["lo 4"]);
  assert.equal(far.frames.length, 1);
});

test("CARP is not answered with ICMP protocol unreachable while a carpdev is open", () => {
  const refusals = () => {
    const [names = "", values = ""] = readFileSync("/proc/self/net/snmp", "utf8")
      .split("\n")
      .filter((line) => line.startsWith("Icmp:"));
    return Number(values.split(" ")[names.split(" ").indexOf("OutDestUnreachs")]);
  };
  const before = refusals();
  unicast(4, "127.0.0.1", "127.0.0.1");
  for (let attempt = 0; attempt < 100_000 && near.strays.length < 1; attempt++) near.wire.drain();
  assert.equal(near.strays.length, 1);
  assert.equal(refusals(), before);
});

test("carp's groups are joined at the link and at both IP layers, and left with the socket", () => {
  const groups = () => ip("maddress show dev left");
  for (const group of ["01:00:5e:00:00:12", "33:33:00:00:00:12", "224.0.0.18", "ff02::12"]) {
    assert.ok(groups().includes(`${group}`), `${group} is not joined:\n${groups()}`);
  }
  near.wire.close("left");
  for (const group of ["01:00:5e:00:00:12", "33:33:00:00:00:12", "224.0.0.18", "ff02::12"]) {
    assert.ok(!groups().includes(`${group}`), `${group} is still joined:\n${groups()}`);
  }
});

/** Sends this advertisement and waits until it is delivered; those that repeat it may wait from then on. */
async function sendAndFold(frame: Buffer): Promise<void> {
  near.wire.send("left", { family: 4, frame });
  await far.until("the first one", () => far.frames.some(({ bytes }) => frame.equals(bytes)));
  far.frames.length = 0;
}

/** The counters that were delivered: of frames, and of those that were folded. */
const delivered = () => far.frames.map(({ bytes }) => Buffer.from(bytes).readBigUInt64BE(14 + 20 + 8));
const folded = () => far.repeated.flatMap(({ copies }) => copies.map(({ counter }) => counter));

describe("advertisements that repeat one that may be folded", () => {
  beforeEach(() => {
    expectAll();
    far.fold = true;
  });

  it("wait until the wire is drained, and come together with their times", async () => {
    await sendAndFold(signed("sesame", 1n));
    const clock = createClock();
    const beforeUs = clock.now().us;
    for (const counter of [2n, 3n, 5n])
      near.wire.send("left", { family: 4, frame: signed("sesame", counter) });
    near.wire.send("left", { family: 4, frame: signed("wrong", 6n) });
    await far.until("the forgery", () => far.frames.length > 0);
    assert.deepEqual([delivered(), folded()], [[6n], []]);
    const latestUs = far.wire.latest("right", 1);
    far.wire.drain();
    assert.deepEqual([delivered(), folded()], [[6n], [2n, 3n, 5n]]);
    const [{ carpdev, vhid, family, copies = [] } = {}] = far.repeated;
    assert.deepEqual({ carpdev, vhid, family }, { carpdev: "right", vhid: 1, family: 4 });
    const times = copies.map(({ receivedUs }) => receivedUs);
    assert.deepEqual(
      times,
      times.toSorted((a, b) => a - b),
    );
    for (const us of times) assert.ok(us >= beforeUs && us <= clock.now().us);
    assert.equal(latestUs, times.at(-1));
    for (const [on, of] of [
      ["right", 1],
      ["right", 2],
      ["left", 1],
    ] as const)
      assert.equal(far.wire.latest(on, of), undefined);
    far.wire.drain();
    assert.equal(folded().length, 3);
  });

  it("come before the next one that says anything else, or whose counter is not greater, which is delivered at once", async () => {
    const put = (at: number, byte: number) => (frame: Buffer) => void frame.writeUInt8(byte, at);
    const spoil = (at: number) => (frame: Buffer) => void frame.writeUInt8(frame.readUInt8(at) ^ 1, at);
    const [ip4, carp] = [14, 14 + 20];
    const others = [
      ...[put(6, 2), put(ip4 + 1, 0x20), put(ip4 + 8, 254), put(ip4 + 15, 9)],
      ...[put(carp + 2, 1), put(carp + 4, 1), put(carp + 5, 2)],
      // The checksums.
      ...[spoil(ip4 + 10), spoil(carp + 6)],
      (frame: Buffer) => void signed("sesame", 12n).copy(frame),
    ];
    for (const [number, change] of others.entries()) {
      const first = 10n + 100n * BigInt(number);
      await sendAndFold(signed("sesame", first));
      far.repeated.length = 0;
      far.fold = false;
      for (const counter of [first + 1n, first + 2n])
        near.wire.send("left", { family: 4, frame: signed("sesame", counter) });
      const other = signed("sesame", first + 3n);
      change(other);
      near.wire.send("left", { family: 4, frame: other });
      await far.until("the other one", () => far.frames.some(({ bytes }) => other.equals(bytes)));
      assert.deepEqual(far.heard.slice(-2), ["repeated", "frame"], `change ${number}`);
      assert.deepEqual(folded(), [first + 1n, first + 2n]);
      // From then on each is delivered.
      near.wire.send("left", { family: 4, frame: signed("sesame", first + 4n) });
      await far.until("the next one", () => far.frames.length > 1);
      far.fold = true;
    }
  });

  it("are told for each of many virtual hosts, in the order of their latest", async () => {
    const vhids = Array.from({ length: 40 }, (_, n) => n + 1);
    const by = vhids.map((vhid) => new Authentication({ pass: "sesame", vhid, addresses: ["10.0.0.1"] }));
    far.wire.expectDigests(
      "carp1",
      by.flatMap(({ forms }) => forms),
    );
    const send = (vhid: number, counter: bigint) => {
      const frame = advertisementFrame(left.mac, 0);
      const fields = { vhid, advskew: 0, advbase: 1, demote: 0, counter };
      frame.set(encodeAdvertisement(fields, by[vhid - 1] as Authentication), frame.length - 36);
      near.wire.send("left", { family: 4, frame });
    };
    for (const vhid of vhids) send(vhid, 1n);
    await far.until("the first ones", () => far.frames.length === vhids.length);
    far.frames.length = 0;
    for (const vhid of vhids) send(vhid, 2n);
    for (const vhid of vhids.toReversed()) send(vhid, 3n);
    far.wire.drain();
    assert.deepEqual(
      far.repeated.map(({ vhid, copies }) => [vhid, ...copies.map(({ counter }) => counter)]),
      vhids.toReversed().map((vhid) => [vhid, 2n, 3n]),
    );
    assert.deepEqual(delivered(), []);
  });

  it("have counters that are no less than those heard over the other family", async () => {
    const over6 = (counter: bigint) => signed("sesame", counter, frame6());
    const send6 = (counter: bigint) => near.wire.send("left", { family: 6, frame: over6(counter) });
    await sendAndFold(signed("sesame", 10n));
    await sendAndFold(over6(10n));
    // The same advertisement over both, and one over IPv4 that is far ahead.
    for (const counter of [11n, 90n]) {
      near.wire.send("left", { family: 4, frame: signed("sesame", counter) });
      if (counter === 11n) send6(counter);
    }
    send6(12n);
    await far.until("the one that is behind", () => far.frames.length > 0);
    assert.deepEqual(
      far.repeated.map(({ family, copies }) => [family, copies.map(({ counter }) => counter)]).toSorted(),
      [
        [4, [11n, 90n]],
        [6, [11n]],
      ],
    );
    assert.equal(Buffer.from(far.frames[0]?.bytes ?? []).readBigUInt64BE(14 + 40 + 8), 12n);
  });

  it("are delivered one by one when they are no longer to wait, or are too many", async () => {
    await sendAndFold(signed("sesame", 1n));
    near.wire.send("left", { family: 4, frame: signed("sesame", 2n) });
    near.wire.send("left", { family: 4, frame: signed("wrong", 3n) });
    await far.until("the forgery", () => far.frames.length > 0);
    far.wire.unfold();
    await far.until("what waited", () => folded().length > 0);
    assert.deepEqual(folded(), [2n]);
    far.frames.length = 0;
    await sendAndFold(signed("sesame", 4n));
    for (let counter = 5n; counter < 75n; counter++)
      near.wire.send("left", { family: 4, frame: signed("sesame", counter) });
    await far.until("the one too many", () => far.frames.length > 0);
    assert.equal(folded().length, 1 + 64);
  });

  it("are those of the same pass on the same carpdev", async () => {
    const [thatEnd, other] = cable("left2", "right2");
    far.wire.open("right2", other.index);
    near.wire.open("left2", thatEnd.index);
    await sendAndFold(signed("sesame", 1n));
    // The same bytes elsewhere, and the same vhid signed with a pass that another interface has.
    const { forms } = new Authentication({ pass: "elsewhere", vhid: 1, addresses: ["10.0.0.1"] });
    far.wire.expectDigests("carp9", forms);
    near.wire.send("left2", { family: 4, frame: signed("sesame", 2n) });
    const authentication = new Authentication({ pass: "elsewhere", vhid: 1, addresses: ["10.0.0.1"] });
    const frame = advertisementFrame(left.mac, 0);
    const fields = { vhid: 1, advskew: 0, advbase: 1, demote: 0, counter: 3n };
    frame.set(encodeAdvertisement(fields, authentication), frame.length - 36);
    near.wire.send("left", { family: 4, frame });
    await far.until("both", () => far.frames.length > 1);
    assert.deepEqual([delivered().toSorted(), folded()], [[2n, 3n], []]);
    ip("link delete left2");
  });
});

test("a hundred times opened and closed, no descriptor is left", () => {
  const open = () => readdirSync("/proc/self/fd").length;
  const cycle = () => {
    const listener = listen();
    listener.wire.open("left", left.index);
    listener.wire.open("left", left.index);
    send(1);
    listener.wire.close("left");
    listener.wire.open("right", right.index);
    listener.wire.shutdown();
  };
  cycle();
  const before = open();
  for (let time = 0; time < 100; time++) cycle();
  assert.equal(open(), before);
});

test("an open wire neither keeps the process alive nor disturbs its end", () => {
  const wire = new URL("../../../src/kernel/sockets/wire.ts", import.meta.url).href;
  const open = `
    const { createWire } = await import(${JSON.stringify(wire)});
    const wire = createWire({ frames() {}, stray() {} });
    wire.open("left", ${left.index});
    wire.open("right", ${right.index});
    const frame = Buffer.from("${advertisementFrame(left.mac, 1).toString("hex")}", "hex");
    for (let n = 0; n < 5000; n++) wire.send("left", { family: 4, frame });
  `;
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const status = (last: string) =>
    spawnSync(process.execPath, ["--input-type=module", "-e", open + last], { env, timeout: 60_000 }).status;
  assert.equal(status(""), 0);
  assert.equal(status("process.exit(3)"), 3);
  assert.equal(status("throw new Error('a bug')"), 1);
  assert.equal(status("wire.shutdown(); process.exit(4)"), 4);
});

test("an exception in what is done with a frame ends the process as any uncaught one", () => {
  const wire = new URL("../../../src/kernel/sockets/wire.ts", import.meta.url).href;
  const script = `
    const { createWire } = await import(${JSON.stringify(wire)});
    const wire = createWire({ frames() { throw new Error("a bug"); }, stray() {} });
    wire.open("left", ${left.index});
    wire.open("right", ${right.index});
    wire.send("left", { family: 4, frame: Buffer.from("${advertisementFrame(left.mac, 1).toString("hex")}", "hex") });
    setTimeout(() => process.exit(5), 30_000);
  `;
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  assert.throws(
    () =>
      execFileSync(process.execPath, ["--input-type=module", "-e", script], {
        env,
        stdio: "pipe",
        timeout: 60_000,
      }),
    (error: { status?: number; stderr?: Buffer }) => error.status === 1 && /a bug/.test(String(error.stderr)),
  );
});
