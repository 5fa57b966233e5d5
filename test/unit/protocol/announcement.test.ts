/** Announcements: the bytes of gratuitous ARP and of unsolicited neighbour advertisements. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { gratuitousArp, unsolicitedNeighbourAdvertisement } from "../../../src/protocol/frame.ts";
import { toHex } from "./vectors.ts";

describe("gratuitous ARP", () => {
  it("asks, by broadcast, for the address that it says it has", () => {
    assert.equal(
      toHex(gratuitousArp("00:00:5e:00:01:07", "10.88.0.100")),
      "ffffffffffff00005e00010708060001080006040001" + "00005e0001070a580064" + "0000000000000a580064",
    );
  });

  it("may come from another MAC than it announces", () => {
    const frame = gratuitousArp("01:00:5e:00:01:07", "10.88.0.100", "02:00:00:00:00:01");
    assert.equal(toHex(frame.subarray(6, 12)), "020000000001");
    assert.equal(toHex(frame.subarray(22, 28)), "01005e000107");
  });

  it("is for IPv4", () => assert.throws(() => gratuitousArp("00:00:5e:00:01:07", "::1"), TypeError));
});

describe("an unsolicited neighbour advertisement", () => {
  /** Linux 6.18 with ndisc_notify=1 sent these for 2001:db8::5, after its MAC had been changed. */
  const host =
    "33330000000102000000000b86dd6000000000203aff20010db8000000000000000000000005ff020000000000000000000000000001" +
    "8800f9182000000020010db8000000000000000000000005020102000000000b";
  const router =
    "33330000000102000000000c86dd6000000000203aff20010db8000000000000000000000005ff020000000000000000000000000001" +
    "88007917a000000020010db8000000000000000000000005020102000000000c";

  it("of a host is byte for byte what the Linux kernel sends", () => {
    const frame = unsolicitedNeighbourAdvertisement({
      mac: "02:00:00:00:00:0b",
      address: "2001:db8::5",
      router: false,
    });
    assert.equal(toHex(frame), host);
  });

  it("of a router is byte for byte what the Linux kernel sends", () => {
    const frame = unsolicitedNeighbourAdvertisement({
      mac: "02:00:00:00:00:0c",
      address: "2001:db8::5",
      router: true,
    });
    assert.equal(toHex(frame), router);
  });

  it("may come from another MAC than it announces, with the same ICMPv6 message", () => {
    const frame = unsolicitedNeighbourAdvertisement({
      mac: "02:00:00:00:00:0b",
      address: "2001:db8::5",
      router: false,
      ethernetSource: "02:00:00:00:00:01",
    });
    assert.equal(toHex(frame), host.replace("02000000000b", "020000000001"));
  });

  it("is for IPv6", () => {
    const options = { mac: "02:00:00:00:00:0b", address: "10.0.0.1", router: false };
    assert.throws(() => unsolicitedNeighbourAdvertisement(options), TypeError);
  });
});
