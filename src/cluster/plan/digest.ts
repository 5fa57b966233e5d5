/**
 * The digests of a simulated cluster: a hash that takes a fraction of the time of HMAC-SHA1. All hosts have one pass and
 * none forges an advertisement, so that a digest only has to be another one for other addresses and another counter.
 */

import type { Hmac } from "../../protocol/authentication.ts";

const DIGEST_BYTES = 20;

interface Signed {
  readonly message: Uint8Array;
  readonly digest: Uint8Array;
}

/** The last one by its third byte, which is the vhid for most: its receivers ask for what its sender asked for. */
const latest: (Signed | undefined)[] = new Array(256).fill(undefined);

export const quickDigest: Hmac = () => (message) => {
  const at = message[2] as number;
  const known = latest[at];
  if (known !== undefined && areEqual(known.message, message)) return known.digest;
  const digest = hashOf(message);
  latest[at] = { message: message.slice(), digest };
  return digest;
};

function areEqual(one: Uint8Array, other: Uint8Array): boolean {
  if (one.length !== other.length) return false;
  // The counter differs first: it is the end.
  for (let at = one.length - 1; at >= 0; at--) if (one[at] !== other[at]) return false;
  return true;
}

function hashOf(message: Uint8Array): Uint8Array {
  let [a, b] = [0x811c9dc5, 0x1000193];
  for (let at = 0; at < message.length; at++) {
    a = Math.imul(a ^ (message[at] as number), 0x01000193);
    b = Math.imul(b ^ a ^ (a >>> 15), 0x85ebca6b);
  }
  const digest = new Uint8Array(DIGEST_BYTES);
  for (let at = 0; at < DIGEST_BYTES; at++) {
    a = Math.imul(a ^ (a >>> 13) ^ b, 0xc2b2ae35);
    digest[at] = a >>> 24;
  }
  return digest;
}
