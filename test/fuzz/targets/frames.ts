/**
 * Frames from the wire, to hosts that are MASTER, BACKUP or strict about replays: nothing throws; a frame is accepted,
 * or discarded under the counter that is its due, as it was judged here without the code under test; and what is
 * discarded changes nothing but what counts discarded frames.
 */

import assert from "node:assert/strict";
import fc from "fast-check";
import { ipv4, ipv6, only, SECOND, Station, World } from "../../unit/core/driver.ts";
import { advertisement, read, type Said } from "../../unit/core/peer.ts";
import type { Target, Trial } from "../target.ts";
import { type Judgement, judged, mended, PASS, type Told } from "./judged.ts";

const addresses: Readonly<Record<number, readonly string[]>> = {
  1: ["10.0.0.1", "2001:db8::1"],
  2: ["10.0.0.7"],
  3: ["10.0.0.7"],
  5: ["10.0.0.5"],
};

/** With strict_replay, no counter from here on is that of a clock. */
const CLOCKS_END = 10n ** 18n;

interface Listener {
  readonly station: Station;
  readonly isMaster: boolean;
  readonly isStrict: boolean;
  /** Counters of its own advertisements. */
  readonly sent: ReadonlySet<bigint>;
}

/** carp0 may be MASTER; carp1 balances; carp5 talks to one peer over IPv4. */
function listener(kind: "backup" | "master" | "strict"): Listener {
  const station = new Station(new World());
  const eth0 = { carpdev: "eth0", pass: PASS };
  const carpnodes = [
    { vhid: 2, advskew: 0 },
    { vhid: 3, advskew: 100 },
  ];
  station.set("carp0", { ...eth0, vhid: 1, addAddresses: [ipv4("10.0.0.1"), ipv6("2001:db8::1")] });
  station.set("carp1", { ...eth0, carpnodes, addAddresses: [ipv4("10.0.0.7")] });
  station.set("carp5", {
    ...eth0,
    vhid: 5,
    carppeer: ["10.0.0.9", "10.0.0.2", "192.0.2.7"],
    addAddresses: [ipv4("10.0.0.5")],
  });
  const isMaster = kind === "master";
  if (isMaster) for (const name of ["carp0", "carp1", "carp5"]) station.set(name, { state: "master" });
  const isStrict = kind === "strict";
  if (isStrict) station.sysctl("strict_replay", 1);
  const sent = new Set(
    only(station.take(), "advertise").flatMap(({ transmissions }) =>
      transmissions.map((each) => read(each).counter),
    ),
  );
  return { station, isMaster, isStrict, sent };
}

/** Everything but what counts and tells of discarded frames. */
function shown({ host }: Station): string {
  return JSON.stringify(host.interfaces().map(({ discarded: _, ...others }) => others));
}

/** Whether the counter has the form of signed_header (carp(4)), with other fields than the header. */
function saysOtherFields({ counter, advbase, advskew, demote }: Told): boolean {
  const others = counter >> 7n;
  const marker = BigInt.asUintN(64, others * 0x9e37_79b9_7f4a_7c15n) >> 57n;
  // Quarter seconds from 2020 to 2021.
  const isSigned = (counter & 127n) === marker && counter >> 31n >= 126_489_600n;
  return isSigned && BigInt.asUintN(24, others) !== BigInt((advbase << 16) | (advskew << 8) | demote);
}

/** @returns whether the station may be another one now. */
function hears(who: Listener, input: Uint8Array): boolean {
  const { station, sent, isStrict } = who;
  const told = judged(Buffer.from(input), sent);
  const isNoneOfOurs = typeof told === "object" && (told.counter >= CLOCKS_END || saysOtherFields(told));
  const judgement = isStrict && isNoneOfOurs ? "badAuthentication" : told;
  const before = shown(station);
  const effects = station.hear(input);
  if (typeof judgement === "object") {
    assertAccepted(who, judgement, effects);
    assertRepeated(who, input);
    station.world.run(5 * SECOND);
    return true;
  }
  if (judgement === "badVhid" && who.isMaster && only(effects, "discarded").length === 0) {
    assertConceded(effects);
    assert.equal(shown(station), before);
    return true;
  }
  assertDiscarded(effects, judgement);
  assert.equal(shown(station), before);
  station.take();
  return false;
}

type Effects = ReturnType<Station["hear"]>;

function assertDiscarded(effects: Effects, judgement: Judgement): void {
  const counted = only(effects, "discarded").map(({ counter }) => counter);
  assert.equal(counted.length, effects.length);
  if (judgement === "malformed") assert.ok(counted.length === 0 || counted[0] === "shorterThanHeader");
  else assert.deepEqual(counted, [judgement]);
}

/** A unicast advertisement of a master that has to give way to this one, which answers and stays as it is. */
function assertConceded(effects: Effects): void {
  const answer = ["advertise", "announce", "arm", "contested", "lease", "save"];
  for (const { kind } of effects) assert.ok(answer.includes(kind), kind);
}

function assertAccepted({ station, isMaster }: Listener, told: Told, effects: Effects): void {
  assert.equal(only(effects, "discarded").length, 0);
  const { vhid, advbase, advskew, demote } = told;
  const state = station.state(vhid, vhid === 1 ? "carp0" : vhid === 5 ? "carp5" : "carp1");
  // In 256ths of a second; ours are vhid 3's advskew of 100, and an advbase of 1 for all.
  const own = 256 + (vhid === 3 ? 100 : 0);
  const his = Math.max(1, advbase * 256 + advskew);
  if (isMaster && demote === 0 && his < own) assert.equal(state, "BACKUP");
  if (isMaster && (demote > 0 || his > own)) assert.equal(state, "MASTER");
  if (!isMaster) assert.equal(state, demote > 0 || his > 3 * 256 ? "MASTER" : "BACKUP");
  for (const { atUs } of only(effects, "arm"))
    assert.ok(Number.isFinite(atUs) && atUs >= station.world.us, `a timer at ${atUs}`);
}

/** Recorded and played again. */
function assertRepeated({ station, isStrict }: Listener, input: Uint8Array): void {
  const again = only(station.hear(input), "discarded");
  assert.deepEqual(
    again.map(({ counter }) => counter),
    isStrict ? ["badAuthentication"] : [],
  );
}

const said = fc
  .record({
    vhid: fc.constantFrom(1, 1, 2, 3, 5, 5, 9),
    advbase: fc.constantFrom(0, 1, 3, 255),
    advskew: fc.constantFrom(0, 1, 100, 254, 255),
    demote: fc.constantFrom(0, 0, 1, 255),
    counter: fc.oneof(
      fc.bigInt({ min: 0n, max: CLOCKS_END - 1n }),
      fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    ),
    pass: fc.constantFrom(PASS, PASS, "guessed", ""),
    source: fc.constantFrom("10.0.0.9", "10.0.0.2", "fe80::9", "2001:db8::9"),
    hopLimit: fc.constantFrom(255, 255, 255, 254, 64, 0),
    isToUs: fc.boolean(),
  })
  .map(({ isToUs, ...each }): Said => {
    const destination = each.source.includes(":") ? "2001:db8::2" : "10.0.0.2";
    return { ...each, addresses: addresses[each.vhid] ?? [], ...(isToUs ? { destination } : {}) };
  });

const KINDS = ["backup", "master", "strict"] as const;

function open(): Trial {
  const made = new Map<string, Listener>();
  return {
    feed(input) {
      for (const kind of KINDS) {
        const who = made.get(kind) ?? listener(kind);
        made.set(kind, who);
        if (hears(who, input)) made.delete(kind);
      }
    },
  };
}

export const frames: Target = {
  name: "frames",
  sensible: said.map(advertisement),
  tokens: ["2101", "ffff", "70", "4500", "8100", "86dd", "0800"].map((hex) => Buffer.from(hex, "hex")),
  mend: fc.constantFrom(
    (bytes) => bytes,
    (bytes) => mended(bytes, false),
    (bytes) => mended(bytes, true),
  ),
  tries: 1500,
  open,
};
