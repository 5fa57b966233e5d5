/**
 * Makes the counters that hosts running carpctl send, for tests that hold the pass and need recordings of any
 * age. Written from carp(4) alone: it must not use src/core, whose mistakes it would repeat.
 */

/** Microseconds since the Unix epoch, this many seconds ago. */
function agoUs(seconds: number): bigint {
  return BigInt(Date.now()) * 1000n - BigInt(Math.round(seconds * 1e6));
}

/** The time of day; the low 8 bits are the last byte of the host's address. */
export function timeCounter(secondsAgo: number, lastByte: number): bigint {
  const us = agoUs(secondsAgo);
  return us - (us % 256n) + BigInt(lastByte);
}

/** Quarter seconds since 2020, advbase, advskew, demote count, and a marker of 7 bits. */
export function signedCounter(
  secondsAgo: number,
  { advbase = 1, advskew = 0, demote = 0 }: { advbase?: number; advskew?: number; demote?: number },
): bigint {
  const quarters = (agoUs(secondsAgo) - 1_577_836_800_000_000n) / 250_000n;
  const others = (quarters << 24n) | BigInt((advbase << 16) | (advskew << 8) | demote);
  const marker = BigInt.asUintN(64, others * 0x9e37_79b9_7f4a_7c15n) >> 57n;
  return (others << 7n) | marker;
}
