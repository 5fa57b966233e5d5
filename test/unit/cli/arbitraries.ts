/**
 * Arbitraries of fast-check for the commands: any configuration that an interface can be given, in the values
 * of messages.
 */

import fc from "fast-check";
import { BALANCING_MODES, type InterfaceChange, refusalOfAddress } from "../../../src/control/messages.ts";
import { formatAddress } from "../../../src/protocol/address.ts";

const optional = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined, freq: 2 });

/** Letters of all kinds, and everything that a shell would act on; no control characters. */
const text = (maxLength: number) =>
  fc
    .string({
      unit: fc.oneof(
        fc.constantFrom(..."'\"\\$`#! \u00a0*?;&|<>(){}~", "ä", "🔑", "pass", "x41"),
        fc.string({ unit: "grapheme-ascii", minLength: 1, maxLength: 1 }),
      ),
    })
    .map((drawn) =>
      Array.from(drawn)
        .slice(0, maxLength / 2)
        .join(""),
    );

const byte = (max = 255) => fc.integer({ min: 0, max });

const ipv4 = fc
  .record({
    host: fc.tuple(fc.constantFrom(10, 172, 192), byte(), byte(), fc.integer({ min: 1, max: 254 })),
    prefixLength: fc.integer({ min: 1, max: 32 }),
    broadcast: optional(fc.constantFrom("255.255.255.255", "10.255.255.255", "0.0.0.0")),
    alias: fc.boolean(),
  })
  .map(({ host, broadcast, ...others }) => ({
    family: 4 as const,
    address: formatAddress(Uint8Array.from(host)),
    ...others,
    ...(broadcast === undefined ? {} : { broadcast }),
  }))
  .filter((each) => refusalOfAddress(each) === undefined);

const ipv6 = fc
  .record({
    host: fc.tuple(
      fc.constantFrom([0x20, 0x01], [0xfe, 0x80], [0xfd, 0]),
      fc.array(byte(), { minLength: 14, maxLength: 14 }),
    ),
    prefixLength: fc.integer({ min: 1, max: 128 }),
    alias: fc.boolean(),
  })
  .map(({ host, ...others }) => ({
    family: 6 as const,
    address: formatAddress(Uint8Array.from(host.flat())),
    ...others,
  }))
  .filter((each) => refusalOfAddress(each) === undefined);

const node = fc
  .tuple(fc.integer({ min: 1, max: 255 }), byte(254))
  .map(([vhid, advskew]) => ({ vhid, advskew }));
const group = fc.constantFrom("carp", "www", "db", "a-b.c_d", "x2y");

const identity = fc.oneof(
  fc.constant({}),
  node,
  fc
    .uniqueArray(node, { minLength: 1, maxLength: 32, selector: ({ vhid }) => vhid })
    .map((carpnodes) => ({ carpnodes })),
);

/** For an interface that does not exist, on a host with eth0 and eth1. */
export const configurationChange: fc.Arbitrary<InterfaceChange> = fc
  .tuple(
    identity,
    fc.record({
      carpdev: optional(fc.constantFrom("eth0", "eth1")),
      advbase: optional(byte(254)),
      pass: optional(text(60)),
      carppeer: optional(
        fc.constantFrom<string[] | null>(["10.0.0.9"], ["10.0.0.8", "10.0.0.9", "192.0.2.7"], null),
      ),
      carppeer6: optional(
        fc.constantFrom<string[] | null>(["2001:db8::9"], ["fe80::9", "2001:db8::9"], null),
      ),
      balancing: optional(fc.constantFrom(...BALANCING_MODES)),
      lladdr: optional(fc.constantFrom("02:00:00:00:00:77", "02:00:00:00:00:10", "carpdev", null)),
      announce: optional(fc.constantFrom(0, 30, null)),
      preemptdelay: optional(fc.constantFrom(0, 120, null)),
      joinGroups: optional(fc.array(group, { maxLength: 4 })),
      leaveGroups: fc.option(fc.array(fc.constant("carp"), { minLength: 1, maxLength: 1 }), {
        nil: undefined,
        freq: 3,
      }),
      description: optional(text(60)),
      mtu: optional(fc.integer({ min: 68, max: 1500 })),
      up: optional(fc.boolean()),
      addAddresses: optional(fc.array(fc.oneof(ipv4, ipv6), { maxLength: 5 })),
    }),
  )
  .map(([first, others]) => ({ ...first, ...others }));
