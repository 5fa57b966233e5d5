/** The addon's HMAC-SHA1 against node:crypto's, by property. */

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { hmacSha1 } from "../../../src/kernel/sockets/hmac.ts";

test("the digests are those of node:crypto, whatever was signed before", () => {
  const key = fc.uint8Array({ minLength: 20, maxLength: 20 });
  const messages = fc.array(fc.uint8Array({ maxLength: 1200 }), { minLength: 1, maxLength: 5 });
  fc.assert(
    fc.property(key, key, messages, (one, other, all) => {
      const [signs, signsToo] = [hmacSha1(one), hmacSha1(other)];
      for (const message of all) {
        assert.deepEqual(Buffer.from(signs(message)), createHmac("sha1", one).update(message).digest());
        assert.deepEqual(Buffer.from(signsToo(message)), createHmac("sha1", other).update(message).digest());
      }
    }),
  );
});
