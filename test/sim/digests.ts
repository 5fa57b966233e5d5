/**
 * HMAC-SHA1 that remembers. In a simulation every host that hears an advertisement computes what its sender has just
 * computed, of the very same bytes: here node:crypto is asked once. What the core gets is what it would have got.
 */

import crypto, { type BinaryLike, type KeyObject } from "node:crypto";
import { syncBuiltinESMExports } from "node:module";

interface Known {
  readonly key: string;
  readonly message: Uint8Array;
  readonly digest: Uint8Array;
}

/** As many as may be under way at once; a power of 2. */
const PLACES = 4096;

const known: (Known | undefined)[] = new Array(PLACES).fill(undefined);
const keys = new WeakMap<KeyObject, string>();
const { createHmac } = crypto;

/** So that whoever imports `createHmac`, from now on or already, gets this one. */
Object.assign(crypto, {
  createHmac: (algorithm: string, key: BinaryLike | KeyObject) =>
    algorithm === "sha1" && isKeyObject(key) ? new Remembering(key) : createHmac(algorithm, key),
});
syncBuiltinESMExports();

class Remembering {
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
    const place = hashOf(key, message);
    const there = known[place];
    if (there !== undefined && there.key === key && areEqual(there.message, message)) return there.digest;
    const digest = createHmac("sha1", this.#key).update(message).digest();
    known[place] = { key, message: Uint8Array.from(message), digest };
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

/** FNV-1a. */
function hashOf(key: string, message: Uint8Array): number {
  let hash = 0x811c9dc5 ^ key.charCodeAt(0);
  for (let i = 0; i < message.length; i++) hash = Math.imul(hash ^ (message[i] as number), 0x01000193);
  return (hash ^ (hash >>> 15)) & (PLACES - 1);
}

function areEqual(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = a.length - 1; i >= 0; i--) if (a[i] !== b[i]) return false;
  return true;
}
