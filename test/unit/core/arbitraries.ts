/**
 * fast-check arbitraries: random changes and commands for a host, of which many are accepted and many
 * refused.
 */

import fc from "fast-check";
import type { Command } from "../../../src/core/command.ts";
import type { InterfaceChange } from "../../../src/core/interface/configuration.ts";
import { SYSCTL_VARIABLES } from "../../../src/core/sysctl.ts";
import { ipv4, ipv6, link } from "./driver.ts";

export const interfaceName = fc.constantFrom("carp0", "carp1", "carp2");
export const carpdev = fc.constantFrom("eth0", "eth1", "eth9");
export const vhid = fc.integer({ min: 1, max: 4 });
const advskew = fc.constantFrom(0, 1, 100, 254);
const group = fc.constantFrom("carp", "www", "db");
const sharedIpv4 = fc.constantFrom("10.0.0.1", "10.0.0.2", "10.0.1.1", "192.0.2.1");
const sharedIpv6 = fc.constantFrom("2001:db8::1", "fe80::1");
const optional = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined, freq: 2 });

const added = fc.oneof(
  fc.tuple(sharedIpv4, fc.constantFrom(24, 25), fc.boolean()).map((drawn) => ipv4(...drawn)),
  sharedIpv6.map((address) => ipv6(address)),
);

const nodes = fc
  .uniqueArray(vhid, { minLength: 1, maxLength: 3 })
  .map((vhids) => vhids.map((each) => ({ vhid: each, advskew: each })));

export const change: fc.Arbitrary<InterfaceChange> = fc.record({
  carpdev: optional(carpdev),
  vhid: optional(vhid),
  advbase: optional(fc.constantFrom(0, 1, 3)),
  advskew: optional(advskew),
  pass: optional(fc.constantFrom("", "secret")),
  carppeer: optional(fc.constantFrom(["10.0.0.9"], ["10.0.0.2", "10.0.0.9", "192.0.2.7"], null)),
  carppeer6: optional(fc.constantFrom(["2001:db8::9"], ["2001:db8::2", "2001:db8::9"], null)),
  announce: optional(fc.constantFrom(0, 1, 3600, null)),
  preemptdelay: optional(fc.constantFrom(0, 1, 86_400, null)),
  carpnodes: fc.option(nodes, { nil: undefined, freq: 3 }),
  balancing: optional(fc.constantFrom("none", "ip", "ip-unicast", "ip-stealth")),
  lladdr: fc.option(fc.constantFrom("02:00:00:00:00:77", link("eth0").mac, "00:00:5e:00:01:02", null), {
    nil: undefined,
    freq: 4,
  }),
  joinGroups: optional(fc.array(group, { maxLength: 2 })),
  leaveGroups: fc.option(fc.array(group, { maxLength: 1 }), { nil: undefined, freq: 4 }),
  description: optional(fc.constantFrom("www", null)),
  mtu: fc.option(fc.constantFrom(1400, 1500, 9000), { nil: undefined, freq: 4 }),
  up: optional(fc.boolean()),
  state: fc.option(fc.constantFrom("init", "backup", "master"), { nil: undefined, freq: 3 }),
  addAddresses: optional(fc.array(added, { maxLength: 2 })),
  removeAddresses: fc.option(fc.array(sharedIpv4, { maxLength: 1 }), { nil: undefined, freq: 4 }),
  removeFamilies: fc.option(fc.constantFrom([4 as const], [6 as const]), { nil: undefined, freq: 6 }),
});

const variable = fc.constantFrom(...SYSCTL_VARIABLES.map(({ name }) => name), "net.inet.carp.nonsense");

/** A random command, mostly a change, because a change has the most rules. */
export const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("change"), name: interfaceName, change }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("change-on"), carpdev, change }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("replace"),
      name: interfaceName,
      change,
      dryRun: optional(fc.boolean()),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("create"), name: optional(interfaceName) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("destroy"), name: interfaceName }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("demote-group"),
      group,
      by: fc.integer({ min: -128, max: 128 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("set-sysctl"),
      writes: fc.array(
        fc.record({ name: variable, value: fc.oneof(fc.constantFrom(0, 1, 2), fc.integer()) }),
        { minLength: 1, maxLength: 3 },
      ),
    }),
  },
);
