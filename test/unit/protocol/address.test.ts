/** IP and MAC addresses: reading, canonical text, bytes, link-local. */

import assert from "node:assert/strict";
import { isIP } from "node:net";
import { describe, it } from "node:test";
import fc from "fast-check";
import * as protocol from "../../../src/protocol/address.ts";
import { ipv4Bytes, ipv6Bytes, mac } from "./arbitraries.ts";

const { parseAddress } = protocol;

describe("reading an address", () => {
  it("takes dotted decimal as it stands", () => {
    assert.deepEqual(parseAddress("192.0.2.255"), {
      family: 4,
      address: "192.0.2.255",
      bytes: Uint8Array.of(192, 0, 2, 255),
    });
  });

  const canonical: [string, string][] = [
    ["::", "::"],
    ["0:0:0:0:0:0:0:1", "::1"],
    ["2001:DB8::1", "2001:db8::1"],
    ["2001:0db8:0000:0000:0000:0000:0000:0001", "2001:db8::1"],
    ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
    ["2001:db8:0:0:1:0:0:0", "2001:db8:0:0:1::"],
    ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
    ["2001:db8::1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
    ["fe80:0:0:0:0:0:0:0", "fe80::"],
    ["64:ff9b::192.0.2.33", "64:ff9b::c000:221"],
    ["::10.0.0.1", "::a00:1"],
    ["::0:0.0.0.0", "::"],
    ["1:2:3:4:5:6:10.0.0.1", "1:2:3:4:5:6:a00:1"],
    ["1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"],
  ];
  for (const [text, address] of canonical) {
    it(`takes ${text} as ${address}`, () => {
      assert.equal(parseAddress(text)?.address, address);
      assert.equal(parseAddress(text)?.family, 6);
      assert.equal(parseAddress(text)?.bytes.length, 16);
    });
  }

  const refused = [
    "",
    "10.1",
    "10.0.0",
    "10.0.0.0.1",
    "10.0.0.1.",
    ".10.0.0.1",
    "10..0.1",
    "010.0.0.1",
    "10.0.0.08",
    "0x0a.0.0.1",
    "167772161",
    "10.0.0.256",
    "10.0.0.-1",
    "10.0.0.1/24",
    " 10.0.0.1",
    "10.0.0.1 ",
    "10.0.0.1\n",
    "10.0.0.1\0",
    "１０.0.0.1",
    "carp0",
    ":",
    ":::",
    "1::2::3",
    "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:8:9",
    "1:2:3:4:5:6:7:8::",
    ":1:2:3:4:5:6:7:8",
    "1:2:3:4:5:6:7:",
    "12345::",
    "g::",
    "::1\n",
    "[::1]",
    "2001:db8::1/64",
    "fe80::1%eth0",
    "fe80::1%1",
    "::010.0.0.1",
    "::10.0.1",
    "::10.0.0.1:1",
    "::256.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:a00:1",
    "0:0:0:0:0:FFFF:10.0.0.1",
    `${":".repeat(100_000)}`,
    `::${"0".repeat(100_000)}1`,
  ];
  for (const text of refused) {
    it(`refuses ${JSON.stringify(text.slice(0, 40))}`, () => assert.equal(parseAddress(text), undefined));
  }

  it("takes exactly what inet_pton takes, but for zone ids and IPv4-mapped addresses", () => {
    const words = fc.constantFrom(
      "0",
      "1",
      "ff",
      "FFFF",
      "0db8",
      "00001",
      "10.0.0.1",
      "010.0.0.1",
      "256.1.1.1",
      "%1",
      "",
    );
    const text = fc.array(words, { maxLength: 10 }).map((parts) => parts.join(":"));
    fc.assert(
      fc.property(fc.oneof(text, fc.string(), fc.ipV4(), fc.ipV6(), fc.ipV4Extended()), (candidate) => {
        const parsed = parseAddress(candidate);
        const family = candidate.includes("%") ? 0 : isIP(candidate);
        const hostname = family === 6 ? new URL(`http://[${candidate}]`).hostname.slice(1, -1) : candidate;
        const mapped = /^::ffff:[^:]+:[^:]+$/.test(hostname);
        assert.equal(parsed?.family, family === 0 || mapped ? undefined : family);
        assert.equal(parsed?.address, parsed && hostname);
      }),
      { numRuns: 5000 },
    );
  });
});

describe("canonical addresses and bytes", () => {
  it("turn into each other for every address", () => {
    fc.assert(
      fc.property(fc.oneof(ipv4Bytes, ipv6Bytes), (bytes) => {
        assert.deepEqual(protocol.addressBytes(protocol.formatAddress(bytes)), bytes);
      }),
    );
  });

  it("compress the longest run of zeros, the first of equals, and never a single word", () => {
    fc.assert(
      fc.property(ipv6Bytes, (bytes) => {
        assert.equal(protocol.formatAddress(bytes), rfc5952(bytes));
      }),
    );
  });

  it("keep an IPv4-mapped address that came from the wire in IPv6's own form", () => {
    const mapped = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 1);
    assert.equal(protocol.formatAddress(mapped), "::ffff:a00:1");
    assert.deepEqual(protocol.addressBytes("::ffff:a00:1"), mapped);
  });

  for (const text of ["2001:DB8::1", "2001:db8:0::1", "10.1", "carp0", "::10.0.0.1"]) {
    it(`treat ${text} as a bug`, () => assert.throws(() => protocol.addressBytes(text), TypeError));
  }

  it("have 4 or 16 bytes", () => {
    for (const length of [0, 3, 5, 15, 17]) {
      assert.throws(() => protocol.formatAddress(new Uint8Array(length)), TypeError);
    }
  });

  it("have precedence by family, then as numbers from the last byte to the first", () => {
    const sorted = ["192.0.2.1", "10.0.0.2", "10.0.0.10", "9.255.255.255", "::100", "fe80::1", "::9", "::a"];
    const shuffled = [
      "fe80::1",
      "10.0.0.10",
      "::100",
      "192.0.2.1",
      "::9",
      "10.0.0.2",
      "::a",
      "9.255.255.255",
    ];
    assert.deepEqual(shuffled.sort(protocol.comparePrecedence), sorted);
    assert.equal(protocol.comparePrecedence("::1", "::1"), 0);
  });
});

/** The canonical text, worked out the plain way. */
function rfc5952(bytes: Uint8Array): string {
  const words = Array.from({ length: 8 }, (_, i) => ((bytes[i * 2] ?? 0) << 8) | (bytes[i * 2 + 1] ?? 0));
  for (let length = 8; length >= 2; length--) {
    for (let start = 0; start + length <= 8; start++) {
      if (words.slice(start, start + length).some((word) => word !== 0)) continue;
      const text = (part: number[]) => part.map((word) => word.toString(16)).join(":");
      return `${text(words.slice(0, start))}::${text(words.slice(start + length))}`;
    }
  }
  return words.map((word) => word.toString(16)).join(":");
}

describe("link-local addresses", () => {
  for (const address of ["fe80::", "fe80::1", "fe90::1", "febf:ffff::1"]) {
    it(`include ${address}`, () => assert.ok(protocol.isLinkLocal(address)));
  }
  for (const address of [
    "fe7f::1",
    "fec0::1",
    "fe8::1",
    "fe80",
    "169.254.0.1",
    "2001:db8::fe80:1",
    "::fe80:0",
  ]) {
    it(`do not include ${address}`, () => assert.ok(!protocol.isLinkLocal(address)));
  }
});

describe("MAC addresses", () => {
  it("are read in any case and with one-digit octets", () => {
    assert.equal(protocol.parseMac("0:0:5E:0:1:a"), "00:00:5e:00:01:0a");
    assert.equal(protocol.parseMac("00:00:5e:00:01:0a"), "00:00:5e:00:01:0a");
  });

  for (const text of [
    "",
    "0:0:5e:0:1",
    "0:0:5e:0:1:2:3",
    "0-0-5e-0-1-2",
    "00005e000102",
    "0:0:5e:0:1:123",
    "0:0:5e:0:1:g",
    "0:0:5e:0:1:",
    "0:0:5e:0:1:1\n",
  ]) {
    it(`are not ${JSON.stringify(text)}`, () => assert.equal(protocol.parseMac(text), undefined));
  }

  it("turn into bytes and back", () => {
    fc.assert(
      fc.property(mac, (text) => {
        assert.equal(protocol.formatMac(protocol.macBytes(text)), text);
        assert.equal(protocol.parseMac(text), text);
      }),
    );
    assert.throws(() => protocol.macBytes("0:0:5e:0:1:1"), TypeError);
    assert.throws(() => protocol.macBytes("00:00:5E:00:01:01"), TypeError);
    assert.throws(() => protocol.formatMac(new Uint8Array(5)), TypeError);
  });

  it("name the virtual host in their last octet", () => {
    assert.equal(protocol.virtualMac(1), "00:00:5e:00:01:01");
    assert.equal(protocol.virtualMac(255), "00:00:5e:00:01:ff");
    assert.equal(protocol.multicastMac(16), "01:00:5e:00:01:10");
    for (const vhid of [0, 256, -1, 1.5]) {
      assert.throws(() => protocol.virtualMac(vhid), RangeError);
      assert.throws(() => protocol.multicastMac(vhid), RangeError);
    }
  });
});
