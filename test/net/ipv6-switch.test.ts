/**
 * IPv6 switched off and on again, for the whole host or one device: the shared IPv6 address is back at once, and nothing
 * is called repaired that is not.
 */

import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import { createNetwork, eventually, type Host, type Network } from "../hosts/index.ts";

const LIMIT = { timeoutMs: 15_000 };
const SHARED = ["10.0.0.100/24", "2001:db8::100/64"];

let lan: Network;
let a: Host;
let client: Host;

before(async () => {
  lan = await createNetwork();
  [a, client] = await Promise.all([
    lan.host("a", { addresses: ["10.0.0.1/24", "2001:db8::1/64"] }),
    lan.host("c", { addresses: ["10.0.0.9/24", "2001:db8::9/64"] }),
  ]);
  await a.startEngine();
});
after(() => lan.destroy());

const SETTINGS = ["carpdev", "eth0", "vhid", "1"];
const WORDS = ["carp0", "inet", "10.0.0.100/24", "inet6", "2001:db8::100/64", ...SETTINGS];

const set = (where: string, setting: string, value: number) =>
  a.namespace.sysctl({ [`ipv6/conf/${where}/${setting}`]: value });

const repairedSince = (from: number) =>
  a.engine.log.lines.slice(from).flatMap(({ text }) => /carp0: repaired: (.*)/.exec(text)?.[1] ?? []);

/** Resolves when all shared addresses are there and the client is answered. */
async function isServed(device = "carp0"): Promise<void> {
  await eventually(
    () => a.addresses(device),
    (found) => SHARED.every((each) => found.includes(each)),
    LIMIT,
  );
  await a.waitForState("carp0", "MASTER");
  await eventually(
    () => client.ping("2001:db8::100", { count: 1 }),
    ({ received }) => received === 1,
    LIMIT,
  );
}

describe("IPv6 that is switched off and on again", () => {
  beforeEach(async () => {
    for (const where of ["all", "default"]) await set(where, "disable_ipv6", 0);
    await a.tryCarpctl("carp0", "destroy");
    await a.carpctl(...WORDS, "state", "master");
    await isServed();
  });

  for (const { what, where, pause } of [
    { what: "on the whole host", where: "all", pause: true },
    { what: "on the whole host, for a moment", where: "all", pause: false },
    { what: "on the carpdev", where: "eth0", pause: true },
    { what: "on the device", where: "carp0", pause: true },
  ])
    test(`${what}, is followed by the shared address`, async () => {
      const from = a.engine.log.length;
      await set(where, "disable_ipv6", 1);
      if (pause && where === "all") await a.engine.waitForLog(/carp0: .*IPv6 is disabled/, { from });
      if (where === "all") assert.deepEqual(repairedSince(from), []);
      await set(where, "disable_ipv6", 0);
      await isServed();
    });

  test("on new devices, is switched on for carp's own", async () => {
    await a.carpctl("carp0", "destroy");
    await set("default", "disable_ipv6", 1);
    await a.carpctl(...WORDS, "state", "master");
    await set("default", "disable_ipv6", 0);
    await set("carp0", "disable_ipv6", 0);
    await isServed();
  });

  test("and forwarding that changes, leaves the address alone", async () => {
    const from = a.engine.log.length;
    for (const value of [1, 0, 1, 0]) await set("all", "forwarding", value);
    await isServed();
    assert.deepEqual(repairedSince(from), []);
  });

  test("is followed by the shared address on the carpdev itself", async () => {
    await a.carpctl("carp0", "destroy");
    await a.carpctl(...WORDS, "lladdr", await a.mac(), "state", "master");
    await isServed("eth0");
    const from = a.engine.log.length;
    await set("all", "disable_ipv6", 1);
    await a.engine.waitForLog(/carp0: .*IPv6 is disabled/, { from });
    assert.deepEqual(repairedSince(from), []);
    await set("all", "disable_ipv6", 0);
    await isServed("eth0");
  });
});
