/**
 * The digests of a simulated cluster: a hash that takes a fraction of the time of HMAC-SHA1. All hosts have one pass and
 * none forges an advertisement, so that a digest only has to be another one for other addresses and another counter.
 */

import type { Hmac } from "../../protocol/authentication.ts";

const DIGEST_BYTES = 20;

export const quickDigest: Hmac = () => (message) => {
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
};
