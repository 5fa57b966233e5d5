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
