/** VRRP is recognised by its length and checksum, and never taken for CARP, nor CARP for VRRP. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { addressBytes } from "../../../src/protocol/address.ts";
import { encodeAdvertisement } from "../../../src/protocol/advertisement.ts";
import { Authentication } from "../../../src/protocol/authentication.ts";
import { parseVrrp } from "../../../src/protocol/vrrp.ts";
import * as forge from "../../hosts/forge.ts";
import { advertisements, fromHex } from "./vectors.ts";

const pair = (source: string, destination: string) => ({
  source: addressBytes(source),
  destination: addressBytes(destination),
});
const OVER_IPV4 = pair("10.0.0.9", "224.0.0.18");
const OVER_IPV6 = pair("fe80::9", "ff02::12");
const shared = (count: number) => Array.from({ length: count }, (_, n) => `10.0.0.${n + 50}`);

describe("VRRP", () => {
  // Five addresses of version 2 are as long as an advertisement; CARP has 7 in the place of the count.
  for (const version of [2, 3] as const)
    for (const count of [0, 1, 5, 7, 20])
      it(`is recognised: version ${version}, ${count} addresses`, () => {
        const message = forge.vrrp({ version, number: 51, shared: shared(count), source: "10.0.0.9" });
        assert.deepEqual(parseVrrp(message, OVER_IPV4), { version, number: 51 });
        const damaged = message.with(2, 99);
        assert.equal(parseVrrp(damaged, OVER_IPV4), undefined);
        assert.equal(parseVrrp(message.subarray(0, -1), OVER_IPV4), undefined);
      });

  it("is recognised over IPv6", () => {
    const message = forge.vrrp({
      version: 3,
      number: 1,
      shared: ["fe80::50", "fd00::50"],
      source: "fe80::9",
    });
    assert.deepEqual(parseVrrp(message, OVER_IPV6), { version: 3, number: 1 });
  });

  it("is not recognised in what has its first byte only", () => {
    for (const bytes of [[], [0x21], [0x21, 1, 0, 0, 0, 0, 0, 0], Array<number>(300).fill(0x31)])
      assert.equal(parseVrrp(Uint8Array.from(bytes), OVER_IPV4), undefined);
  });

  it("is no CARP advertisement: recorded ones, nor ours with any advskew", () => {
    for (const { packet } of advertisements)
      for (const addresses of [OVER_IPV4, OVER_IPV6])
        assert.equal(parseVrrp(fromHex(packet), addresses), undefined);
    const signer = new Authentication({ pass: "secret", vhid: 1, addresses: ["10.0.0.1"] });
    for (let advskew = 0; advskew < 255; advskew++) {
      const ours = encodeAdvertisement({ vhid: 1, advskew, advbase: 1, demote: 0, counter: 1n }, signer);
      assert.equal(parseVrrp(ours, OVER_IPV4), undefined);
    }
  });
});
