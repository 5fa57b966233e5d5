/** Claims: after any changes they are what the present configurations claim, and nothing is told of an interface that is gone. */

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Claim, Claims, claimsOf } from "../../../src/core/claims.ts";
import type { InterfaceConfiguration } from "../../../src/core/interface/configuration.ts";
import { newInterface } from "../../../src/core/interface/reconfigure.ts";

const NAMES = ["carp0", "carp1", "carp2"] as const;
const CARPDEVS = ["eth0", "eth1"] as const;
const ADDRESSES = ["10.0.0.1", "10.0.0.2", "fe80::1", "2001:db8::1"] as const;

const configurations = fc
  .record({
    name: fc.constantFrom(...NAMES),
    carpdev: fc.constantFrom(undefined, ...CARPDEVS),
    vhids: fc.uniqueArray(fc.integer({ min: 1, max: 3 })),
    lladdr: fc.constantFrom(undefined, "carpdev", "02:00:00:00:00:01"),
    addresses: fc.uniqueArray(fc.constantFrom(...ADDRESSES)),
  })
  .map(
    ({ vhids, addresses, ...rest }): InterfaceConfiguration => ({
      ...newInterface(rest.name),
      ...rest,
      nodes: vhids.map((vhid) => ({ vhid, advskew: 0 })),
      addresses: addresses.map((address) => ({
        family: address.includes(":") ? 6 : 4,
        address,
        prefixLength: 24,
      })),
    }),
  );

const text = ({ what, carpdev }: Claim) => `${what}|${carpdev}`;

test("claims follow the configurations", () => {
  const step = fc.oneof(configurations, fc.constantFrom(...NAMES));
  fc.assert(
    fc.property(fc.array(step), (steps) => {
      const claims = new Claims();
      const present = new Map<string, InterfaceConfiguration>();
      const seen = new Map<string, Claim>();
      for (const each of steps) {
        if (typeof each === "string") {
          claims.delete(each);
          present.delete(each);
        } else {
          claims.set(each.name, [each]);
          present.set(each.name, each);
          for (const claim of claimsOf(each)) seen.set(text(claim), claim);
        }
        for (const claim of seen.values()) {
          const having = [...present.values()].filter((other) =>
            claimsOf(other).map(text).includes(text(claim)),
          );
          assert.deepEqual([...claims.of(claim)].sort(), having.map(({ name }) => name).sort());
        }
      }
    }),
  );
});

test("a link-local address is claimed on its carpdev alone, and on none by nobody", () => {
  const on = (carpdev: string | undefined) =>
    claimsOf({
      ...newInterface("carp0"),
      carpdev,
      addresses: [{ family: 6, address: "fe80::1", prefixLength: 64 }],
    });
  assert.deepEqual(on("eth0"), [{ what: "fe80::1", carpdev: "eth0" }]);
  assert.deepEqual(on(undefined), []);
});
