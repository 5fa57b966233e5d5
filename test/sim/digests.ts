/**
 * Caches HMAC-SHA1 for the simulator's speed: every receiver of an advertisement computes the digest that its
 * sender has just computed. Replaces `createHmac` of node:crypto; the core gets the same digests as without
 * the cache.
 */

import crypto, { type BinaryLike, type KeyObject } from "node:crypto";
import { syncBuiltinESMExports } from "node:module";

interface CachedDigest {
  readonly key: string;
  readonly message: Uint8Array;
  readonly digest: Uint8Array;
}

/** Slots of the cache; a power of 2, and more than advertisements are under way at once. */
const SLOTS = 4096;

const known: (CachedDigest | undefined)[] = new Array(SLOTS).fill(undefined);
const keys = new WeakMap<KeyObject, string>();
const { createHmac } = crypto;

/** Replaces `createHmac` for every module that imports it, also for modules that already have. */
Object.assign(crypto, {
  createHmac: (algorithm: string, key: BinaryLike | KeyObject) =>
    algorithm === "sha1" && isKeyObject(key) ? new CachingHmac(key) : createHmac(algorithm, key),
});
syncBuiltinESMExports();

class CachingHmac {
  readonly #key: KeyObject;
  #message: Uint8Array = new Uint8Array();

  constructor(key: KeyObject) {
    this.#key = key;
  }

  update(message: Uint8Array): this {
    this.#message = message;
    return this;
  }

  digest(): Uint8Array {
    const key = textOf(this.#key);
    const message = this.#message;
    const slot = hashOf(key, message);
    const cached = known[slot];
    if (cached !== undefined && cached.key === key && areEqual(cached.message, message)) return cached.digest;
    const digest = createHmac("sha1", this.#key).update(message).digest();
    known[slot] = { key, message: Uint8Array.from(message), digest };
    return digest;
  }
}

function isKeyObject(key: BinaryLike | KeyObject): key is KeyObject {
  return key instanceof crypto.KeyObject;
}

function textOf(key: KeyObject): string {
  const text = keys.get(key) ?? key.export().toString("latin1");
  keys.set(key, text);
  return text;
}

/** The FNV-1a hash of a message, as a slot. */
function hashOf(key: string, message: Uint8Array): number {
  let hash = 0x811c9dc5 ^ key.charCodeAt(0);
  for (let i = 0; i < message.length; i++) hash = Math.imul(hash ^ (message[i] as number), 0x01000193);
  return (hash ^ (hash >>> 15)) & (SLOTS - 1);
}

function areEqual(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = a.length - 1; i >= 0; i--) if (a[i] !== b[i]) return false;
  return true;
}
