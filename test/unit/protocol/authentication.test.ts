/** Authentication: what the digest covers, the pass, the forms that are accepted, and what is refused. */

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { describe, it } from "node:test";
import fc from "fast-check";
import { addressBytes, formatAddress } from "../../../src/protocol/address.ts";
import { Authentication } from "../../../src/protocol/authentication.ts";
import * as draw from "./arbitraries.ts";
import { fromHex, toHex } from "./vectors.ts";

const plain = { pass: "secret", vhid: 7, addresses: ["10.0.0.1"] };
const counter = 0x0102030405060708n;

/** The digest, as the protocol's definition reads, of a message given in hexadecimal. */
function hmac(key: string, message: string): string {
  return createHmac("sha1", Buffer.concat([Buffer.from(key), Buffer.alloc(20)]).subarray(0, 20))
    .update(fromHex(message))
    .digest("hex");
}

function sign(options: ConstructorParameters<typeof Authentication>[0], of = counter): string {
  return toHex(new Authentication(options).sign(of));
}

describe("the digest covers", () => {
  it("version, type, vhid, addresses and counter, in this order", () => {
    assert.equal(sign(plain), hmac("secret", "02 01 07 0a000001 0102030405060708"));
  });

  it("IPv4 before IPv6, each ascending, each address once", () => {
    const addresses = ["2001:db8::2", "10.0.0.10", "2001:db8::1", "10.0.0.9", "10.0.0.10", "2001:db8::1"];
    assert.equal(
      sign({ ...plain, addresses }),
      hmac(
        "secret",
        `02 01 07 0a000009 0a00000a 20010db8000000000000000000000001 20010db8000000000000000000000002
         0102030405060708`,
      ),
    );
  });

  it("a lladdr set by hand, between type and vhid", () => {
    assert.equal(
      sign({ ...plain, handSetLladdr: "02:11:22:33:44:55" }),
      hmac("secret", "02 01 021122334455 07 0a000001 0102030405060708"),
    );
  });

  it("no address when there is none", () => {
    assert.equal(sign({ ...plain, addresses: [] }), hmac("secret", "02 01 07 0102030405060708"));
  });

  it("all 64 bits of the counter", () => {
    assert.equal(sign(plain, 0xffff_ffff_ffff_ffffn), hmac("secret", "02 01 07 0a000001 ffffffffffffffff"));
    assert.equal(sign(plain, 0n), hmac("secret", "02 01 07 0a000001 0000000000000000"));
    assert.throws(() => sign(plain, -1n), RangeError);
    assert.throws(() => sign(plain, 1n << 64n), RangeError);
  });
});

describe("the pass", () => {
  it("counts up to its 19th byte", () => {
    const nineteen = "1234567890123456789";
    assert.equal(sign({ ...plain, pass: nineteen }), hmac(nineteen, "02 01 07 0a000001 0102030405060708"));
    assert.equal(sign({ ...plain, pass: `${nineteen}0` }), sign({ ...plain, pass: nineteen }));
    assert.notEqual(sign({ ...plain, pass: nineteen.slice(0, 18) }), sign({ ...plain, pass: nineteen }));
  });

  it("counts in UTF-8 bytes, even when that splits a character", () => {
    const pass = "1234567890123456é7";
    assert.equal(sign({ ...plain, pass: `12${pass}` }), sign({ ...plain, pass: `12${pass}8` }));
    const split = Buffer.from("123456789012345678é").subarray(0, 19).toString("latin1");
    assert.equal(
      sign({ ...plain, pass: "123456789012345678é" }),
      createHmac("sha1", Buffer.concat([Buffer.from(split, "latin1"), Buffer.alloc(1)]))
        .update(fromHex("02 01 07 0a000001 0102030405060708"))
        .digest("hex"),
    );
  });

  it("ends at a NUL, as the C string that it is elsewhere", () => {
    assert.equal(sign({ ...plain, pass: "secret\0more" }), sign(plain));
    assert.equal(sign({ ...plain, pass: "\0secret" }), sign({ ...plain, pass: "" }));
  });

  it("is 20 zero bytes when empty", () => {
    assert.equal(sign({ ...plain, pass: "" }), hmac("", "02 01 07 0a000001 0102030405060708"));
  });
});

describe("link-local addresses", () => {
  const addresses = ["fe80::1", "2001:db8::1", "10.0.0.1"];
  const both = new Authentication({ ...plain, addresses });
  const without = hmac("secret", "02 01 07 0a000001 20010db8000000000000000000000001 0102030405060708");
  const withThem = hmac(
    "secret",
    `02 01 07 0a000001 20010db8000000000000000000000001 fe800000000000000000000000000001
     0102030405060708`,
  );

  it("are left out of what is sent", () => assert.equal(toHex(both.sign(counter)), without));

  it("are accepted from a peer that leaves them out", () =>
    assert.deepEqual(both.verify(counter, fromHex(without)), { linkLocals: "left-out" }));

  it("are accepted from a peer that does not", () =>
    assert.deepEqual(both.verify(counter, fromHex(withThem)), { linkLocals: "covered" }));

  it("are covered by what is sent where that form is asked for", () => {
    assert.equal(toHex(both.sign(counter, { linkLocals: "covered" })), withThem);
    assert.equal(toHex(both.sign(counter, { linkLocals: "left-out" })), without);
  });

  it("are all in or all out", () => {
    const two = new Authentication({ ...plain, addresses: ["fe80::1", "fe80::2"] });
    const one = new Authentication({ ...plain, addresses: ["10.0.0.1", "fe80::1"] });
    const half = hmac("secret", "02 01 07 fe800000000000000000000000000001 0102030405060708");
    assert.ok(!two.verify(counter, fromHex(half)));
    assert.ok(!one.verify(counter, fromHex(half)));
  });

  it("must be the ones that are configured", () => {
    const other = new Authentication({ ...plain, addresses: ["fe80::2", "2001:db8::1", "10.0.0.1"] });
    assert.ok(!other.verify(counter, fromHex(withThem)));
  });
});

describe("its forms", () => {
  it("are those that it verifies, in the hands of somebody else", () => {
    const addresses = ["10.0.0.1", "fe80::1"];
    const { forms } = new Authentication({ ...plain, addresses });
    const digests = forms.map(({ vhid, key, message }) => {
      const bytes = Buffer.from(message);
      assert.deepEqual([vhid, bytes.readBigUInt64BE(bytes.length - 8)], [7, 0n]);
      bytes.writeBigUInt64BE(counter, bytes.length - 8);
      return createHmac("sha1", key).update(bytes).digest("hex");
    });
    assert.deepEqual(digests, [
      hmac("secret", "02 01 07 0a000001 0102030405060708"),
      hmac("secret", "02 01 07 0a000001 fe800000000000000000000000000001 0102030405060708"),
    ]);
    assert.equal(new Authentication(plain).forms.length, 1);
  });

  it("are copies: nobody can change by them what is signed", () => {
    const authentication = new Authentication(plain);
    const before = toHex(authentication.sign(counter));
    for (const { key, message } of authentication.forms) for (const bytes of [key, message]) bytes.fill(0xff);
    assert.equal(toHex(authentication.sign(counter)), before);
  });
});

describe("a digest is refused", () => {
  it("when it is not 20 bytes long", () => {
    const authentication = new Authentication(plain);
    const digest = authentication.sign(counter);
    assert.ok(authentication.verify(counter, digest));
    for (let length = 0; length < 20; length++) {
      assert.ok(!authentication.verify(counter, digest.subarray(0, length)));
    }
    assert.ok(!authentication.verify(counter, Uint8Array.of(...digest, 0)));
  });

  it("when any one bit of it, of the counter, of the vhid or of an address is not right", () => {
    fc.assert(
      fc.property(draw.authentication, draw.counter, fc.nat(), (options, of, choice) => {
        const authentication = new Authentication(options);
        const digest = authentication.sign(of);
        assert.ok(authentication.verify(of, digest));

        const spoiled = flipBit(digest, choice % 160);
        assert.ok(!authentication.verify(of, spoiled));
        assert.ok(!authentication.verify(of ^ (1n << BigInt(choice % 64)), digest));

        const vhid = options.vhid ^ (1 << (choice % 8));
        if (vhid !== 0) assert.ok(!new Authentication({ ...options, vhid }).verify(of, digest));
      }),
    );
  });

  it("when one bit of an address that is not link-local differs", () => {
    fc.assert(
      fc.property(fc.oneof(draw.ipv4, draw.ipv6), draw.counter, fc.nat(), (address, of, choice) => {
        fc.pre(!/^fe[89ab][0-9a-f]:/.test(address));
        const bytes = addressBytes(address);
        const other = formatAddress(flipBit(bytes, choice % (bytes.length * 8)));
        const digest = new Authentication({ ...plain, addresses: [address] }).sign(of);
        assert.ok(!new Authentication({ ...plain, addresses: [other] }).verify(of, digest));
      }),
    );
  });

  it("when the pass, the lladdr or the set of addresses differs", () => {
    const digest = new Authentication(plain).sign(counter);
    const others = [
      { ...plain, pass: "Secret" },
      { ...plain, pass: "" },
      { ...plain, handSetLladdr: "02:11:22:33:44:55" },
      { ...plain, addresses: [] },
      { ...plain, addresses: ["10.0.0.1", "10.0.0.2"] },
      { ...plain, addresses: ["10.0.0.1", "2001:db8::1"] },
    ];
    for (const other of others) assert.ok(!new Authentication(other).verify(counter, digest));
  });
});

describe("an Authentication", () => {
  it("remembers nothing from one message to the next", () => {
    const authentication = new Authentication(plain);
    const first = toHex(authentication.sign(1n));
    authentication.verify(0xffff_ffff_ffff_ffffn, new Uint8Array(20));
    assert.equal(toHex(authentication.sign(1n)), first);
  });

  it("does not show its pass to whoever prints it", async () => {
    const { inspect } = await import("node:util");
    const shown = inspect(new Authentication({ ...plain, pass: "hunter2" }), {
      depth: null,
      showHidden: true,
    });
    assert.ok(!shown.includes("hunter2"));
    assert.ok(!JSON.stringify(new Authentication({ ...plain, pass: "hunter2" })).includes("hunter2"));
  });

  it("takes canonical addresses and a vhid in range only", () => {
    for (const vhid of [0, 256, 1.5]) assert.throws(() => new Authentication({ ...plain, vhid }), RangeError);
    assert.throws(() => new Authentication({ ...plain, addresses: ["10.1"] }), TypeError);
    assert.throws(() => new Authentication({ ...plain, handSetLladdr: "2:1:2:3:4:5" }), TypeError);
  });
});

function flipBit(bytes: Uint8Array, bit: number): Uint8Array {
  return bytes.map((value, i) => (i === bit >> 3 ? value ^ (0x80 >> (bit & 7)) : value));
}
