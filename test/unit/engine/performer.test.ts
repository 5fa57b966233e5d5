/**
 * The performer over a stand-in for the kernel: the order in which packets leave, and packets that are too
 * late.
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Effect } from "../../../src/core/effect.ts";
import type { Event } from "../../../src/core/event.ts";
import { type Adapters, Performer } from "../../../src/engine/performer.ts";

/**
 * A host whose clock advances by `stepUs` with every frame sent, as when the process is stopped meanwhile.
 */
class Station {
  nowUs = 0;
  stepUs = 0;
  sendError: string | undefined;
  readonly sent: string[] = [];
  readonly reported: Event[] = [];
  /** Finishes the change of the device that is under way. */
  finishDevice = () => {};
  readonly performer: Performer;

  constructor() {
    const kernel = {
      clock: { now: () => ({ us: this.nowUs, epochUs: 0 }) },
      wire: {
        send: (_: string, { frame }: { frame: Uint8Array }) => {
          this.sent.push(Buffer.from(frame).toString());
          this.nowUs += this.stepUs;
          return this.sendError;
        },
      },
      links: {
        apply: (_name: string, _device: unknown, done: () => void) => {
          this.finishDevice = done;
        },
      },
      dataPath: { lease: () => {} },
      save: () => void this.sent.push("saved"),
    };
    this.performer = new Performer({
      adapters: kernel as unknown as Adapters,
      timers: { arm: () => {}, cancel: () => {} },
      waiting: { add: () => {}, end: () => {} },
      report: (event) => void this.reported.push(event),
      enter: (work) => work(),
    });
  }
}

const at = { interface: "carp0", vhid: 1, carpdev: "eth0", untilUs: 1000 } as const;
const advertise = {
  ...at,
  kind: "advertise",
  bowsOut: false,
  waits: true,
  transmissions: [
    { family: 4, frame: Buffer.from("over IPv4") },
    { family: 6, frame: Buffer.from("over IPv6") },
  ],
} satisfies Effect;
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

test("counters are saved after the advertisement that uses them has left", () => {
  const station = new Station();
  station.performer.perform([advertise, { kind: "save" }]);
  assert.deepEqual(station.sent, ["over IPv4", "over IPv6", "saved"]);
});

test("an advertisement that is too late midway ends there, and left when its first packet did", () => {
  const station = new Station();
  station.stepUs = 5000;
  station.performer.perform([advertise, announce]);
  assert.deepEqual(station.sent, ["over IPv4"]);
  assert.deepEqual(
    station.reported.map((event) => event.kind === "advertised" && [event.left, event.leftUs]),
    [[[4], 0]],
  );
});

test("an advertisement over both families left when its first packet did", () => {
  const station = new Station();
  station.nowUs = 100;
  station.stepUs = 300;
  station.performer.perform([advertise]);
  assert.deepEqual(
    station.reported.map((event) => event.kind === "advertised" && [event.left, event.leftUs]),
    [[[4, 6], 100]],
  );
});

test("a claim that waited too long for the device is not sent, and is no failure", () => {
  const station = new Station();
  station.performer.perform([device, advertise, announce]);
  station.nowUs = 1001;
  station.finishDevice();
  assert.equal(station.performer.isSettled, true);
  assert.deepEqual([station.sent, station.reported], [[], []]);
});

test("a claim that waited while the lease was taken away is not sent", () => {
  const station = new Station();
  const lost: Effect = { kind: "lease", interface: "carp0", vhid: 1, untilUs: 0 };
  station.performer.perform([device, advertise, announce, lost]);
  station.finishDevice();
  assert.equal(station.performer.isSettled, true);
  assert.deepEqual([station.sent, station.reported], [[], []]);
});

test("an advertisement leaves while the device is changed, and one that waited for that is not sent behind it", () => {
  const station = new Station();
  const later = {
    ...advertise,
    waits: false,
    transmissions: [{ family: 4, frame: Buffer.from("later") }],
  } as const;
  station.performer.perform([device, advertise, later]);
  assert.deepEqual(station.sent, ["later"]);
  station.finishDevice();
  assert.deepEqual(station.sent, ["later"]);
  assert.equal(station.reported.length, 1);
});

test("an announcement that does not leave is reported, once for all of its frames", () => {
  const station = new Station();
  station.sendError = "ENOBUFS";
  station.performer.perform([announce]);
  assert.deepEqual(station.reported, [
    { kind: "announcement-failed", interface: "carp0", vhid: 1, error: "ENOBUFS" },
  ]);
});

test("whenSettled calls back when the device changes so far are done", () => {
  const station = new Station();
  const settled: string[] = [];
  station.performer.whenSettled(() => settled.push("nothing was asked for"));
  station.performer.perform([device]);
  station.performer.whenSettled(() => settled.push("carp0"), "carp0");
  station.performer.whenSettled(() => settled.push("carp1"), "carp1");
  station.performer.whenSettled(() => settled.push("all"));
  assert.deepEqual(settled, ["nothing was asked for", "carp1"]);
  station.finishDevice();
  assert.deepEqual(settled, ["nothing was asked for", "carp1", "carp0", "all"]);
});

test("joined interfaces wait for each other, and then go on", () => {
  const station = new Station();
  const other = { ...advertise, interface: "carp1" };
  station.performer.perform([device, { kind: "join", interfaces: ["carp0", "carp1"] }, other, advertise]);
  assert.deepEqual(station.sent, []);
  station.finishDevice();
  assert.equal(station.performer.isSettled, true);
  assert.deepEqual(station.sent, ["over IPv4", "over IPv6", "over IPv4", "over IPv6"]);
  assert.deepEqual(
    station.reported.map((event) => event.kind === "advertised" && event.interface).toSorted(),
    ["carp0", "carp1"],
  );
});
