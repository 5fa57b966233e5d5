/** Subnets, netmasks and prefix lengths. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { addressBytes } from "../../../src/protocol/address.ts";
import * as subnet from "../../../src/protocol/subnet.ts";

describe("subnets", () => {
  const cases: [string, number, string, boolean][] = [
    ["10.0.0.0", 24, "10.0.0.255", true],
    ["10.0.0.77", 24, "10.0.0.1", true],
    ["10.0.0.0", 24, "10.0.1.0", false],
    ["10.0.0.0", 25, "10.0.0.128", false],
    ["10.0.0.0", 0, "255.0.0.1", true],
    ["10.0.0.1", 32, "10.0.0.1", true],
    ["10.0.0.1", 32, "10.0.0.2", false],
    ["2001:db8::", 64, "2001:db8::ffff:0:0:1", true],
    ["2001:db8::", 64, "2001:db8:0:1::1", false],
    ["2001:db8::", 63, "2001:db8:0:1::1", true],
    ["::", 0, "2001:db8::1", true],
    ["::", 0, "10.0.0.1", false],
    ["0.0.0.0", 0, "::1", false],
  ];
  for (const [network, prefixLength, address, inside] of cases) {
    it(`${network}/${prefixLength} ${inside ? "contains" : "does not contain"} ${address}`, () => {
      assert.equal(subnet.contains(network, prefixLength, address), inside);
    });
  }

  it("refuse a prefix length that their family does not have", () => {
    for (const prefixLength of [-1, 33, 1.5, Number.NaN]) {
      assert.throws(() => subnet.contains("10.0.0.0", prefixLength, "10.0.0.1"), RangeError);
      assert.throws(() => subnet.netmask(prefixLength), RangeError);
      assert.throws(() => subnet.broadcastAddress("10.0.0.1", prefixLength), RangeError);
    }
    assert.throws(() => subnet.contains("::", 129, "::1"), RangeError);
  });
});

describe("netmasks", () => {
  it("turn into prefix lengths and back, in both notations", () => {
    for (let prefixLength = 0; prefixLength <= 32; prefixLength++) {
      const mask = subnet.netmask(prefixLength);
      assert.equal(subnet.prefixLengthOf(mask), prefixLength);
      const hex = Buffer.from(addressBytes(mask)).toString("hex");
      assert.equal(subnet.prefixLengthOf(`0x${hex}`), prefixLength);
      assert.equal(subnet.prefixLengthOf(`0x${hex.toUpperCase()}`), prefixLength);
    }
    assert.equal(subnet.netmask(0), "0.0.0.0");
    assert.equal(subnet.netmask(20), "255.255.240.0");
    assert.equal(subnet.netmask(32), "255.255.255.255");
  });

  for (const mask of [
    "255.0.255.0",
    "0.0.0.255",
    "255.255.255.1",
    "0xff00ff00",
    "0x1",
    "0xfffffffff",
    "0x",
    "24",
    "",
    "ffffff00",
  ]) {
    it(`are not ${JSON.stringify(mask)}`, () => assert.equal(subnet.prefixLengthOf(mask), undefined));
  }

  it("give every host bit to the broadcast address", () => {
    assert.equal(subnet.broadcastAddress("10.1.2.3", 24), "10.1.2.255");
    assert.equal(subnet.broadcastAddress("10.1.2.3", 20), "10.1.15.255");
    assert.equal(subnet.broadcastAddress("10.1.2.3", 32), "10.1.2.3");
    assert.equal(subnet.broadcastAddress("10.1.2.3", 0), "255.255.255.255");
    assert.throws(() => subnet.broadcastAddress("::1", 24), TypeError);
  });

  it("follow the class of an address when none is given", () => {
    const lengths = ["10.0.0.1", "127.0.0.1", "128.0.0.1", "191.255.0.1", "192.0.2.1", "223.0.0.1"];
    assert.deepEqual(lengths.map(subnet.classfulPrefixLength), [8, 8, 16, 16, 24, 24]);
    assert.throws(() => subnet.classfulPrefixLength("::1"), TypeError);
  });
});

describe("the subnet of an address", () => {
  it("is the same for every address of one prefix, and another for another prefix length", () => {
    assert.equal(subnet.subnetOf({ address: "10.1.2.3", prefixLength: 20 }), "10.1.0.0/20");
    assert.equal(subnet.subnetOf({ address: "2001:db8::1", prefixLength: 64 }), "2001:db8::/64");
    const one = { address: "10.0.0.1", prefixLength: 24 };
    assert.ok(subnet.sameSubnet(one, { address: "10.0.0.200", prefixLength: 24 }));
    assert.ok(!subnet.sameSubnet(one, { address: "10.0.0.200", prefixLength: 25 }));
    assert.ok(!subnet.sameSubnet(one, { address: "10.0.1.1", prefixLength: 24 }));
  });

  it("is the address itself under a prefix length that its family does not have", () => {
    assert.equal(subnet.subnetOf({ address: "10.1.2.3", prefixLength: 200 }), "10.1.2.3/200");
  });

  it("has the broadcast address that was given, or its last; none where there is no room for one", () => {
    const address = "10.0.0.1";
    assert.equal(subnet.broadcastOf({ family: 4, address, prefixLength: 24 }), "10.0.0.255");
    assert.equal(
      subnet.broadcastOf({ family: 4, address, prefixLength: 24, broadcast: "10.0.0.0" }),
      "10.0.0.0",
    );
    assert.equal(subnet.broadcastOf({ family: 4, address, prefixLength: 31 }), undefined);
    assert.equal(subnet.broadcastOf({ family: 6, address: "2001:db8::1", prefixLength: 64 }), undefined);
  });
});

describe("subnets overlap", () => {
  const drawn = fc.record({
    address: fc
      .tuple(fc.constantFrom(10, 11), fc.nat(3), fc.nat(3), fc.nat(255))
      .map((bytes) => bytes.join(".")),
    prefixLength: fc.integer({ min: 0, max: 32 }),
  });

  it("when one has the address of the other, and a test of many says the same as of each", () => {
    const property = fc.property(drawn, fc.array(drawn, { maxLength: 5 }), (one, many) => {
      const has = (a: typeof one, b: typeof one) => subnet.contains(a.address, a.prefixLength, b.address);
      for (const each of many) assert.equal(subnet.overlap(one, each), has(one, each) || has(each, one));
      const isOne = many.some((each) => subnet.overlap(each, one));
      assert.equal(subnet.overlapWith(many)(one), isOne);
    });
    fc.assert(property);
  });

  it("within one family alone", () => {
    const ipv6 = { address: "::", prefixLength: 0 };
    assert.ok(!subnet.overlap(ipv6, { address: "10.0.0.1", prefixLength: 0 }));
    assert.ok(!subnet.overlapWith([ipv6])({ address: "10.0.0.1", prefixLength: 0 }));
  });
});
