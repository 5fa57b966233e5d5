/**
 * HMAC-SHA1 by the addon: for a key that signs every second it takes a third of the time of node:crypto's, which makes an
 * object for each digest.
 */

import type { Hmac } from "../../protocol/authentication.ts";
import { addon } from "../native.ts";

const DIGEST_BYTES = 20;

/** The part of the addon in src/native/sockets/hmac_sha1.cc. */
export const nativeHmac = addon as {
  /** @param key 20 bytes */
  readonly HmacSha1: new (
    key: Uint8Array,
  ) => {
    /** @returns false: OpenSSL offers no such digest */
    digest(message: Uint8Array, into: Uint8Array): boolean;
  };
};

export const hmacSha1: Hmac = (key) => {
  const hmac = new nativeHmac.HmacSha1(key);
  const digest = new Uint8Array(DIGEST_BYTES);
  return (message) => {
    if (!hmac.digest(message, digest)) throw new Error("OpenSSL offers no SHA-1");
    return digest;
  };
};
