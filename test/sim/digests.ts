/**
 * Digests for the simulator's speed: replaces `createHmac` of node:crypto for digests of advertisements by a hash that is
 * no secret and takes a fraction of the time. Hosts only compare digests, and nobody in a simulation guesses one.
 */

import crypto, { type BinaryLike, type KeyObject } from "node:crypto";
import { syncBuiltinESMExports } from "node:module";

const DIGEST_WORDS = 5;

const seeds = new WeakMap<KeyObject, number>();
const { createHmac } = crypto;

/** Replaces `createHmac` for every module that imports it, also for modules that already have. */
Object.assign(crypto, {
  createHmac: (algorithm: string, key: BinaryLike | KeyObject) =>
    algorithm === "sha1" && key instanceof crypto.KeyObject
      ? new QuickHmac(seedOf(key))
      : createHmac(algorithm, key),
});
syncBuiltinESMExports();

class QuickHmac {
  readonly #seed: number;
  #message: Uint8Array = new Uint8Array();

  constructor(seed: number) {
    this.#seed = seed;
  }

  update(message: Uint8Array): this {
    this.#message = message;
    return this;
  }

  digest(): Uint8Array {
    const words = new Uint32Array(DIGEST_WORDS);
    let [a, b] = [this.#seed, ~this.#seed];
    for (const byte of this.#message) {
      a = Math.imul(a ^ byte, 0x01000193);
      b = Math.imul(b ^ byte ^ (a >>> 15), 0x85ebca6b);
    }
    for (let i = 0; i < DIGEST_WORDS; i++) {
      a = Math.imul(a ^ (a >>> 16) ^ b, 0xc2b2ae35);
      b = Math.imul(b ^ (b >>> 13) ^ a, 0x27d4eb2f);
      words[i] = a;
    }
    return new Uint8Array(words.buffer);
  }
}

/** The first word of the key's true HMAC of nothing. */
function seedOf(key: KeyObject): number {
  const known = seeds.get(key) ?? createHmac("sha1", key).digest().readInt32BE();
  seeds.set(key, known);
  return known;
}
