/**
 * Frames from the wire, to a host that is MASTER, BACKUP or both: nothing throws, and without a digest made with the
 * right pass nothing but counters changes. Whether there is one is decided here without the code under test.
 */

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import fc from "fast-check";
import { ipv4, ipv6, only, SECOND, Station, World } from "../../unit/core/driver.ts";
import { advertisement, type Said } from "../../unit/core/peer.ts";
import type { Target, Trial } from "../target.ts";

const PASS = "mekmitasdigoat";
const MESSAGE_BYTES = 36;

/** The addresses each vhid's digest covers, ascending, IPv4 first. */
const covered = new Map([
  [1, ["0a000001", "20010db8000000000000000000000001"]],
  [2, ["0a000007"]],
  [3, ["0a000007"]],
  [5, ["0a000005"]],
]);
const addresses: Readonly<Record<number, readonly string[]>> = {
  1: ["10.0.0.1", "2001:db8::1"],
  2: ["10.0.0.7"],
  3: ["10.0.0.7"],
  5: ["10.0.0.5"],
};

/** carp0 may be MASTER; carp1 balances; carp5 talks to one peer. */
function station(isMaster: boolean): Station {
  const made = new Station(new World());
  const eth0 = { carpdev: "eth0", pass: PASS };
  const carpnodes = [
    { vhid: 2, advskew: 0 },
    { vhid: 3, advskew: 100 },
  ];
  made.set("carp0", { ...eth0, vhid: 1, addAddresses: [ipv4("10.0.0.1"), ipv6("2001:db8::1")] });
  made.set("carp1", { ...eth0, carpnodes, addAddresses: [ipv4("10.0.0.7")] });
  made.set("carp5", { ...eth0, vhid: 5, carppeer: "10.0.0.9", addAddresses: [ipv4("10.0.0.5")] });
  if (isMaster) for (const name of ["carp0", "carp1", "carp5"]) made.set(name, { state: "master" });
  made.take();
  return made;
}

/** Whether there is a message somewhere in it that only somebody with the pass can have made. */
function isSigned(frame: Uint8Array): boolean {
  for (let at = frame.indexOf(0x21); at >= 0; at = frame.indexOf(0x21, at + 1)) {
    const message = frame.subarray(at, at + MESSAGE_BYTES);
    const [, vhid = 0] = message;
    const of = covered.get(vhid);
    if (of === undefined || message.length < MESSAGE_BYTES) continue;
    const key = Buffer.alloc(20);
    key.write(PASS);
    const digest = createHmac("sha1", key)
      .update(Buffer.from([2, 1, vhid]))
      .update(Buffer.from(of.join(""), "hex"))
      .update(message.subarray(8, 16))
      .digest();
    if (digest.equals(message.subarray(16))) return true;
  }
  return false;
}

/** Everything but what counts and tells of discarded frames. */
function shown({ host }: Station): string {
  return JSON.stringify(host.interfaces().map(({ discarded: _, ...others }) => others));
}

const said = fc
  .record({
    vhid: fc.constantFrom(1, 1, 2, 3, 5, 9),
    advbase: fc.constantFrom(0, 1, 3, 255),
    advskew: fc.constantFrom(0, 1, 254, 255),
    demote: fc.constantFrom(0, 1, 255),
    counter: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    pass: fc.constantFrom(PASS, "guessed", ""),
    source: fc.constantFrom("10.0.0.9", "10.0.0.2", "fe80::9", "2001:db8::9"),
  })
  .map((each): Said => ({ ...each, addresses: addresses[each.vhid] ?? [] }));

function open(): Trial {
  const made = new Map<boolean, Station>();
  return {
    feed(input) {
      for (const isMaster of [false, true]) {
        const host = made.get(isMaster) ?? station(isMaster);
        made.set(isMaster, host);
        const before = shown(host);
        const effects = host.hear(input);
        if (!isSigned(input)) {
          assert.deepEqual(
            effects.filter(({ kind }) => kind !== "discarded"),
            [],
          );
          assert.equal(shown(host), before);
          continue;
        }
        for (const { atUs } of only(effects, "arm"))
          assert.ok(Number.isSafeInteger(atUs) && atUs >= host.world.us, `a timer at ${atUs}`);
        host.world.run(5 * SECOND);
        made.delete(isMaster);
      }
    },
  };
}

export const frames: Target = {
  name: "frames",
  sensible: said.map(advertisement),
  tokens: ["2101", "ffff", "70", "4500", "8100", "86dd", "0800"].map((hex) => Buffer.from(hex, "hex")),
  tries: 2000,
  open,
};
