/**
 * The two formats of our advertisement counters. Time of day: microseconds since the Unix epoch, whose low 8
 * bits are the host's tag. Signed (net.inet.carp.signed_header): quarter seconds since 2020, then the fields
 * that no digest covers, then a marker that tells the format from other implementations' counters. Arithmetic
 * on counters only.
 */

/** The fields of an advertisement that its digest does not cover. */
export interface HeaderFields {
  readonly advbase: number;
  readonly advskew: number;
  readonly demote: number;
}

/** A counter of a host that runs this program, as far as the counter alone can tell. */
export type CounterReading =
  | { readonly format: "time"; readonly us: bigint; readonly tag: number }
  | { readonly format: "signed"; readonly us: bigint; readonly fields: HeaderFields };

const SECOND = 1_000_000n;

/**
 * The low 8 bits are the host's tag: hosts with equal clocks, or that follow one peer, must not send equal
 * counters.
 */
export const TAGS = 256n;
const DISTINCT = Number(TAGS);

/** Times of day that a clock may show, microseconds since the Unix epoch: from 2020 until 2100. */
const EARLIEST_US = 1_577_836_800e6;
const LATEST_US = 4_102_444_800e6;

/** 33 bits of time, 3 x 8 bits of fields, 7 bits of marker. */
const MARKER_BITS = 7n;
const FIELD_BITS = 24n;
const TIME_SHIFT = FIELD_BITS + MARKER_BITS;
const UNITS = 1n << (64n - TIME_SHIFT);

/** The unit of time of signed counters, in microseconds. */
export const SIGNED_UNIT_US = SECOND / 4n;
const SIGNED_EPOCH_US = BigInt(EARLIEST_US);
/** From 2021 on: below, signed counters would be times of day as well. */
const EARLIEST_UNIT = unitAt(1_609_459_200n * SECOND);

/** Odd, with bits all over: the golden ratio, as in Fibonacci hashing. */
const SCATTER = 0x9e37_79b9_7f4a_7c15n;

/** The marker of a signed counter: 7 bits that depend on all the others. */
function marker(others: bigint): bigint {
  return BigInt.asUintN(64, others * SCATTER) >> (64n - MARKER_BITS);
}

/** The unit of this time; negative before 2020. */
export function unitAt(us: bigint): bigint {
  const since = us - SIGNED_EPOCH_US;
  return since < 0n ? -1n : since / SIGNED_UNIT_US;
}

/** When this unit begins, microseconds since the Unix epoch. */
export function unitStartUs(unit: bigint): bigint {
  return SIGNED_EPOCH_US + unit * SIGNED_UNIT_US;
}

/** The earliest time that a signed counter can show. */
export const EARLIEST_SIGNED_US = unitStartUs(EARLIEST_UNIT);

/** Makes the signed counter of a unit; undefined: the unit is beyond 33 bits, in 2088. */
export function signedCounter(unit: bigint, { advbase, advskew, demote }: HeaderFields): bigint | undefined {
  if (unit < EARLIEST_UNIT || unit >= UNITS) return undefined;
  const fields = (BigInt(advbase) << 16n) | (BigInt(advskew) << 8n) | BigInt(demote);
  const others = (unit << FIELD_BITS) | fields;
  return (others << MARKER_BITS) | marker(others);
}

/** Whether the counter is in the first format. */
export function isTimeOfDay(counter: bigint): boolean {
  const us = Number(counter);
  return us >= EARLIEST_US && us < LATEST_US;
}

/** Reads a counter; undefined: it is in neither format, and another implementation's. */
export function readCounter(counter: bigint): CounterReading | undefined {
  const us = Number(counter);
  if (us >= EARLIEST_US && us < LATEST_US)
    return { format: "time", us: counter, tag: us - DISTINCT * Math.floor(us / DISTINCT) };
  const unit = counter >> TIME_SHIFT;
  const others = counter >> MARKER_BITS;
  if (unit < EARLIEST_UNIT || BigInt.asUintN(Number(MARKER_BITS), counter) !== marker(others))
    return undefined;
  const bits = Number(BigInt.asUintN(Number(FIELD_BITS), others));
  const fields = { advbase: bits >> 16, advskew: (bits >> 8) & 0xff, demote: bits & 0xff };
  return { format: "signed", us: unitStartUs(unit), fields };
}

export function areEqualFields(a: HeaderFields, b: HeaderFields): boolean {
  return a.advbase === b.advbase && a.advskew === b.advskew && a.demote === b.demote;
}
