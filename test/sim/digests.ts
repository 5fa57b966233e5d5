/**
 * Digests for the simulator's speed: a hash in place of HMAC-SHA1 that is no secret and takes a fraction of the time, and a
 * plain comparison in place of `timingSafeEqual` of node:crypto. Hosts only compare digests, and nobody in a simulation
 * guesses one.
 */

import crypto from "node:crypto";
import { syncBuiltinESMExports } from "node:module";
import type { Hmac, SignedForm } from "../../src/protocol/authentication.ts";

const DIGEST_BYTES = 20;
const COUNTER_BYTES = 8;

/** Replaces it for every module that imports it, also for modules that already have. */
Object.assign(crypto, {
  timingSafeEqual: (a: Uint8Array, b: Uint8Array) => {
    if (a.length !== b.length) throw new RangeError("input buffers must have the same length");
    return areEqual(a, b);
  },
});
syncBuiltinESMExports();

interface Signed {
  readonly message: Uint8Array;
  readonly digest: Uint8Array;
}

/** The last ones of each key, by the vhid: its receivers ask for what its sender asked for. */
const latest = new Map<number, (Signed | undefined)[]>();

/** The hash of a simulation. */
export const simulatedHmac: Hmac = (key) => {
  const seed = key.reduce((sum, byte) => Math.imul(sum ^ byte, 0x01000193), 0x811c9dc5);
  const ofKey = latest.get(seed) ?? [];
  latest.set(seed, ofKey);
  return (message) => {
    const vhid = message[2] as number;
    const known = ofKey[vhid];
    if (known !== undefined && areEqual(known.message, message)) return known.digest;
    const digest = hashOf(seed, message);
    ofKey[vhid] = { message: message.slice(), digest };
    return digest;
  };
};

function areEqual(one: Uint8Array, other: Uint8Array): boolean {
  if (one.length !== other.length) return false;
  // The counter differs first: it is the end.
  for (let at = one.length - 1; at >= 0; at--) if (one[at] !== other[at]) return false;
  return true;
}

function hashOf(seed: number, message: Uint8Array): Uint8Array {
  const digest = new Uint8Array(DIGEST_BYTES);
  let [a, b] = [seed, ~seed];
  for (let i = 0; i < message.length; i++) {
    const byte = message[i] as number;
    a = Math.imul(a ^ byte, 0x01000193);
    b = Math.imul(b ^ byte ^ (a >>> 15), 0x85ebca6b);
  }
  for (let i = 0; i < DIGEST_BYTES; i += 4) {
    a = Math.imul(a ^ (a >>> 16) ^ b, 0xc2b2ae35);
    b = Math.imul(b ^ (b >>> 13) ^ a, 0x27d4eb2f);
    digest[i] = a;
    digest[i + 1] = a >>> 8;
    digest[i + 2] = a >>> 16;
    digest[i + 3] = a >>> 24;
  }
  return digest;
}

interface Form {
  readonly vhid: number;
  readonly message: Uint8Array;
  readonly counterPlace: DataView;
  readonly digest: (message: Uint8Array) => Uint8Array;
}

/** What the receiving thread of an engine checks digests with, as the core has told it. */
export class SignedForms {
  readonly #forms = new Map<string, readonly Form[]>();

  /** @param name of the carp interface that they are of, in place of its former ones */
  expect(name: string, forms: readonly SignedForm[]): void {
    this.#forms.set(
      name,
      forms.map(({ vhid, key, message }) => {
        const copy = message.slice();
        const counterPlace = new DataView(copy.buffer, copy.length - COUNTER_BYTES);
        return { vhid, message: copy, counterPlace, digest: simulatedHmac(key) };
      }),
    );
  }

  /** Whether one of them is that of the advertisement. */
  areOf(said: { readonly vhid: number; readonly counter: bigint; readonly digest: Uint8Array }): boolean {
    for (const forms of this.#forms.values())
      for (const { vhid, message, counterPlace, digest } of forms) {
        if (vhid !== said.vhid) continue;
        counterPlace.setBigUint64(0, said.counter);
        if (areEqual(digest(message), said.digest)) return true;
      }
    return false;
  }
}
