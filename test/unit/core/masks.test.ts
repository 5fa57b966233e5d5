/** Masks of shared addresses that differ from the carpdev's: which are told of, and the words to type. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { InterfaceChange } from "../../../src/core/interface/configuration.ts";
import type { InterfaceAddress } from "../../../src/core/model.ts";
import { ipv4, ipv6, link, Station, World } from "./driver.ts";

/** The warnings of a command on a host whose eth0 has these addresses. */
function warnings(
  change: InterfaceChange,
  own: readonly InterfaceAddress[] = [ipv4("10.77.0.1")],
  before?: InterfaceChange,
) {
  const station = new Station(new World(), { links: [link("eth0", { addresses: own })] });
  if (before !== undefined) station.set("carp0", { carpdev: "eth0", vhid: 1, ...before });
  const outcome = station.command({ kind: "change", name: "carp0", change: { carpdev: "eth0", ...change } });
  assert.ok(!("error" in outcome));
  return outcome.warnings ?? [];
}
const given = (...addAddresses: NonNullable<InterfaceChange["addAddresses"]>) => ({ addAddresses });

describe("a mask that differs from the carpdev's is warned of, with the words to type", () => {
  it("a class's", () => {
    assert.deepEqual(warnings(given(ipv4("10.77.0.100", 8))), [
      "10.77.0.100/8: eth0 has 10.77.0.1/24: use 10.77.0.100/24 (netmask 255.255.255.0)",
    ]);
  });

  it("a more specific one, also one without the carpdev's address", () => {
    for (const length of [25, 28, 31])
      assert.deepEqual(warnings(given(ipv4("10.77.0.100", length))), [
        `10.77.0.100/${length}: eth0 has 10.77.0.1/24: use 10.77.0.100/24 (netmask 255.255.255.0)`,
      ]);
  });

  it("a prefix length of IPv6", () => {
    assert.deepEqual(warnings(given(ipv6("fd77::100")), [ipv6("fd77::1", 48)]), [
      "fd77::100/64: eth0 has fd77::1/48: use fd77::100/48 (prefixlen 48)",
    ]);
  });

  it("of several addresses of the carpdev the one whose network the address is in", () => {
    const own = [ipv4("10.1.0.1", 24), ipv4("10.77.0.1", 23), ipv4("10.78.0.1", 24)];
    assert.deepEqual(warnings(given(ipv4("10.77.0.100", 8)), own), [
      "10.77.0.100/8: eth0 has 10.77.0.1/23: use 10.77.0.100/23 (netmask 255.255.254.0)",
    ]);
  });

  it("each of a command's, and only those: not the ones from before", () => {
    const both = given(ipv4("10.77.0.100", 8), ipv4("10.77.0.101", 16));
    assert.equal(warnings(both).length, 2);
    assert.equal(warnings(given(ipv4("10.77.0.102")), undefined, both).length, 0);
  });
});

describe("nothing is said about", () => {
  const silent: [string, InterfaceChange, ReturnType<typeof ipv4>[]?][] = [
    ["the same mask", given(ipv4("10.77.0.100"))],
    [
      "one of several that is the same",
      given(ipv4("10.77.0.100")),
      [ipv4("10.77.0.1", 16), ipv4("10.77.0.2")],
    ],
    ["an alias of a single host", given(ipv4("10.77.0.100", 32), ipv6("fd77::100", 128))],
    ["a network of its own", given(ipv4("192.168.7.1", 16))],
    ["a carpdev with a single host's address", given(ipv4("10.77.0.100")), [ipv4("10.77.0.1", 32)]],
    ["a carpdev without an address", given(ipv4("10.77.0.100", 8)), []],
  ];
  for (const [title, change, own] of silent) it(title, () => assert.deepEqual(warnings(change, own), []));

  it("a link-local address", () => {
    assert.deepEqual(warnings(given(ipv6("fe80::1", 10)), [ipv6("fe80::2", 64)]), []);
  });

  it("the shared addresses on the carpdev itself", () => {
    const eth0 = (...addresses: ReturnType<typeof ipv4>[]) => link("eth0", { addresses });
    const station = new Station(new World(), { links: [eth0(ipv4("192.168.7.1"))] });
    const change = { carpdev: "eth0", vhid: 1, ...given(ipv4("10.77.0.100", 8)) };
    station.set("carp0", change);
    station.link(eth0(ipv4("192.168.7.1"), ipv4("10.77.0.100", 8)));
    const outcome = station.command({ kind: "change", name: "carp0", change: given(ipv4("10.77.0.99")) });
    assert.deepEqual("error" in outcome ? undefined : outcome.warnings, []);
  });
});

it("a file is told of every mask in it, each time", () => {
  const station = new Station(new World(), { links: [link("eth0", { addresses: [ipv4("10.77.0.1")] })] });
  const change = { carpdev: "eth0", vhid: 1, ...given(ipv4("10.77.0.100", 8)) };
  for (let i = 0; i < 2; i++) {
    const outcome = station.command({ kind: "replace", name: "carp0", change });
    assert.equal("error" in outcome ? 0 : outcome.warnings?.length, 1);
  }
});
