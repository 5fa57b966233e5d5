/** Advertisements that were made ahead, over packet sockets: when they leave, what they lease, and what ends them. Needs root. */

import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import type { AdvertisementAhead } from "../../../src/core/effect.ts";
import type { AheadEnded } from "../../../src/kernel/kernel.ts";
import { createClock } from "../../../src/kernel/process/clock.ts";
import { encodeAdvertisement } from "../../../src/protocol/advertisement.ts";
import { Authentication } from "../../../src/protocol/authentication.ts";
import { advertisementFrame, type Listener, listen, numberOf } from "./listener.ts";
import { cable, type End, enterNamespace, ip } from "./namespace.ts";

enterNamespace(import.meta.url);

const OF = { interface: "carp0", vhid: 1, carpdev: "left" };
const MILLISECOND = 1000;
const SECOND = 1000 * MILLISECOND;
const clock = createClock();

let left: End;
let right: End;
let near: Listener;
let far: Listener;
/** The leases of the node and of its interface. */
let leases: BigUint64Array;

beforeEach(() => {
  [left, right] = cable("left", "right");
  near = listen();
  far = listen();
  near.wire.open("left", left.index);
  far.wire.open("right", right.index);
  leases = new BigUint64Array(2);
});

afterEach(() => {
  near.wire.shutdown();
  far.wire.shutdown();
  for (const { ifname } of JSON.parse(ip("-j link show"))) if (ifname === "left") ip("link delete left");
});

const memory = () => [0, 8].map((at) => new Uint8Array(leases.buffer, at, 8));
const leasedUs = () => [...leases].map((ns) => Number(ns) / 1000);

function advertisement(number: number, atUs: number, forUs = 10 * SECOND): AdvertisementAhead {
  const frame = advertisementFrame(left.mac, number);
  return { atUs, untilUs: atUs + forUs, leaseUntilUs: atUs + 3 * SECOND, frames: [{ family: 4, frame }] };
}

/** So many advertisements, 20 ms apart, of which the first leaves 50 ms from now. */
function soon(count: number): AdvertisementAhead[] {
  const { us } = clock.now();
  return Array.from({ length: count }, (_, n) => advertisement(n, us + (50 + 20 * n) * MILLISECOND));
}

const blockMs = (ms: number) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);

const numbers = () => far.frames.map(numberOf);

/** What has ended, when the wire tells that something has. */
async function ended(): Promise<readonly AheadEnded[]> {
  let told: readonly AheadEnded[] = [];
  await near.until("the end", () => {
    told = near.wire.sendDue(0);
    return told.length > 0;
  });
  return told;
}

test("each leaves by itself at its time, and sets the leases", async () => {
  const sent = soon(3);
  assert.equal(near.wire.sendAhead(OF, sent, memory()), true);
  await far.until("all of them", () => far.frames.length === 3);
  assert.deepEqual(numbers(), [0, 1, 2]);
  for (const [n, { receivedUs }] of far.frames.entries()) assert.ok(receivedUs >= (sent[n]?.atUs ?? 0));
  const untilUs = Math.round(sent[2]?.leaseUntilUs ?? 0);
  assert.deepEqual(leasedUs().map(Math.round), [untilUs, untilUs]);
  assert.deepEqual(near.wire.sendDue(clock.now().us), []);
});

test("more may follow before the last has left", async () => {
  const [first, second, third] = soon(3) as [AdvertisementAhead, AdvertisementAhead, AdvertisementAhead];
  near.wire.sendAhead(OF, [first], undefined);
  near.wire.sendAhead(OF, [second, third], undefined);
  await far.until("all of them", () => far.frames.length === 3);
  assert.deepEqual(numbers(), [0, 1, 2]);
});

test("a lease that is longer stays", async () => {
  const [only] = soon(1) as [AdvertisementAhead];
  leases[1] = BigInt(Math.round((only.leaseUntilUs + SECOND) * 1000));
  near.wire.sendAhead(OF, [only], memory());
  await far.until("it", () => far.frames.length === 1);
  assert.ok(Math.abs((leasedUs()[0] ?? 0) - only.leaseUntilUs) <= 1);
  assert.ok(Math.abs((leasedUs()[1] ?? 0) - only.leaseUntilUs - SECOND) <= 1);
});

test("none leaves that was called back, and those of others do", async () => {
  near.wire.sendAhead(OF, soon(3), undefined);
  const { us } = clock.now();
  near.wire.sendAhead(
    { ...OF, interface: "carp1", vhid: 2 },
    [advertisement(9, us + 150 * MILLISECOND)],
    undefined,
  );
  near.wire.recall("carp0", 1);
  await far.until("the other one", () => far.frames.length > 0);
  assert.deepEqual(numbers(), [9]);
});

test("while they are held only what is due by the time given leaves, at once", async () => {
  const { us } = clock.now();
  // Due already: on a busy machine the thread may come first otherwise.
  near.wire.sendAhead(OF, [advertisement(7, us + 20 * MILLISECOND)], undefined);
  near.wire.hold();
  near.wire.sendAhead(
    { ...OF, interface: "carp1", vhid: 2 },
    [advertisement(1, us - 2), advertisement(2, us - 1), advertisement(3, us)],
    undefined,
  );
  assert.deepEqual(near.wire.sendDue(us - 1), []);
  far.wire.drain();
  assert.deepEqual(
    numbers().filter((number) => number < 7),
    [1, 2],
  );
  near.wire.release();
  await far.until("the others", () => far.frames.length === 4);
});

test("the next one leaves by itself when one before it was due while they were held", async () => {
  const [first, second] = soon(2) as [AdvertisementAhead, AdvertisementAhead];
  near.wire.sendAhead(OF, [first, { ...second, atUs: first.atUs + 300 * MILLISECOND }], undefined);
  near.wire.hold();
  // The thread finds it due meanwhile.
  while (clock.now().us < first.atUs + 50 * MILLISECOND) blockMs(1);
  near.wire.sendDue(clock.now().us);
  near.wire.release();
  await far.until("both", () => far.frames.length === 2);
});

test("one that is too late does not leave, nor those behind it", async () => {
  const { us } = clock.now();
  const lateUs = us - 2 * SECOND;
  near.wire.sendAhead(OF, [advertisement(1, lateUs, SECOND), advertisement(2, us + SECOND)], memory());
  assert.deepEqual(await ended(), [
    { kind: "ahead-ended", interface: "carp0", vhid: 1, atUs: lateUs, inPart: false },
  ]);
  far.wire.drain();
  assert.deepEqual(numbers(), []);
  assert.deepEqual(leasedUs(), [0, 0]);
});

test("whoever calls back what has ended is not told of that end, and is of the next one", async () => {
  const late = (number: number) => {
    const { us } = clock.now();
    return [advertisement(number, us - 2 * SECOND, SECOND)];
  };
  near.wire.sendAhead(OF, late(1), undefined);
  let looks = 0;
  await near.until("the end", () => looks++ > 0);
  near.wire.recall("carp0", 1);
  const [second] = late(2) as [AdvertisementAhead];
  near.wire.sendAhead(OF, [second], undefined);
  assert.deepEqual(
    (await ended()).map(({ atUs }) => atUs),
    [second.atUs],
  );
});

test("one that cannot leave ends them, and tells whether some of it left", async () => {
  const { us } = clock.now();
  ip("link set left down");
  near.wire.sendAhead(OF, [advertisement(1, us)], memory());
  assert.equal((await ended())[0]?.inPart, false);
  ip("link set left up");
  const small = advertisementFrame(left.mac, 5);
  const large = advertisementFrame(left.mac, 6, 150);
  ip("link set left mtu 100");
  const frames = [small, large].map((frame, at) => ({ family: at === 0 ? 4 : 6, frame }) as const);
  const atUs = clock.now().us;
  const made = { ...advertisement(5, atUs), frames };
  near.wire.sendAhead({ ...OF, interface: "carp1", vhid: 2 }, [made], memory());
  assert.deepEqual(await ended(), [{ kind: "ahead-ended", interface: "carp1", vhid: 2, atUs, inPart: true }]);
  assert.deepEqual(leasedUs(), [0, 0]);
});

test("they end where their socket does", async () => {
  const sent = soon(2).map((each) => ({ ...each, atUs: each.atUs + SECOND }));
  near.wire.sendAhead(OF, sent, undefined);
  near.wire.close("left");
  assert.equal((await ended())[0]?.atUs, sent[0]?.atUs);
  assert.equal(near.wire.sendAhead(OF, sent, undefined), false);
});

/** An advertisement of another host for this virtual host, signed with this pass. */
function foreign(vhid: number, pass: string): Buffer {
  const authentication = new Authentication({ pass, vhid, addresses: ["10.0.0.1"] });
  const frame = advertisementFrame(right.mac, 0);
  const fields = { vhid, advskew: 0, advbase: 1, demote: 0, counter: 1n };
  frame.set(encodeAdvertisement(fields, authentication), frame.length - 36);
  return frame;
}

test("another master's advertisement ends those of its virtual host, and no forged one does", async () => {
  const { forms } = new Authentication({ pass: "sesame", vhid: 1, addresses: ["10.0.0.1"] });
  near.wire.expectDigests("carp0", forms);
  const sent = soon(2).map((each) => ({ ...each, atUs: each.atUs + SECOND }));
  near.wire.sendAhead(OF, sent, undefined);
  far.wire.send("right", { family: 4, frame: foreign(1, "wrong") });
  far.wire.send("right", { family: 4, frame: foreign(2, "sesame") });
  await near.until("both", () => near.frames.length === 2);
  assert.deepEqual(near.wire.sendDue(0), []);
  far.wire.send("right", { family: 4, frame: foreign(1, "sesame") });
  assert.equal((await ended())[0]?.atUs, sent[0]?.atUs);
});
