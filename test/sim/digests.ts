/**
 * Digests for the simulator's speed: replaces `createHmac` of node:crypto for digests of advertisements by a hash that is
 * no secret and takes a fraction of the time, and `timingSafeEqual` by a plain comparison. Hosts only compare digests,
 * and nobody in a simulation guesses one.
 */

import crypto, { type BinaryLike, type KeyObject } from "node:crypto";
import { syncBuiltinESMExports } from "node:module";

const DIGEST_BYTES = 20;
const NOTHING = new Uint8Array();

const seeds = new WeakMap<KeyObject, number>();
const { createHmac, KeyObject: Key } = crypto;

/** Replaces both for every module that imports them, also for modules that already have. */
Object.assign(crypto, {
  createHmac: (algorithm: string, key: BinaryLike | KeyObject) =>
    algorithm === "sha1" && key instanceof Key ? new QuickHmac(seedOf(key)) : createHmac(algorithm, key),
  timingSafeEqual: (a: Uint8Array, b: Uint8Array) => {
    if (a.length !== b.length) throw new RangeError("input buffers must have the same length");
    for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
    return true;
  },
});
syncBuiltinESMExports();

class QuickHmac {
  readonly #seed: number;
  #message = NOTHING;

  constructor(seed: number) {
    this.#seed = seed;
  }

  update(message: Uint8Array<ArrayBuffer>): this {
    this.#message = message;
    return this;
  }

  digest(): Uint8Array {
    const message = this.#message;
    const digest = new Uint8Array(DIGEST_BYTES);
    let [a, b] = [this.#seed, ~this.#seed];
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
}

/** The first word of the key's true HMAC of nothing. */
function seedOf(key: KeyObject): number {
  const known = seeds.get(key);
  if (known !== undefined) return known;
  const seed = createHmac("sha1", key).digest().readInt32BE();
  seeds.set(key, seed);
  return seed;
}
