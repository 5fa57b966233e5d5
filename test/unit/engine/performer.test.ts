/** Effects performed on a kernel that is not there: what leaves, in which order, and what leaves too late. */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Effect } from "../../../src/core/effect.ts";
import type { Event } from "../../../src/core/event.ts";
import { type Kernel, Performer } from "../../../src/engine/performer.ts";

/** A host whose clock goes on by `stepUs` with every frame that is sent, as when the engine is stopped meanwhile. */
class Station {
  nowUs = 0;
  stepUs = 0;
  readonly sent: string[] = [];
  readonly reported: Event[] = [];
  readonly applied = Promise.withResolvers<void>();
  readonly performer: Performer;

  constructor() {
    const kernel = {
      clock: { now: () => ({ us: this.nowUs, epochUs: 0 }) },
      wire: {
        send: (_: string, { frame }: { frame: Uint8Array }) => {
          this.sent.push(Buffer.from(frame).toString());
          this.nowUs += this.stepUs;
          return undefined;
        },
      },
      links: { apply: () => this.applied.promise },
      dataPath: { lease: () => {} },
      save: () => void this.sent.push("saved"),
    };
    this.performer = new Performer(kernel as unknown as Kernel, (event) => void this.reported.push(event));
  }
}

const at = { interface: "carp0", vhid: 1, carpdev: "eth0", untilUs: 1000 } as const;
const advertise: Effect = {
  ...at,
  kind: "advertise",
  bowsOut: false,
  transmissions: [
    { family: 4, frame: Buffer.from("over IPv4") },
    { family: 6, frame: Buffer.from("over IPv6") },
  ],
};
const announce: Effect = { ...at, kind: "announce", frames: [Buffer.from("ARP"), Buffer.from("NA")] };
const device: Effect = { kind: "device", interface: "carp0", device: null };

test("an advertisement leaves over both families, then is reported", () => {
  const station = new Station();
  station.nowUs = 1000;
  station.performer.perform([advertise, announce]);
  assert.deepEqual(station.sent, ["over IPv4", "over IPv6", "ARP", "NA"]);
  const report = { kind: "advertised", interface: "carp0", vhid: 1, leftUs: 1000, left: [4, 6] };
  assert.deepEqual(station.reported, [{ ...report, error: undefined }]);
});

test("counters are saved when what was counted has been said", () => {
  const station = new Station();
  station.performer.perform([advertise, { kind: "save-counters" }]);
  assert.deepEqual(station.sent, ["over IPv4", "over IPv6", "saved"]);
});

test("an engine stopped within an advertisement sends no more of it, and counts from when peers may have heard it", () => {
  const station = new Station();
  station.stepUs = 5000;
  station.performer.perform([advertise, announce]);
  assert.deepEqual(station.sent, ["over IPv4"]);
  assert.deepEqual(
    station.reported.map((event) => event.kind === "advertised" && [event.left, event.leftUs]),
    [[[4], 0]],
  );
});

test("an advertisement left when its first frame did", () => {
  const station = new Station();
  station.nowUs = 100;
  station.stepUs = 300;
  station.performer.perform([advertise]);
  assert.deepEqual(
    station.reported.map((event) => event.kind === "advertised" && [event.left, event.leftUs]),
    [[[4, 6], 100]],
  );
});

test("a claim that had to wait for the device too long is not made, and counts as no failure", async () => {
  const station = new Station();
  station.performer.perform([device, advertise, announce]);
  station.nowUs = 1001;
  station.applied.resolve();
  await station.performer.settled();
  assert.deepEqual([station.sent, station.reported], [[], []]);
});

test("a claim that had to wait while the lease was taken away is not made; a bow-out is", async () => {
  const station = new Station();
  const lost: Effect = { kind: "lease", interface: "carp0", vhid: 1, untilUs: 0 };
  station.performer.perform([device, advertise, announce, { ...advertise, bowsOut: true }, lost]);
  station.applied.resolve();
  await station.performer.settled();
  assert.deepEqual(station.sent, ["over IPv4", "over IPv6"]);
  assert.equal(station.reported.length, 1);
});
