/**
 * Requests on the control socket: every method with parameters that mostly fit it, at the ends of their ranges, and
 * with values that can be read and not written.
 */

import fc from "fast-check";
import { LIMITS, methods } from "../../../src/control/messages.ts";
import { SYSCTL_VARIABLES } from "../../../src/core/sysctl.ts";
import { change } from "../../unit/core/arbitraries.ts";
import { ipv4, ipv6 } from "../../unit/core/driver.ts";

/**
 * Stands for a value that JSON.parse reads and JSON.stringify cannot write: it recurses for objects with integer
 * keys.
 */
const UNWRITABLE = "a value that cannot be written";
export const withUnwritable = (line: Uint8Array) =>
  Buffer.from(
    Buffer.from(line)
      .toString("latin1")
      .replaceAll(JSON.stringify(UNWRITABLE), `{"0":1,"a":${"[".repeat(8000)}${"]".repeat(8000)}}`),
    "latin1",
  );

const json = fc.oneof(
  { weight: 9, arbitrary: fc.jsonValue({ maxDepth: 3 }) },
  fc.constant(UNWRITABLE),
  fc.dictionary(fc.nat({ max: 2 }).map(String), fc.constant(UNWRITABLE)),
);
const name = fc.constantFrom("carp0", "carp0", "carp0", "carp1", "carp01", "eth0", "", "carp4294967296");
const unit = fc.constantFrom("db.service", "db.service", "a@b.socket", "-x.service", "../y.mount", "");
const variable = fc.constantFrom(
  ...SYSCTL_VARIABLES.map(({ name }) => name),
  ...["net.inet.carp", "net", "", "net.inet.carp.demotion"],
);

/** The ends of ranges, from the engine's own tables; accepted values are checked against bounds.ts. */
const ends = ([least, most]: readonly [number, number]) =>
  fc.constantFrom(least - 1, least, most, most + 1, 2 ** 31, 2 ** 53);
/** One thing in a change: others would be refused for another reason. */
const atAnEnd = fc.oneof(
  ...(["vhid", "advbase", "advskew", "mtu", "announce", "preemptdelay"] as const).map((key) =>
    ends(LIMITS[key]).map((value) => ({ [key]: value })),
  ),
  fc.tuple(ends(LIMITS.vhid), ends(LIMITS.advskew)).map(([vhid, advskew]) => ({
    carpnodes: [
      { vhid: 77, advskew },
      { vhid, advskew: 0 },
    ],
  })),
  ends([0, 32]).map((prefixLength) => ({ addAddresses: [{ ...ipv4("10.0.0.77"), prefixLength }] })),
  ends([0, 128]).map((prefixLength) => ({ addAddresses: [{ ...ipv6("2001:db8::77"), prefixLength }] })),
);
const written = fc.oneof(
  fc
    .constantFrom(...SYSCTL_VARIABLES)
    .chain(({ name, min, max }) => fc.record({ name: fc.constant(name), value: ends([min, max]) })),
  fc.record({ name: variable, value: fc.oneof(fc.integer(), fc.double()) }),
);

const params: Readonly<Record<string, fc.Arbitrary<unknown>>> = {
  change: fc.record({ name, change: fc.oneof(change, atAnEnd), create: fc.boolean() }),
  "change-on": fc.record({ carpdev: fc.constantFrom("eth0", "eth9", "carp0", ""), change }),
  replace: fc.record({ name, change, dryRun: fc.boolean() }),
  "replace-each": fc.record({
    replacements: fc.array(fc.oneof(fc.record({ name, change }), fc.jsonValue()), { maxLength: 4 }),
  }),
  "replace-all": fc.record({ replacements: fc.array(fc.record({ name, change }), { maxLength: 4 }) }),
  create: fc.record({ name }),
  destroy: fc.record({ name }),
  "sysctl-get": fc.record({ names: fc.array(variable, { maxLength: 3 }) }),
  "sysctl-set": fc.record({ writes: fc.array(written, { maxLength: 3 }) }),
  "demote-group": fc.record({
    group: name,
    by: fc.oneof(ends([-128, 128]), fc.integer({ min: -129, max: 129 })),
  }),
  demote: fc.record({ reason: name, by: fc.oneof(ends(LIMITS.demote), fc.integer()) }),
  promote: fc.record({ reason: name }),
  "demote-unit": fc.record({ unit, by: ends(LIMITS.demote), active: fc.boolean() }),
  "promote-unit": fc.record({ unit }),
  "unit-states": fc.record({ states: fc.array(fc.record({ unit, active: fc.boolean() }), { maxLength: 3 }) }),
};

/** Methods that change most come more often. */
const method = fc.oneof(
  { weight: 5, arbitrary: fc.constantFrom(...Object.keys(methods), "nonsense") },
  { weight: 4, arbitrary: fc.constantFrom("change", "change", "change-on", "replace", "sysctl-set") },
);

const request = method.chain((method) =>
  fc.record({
    jsonrpc: fc.oneof({ weight: 9, arbitrary: fc.constant("2.0") }, json),
    id: fc.oneof({ weight: 9, arbitrary: fc.constant(1) }, json),
    method: fc.oneof({ weight: 9, arbitrary: fc.constant(method) }, json),
    params: fc.oneof({ weight: 9, arbitrary: params[method] ?? fc.constant({}) }, json),
  }),
);

/** Each as one line, without its newline. */
export const asked = request.map((each) => Buffer.from(JSON.stringify(each)));

export const TOKENS: readonly string[] = [
  ...Object.keys(methods).map((method) => JSON.stringify(method)),
  ...['"2.0"', '"params":', '"method":', '"id":', '"jsonrpc":', "null", "{}", "[]", "1e999", "-1", "\\u0000"],
  ...['"__proto__":', '"constructor":', "[[[[", "\n", "\0", "\u2028"],
];
