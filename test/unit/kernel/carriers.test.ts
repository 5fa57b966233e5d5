/** Which devices carry the packets of another, from links as the kernel describes them. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { carriersIn } from "../../../src/kernel/devices/carriers.ts";
import { LinkCache } from "../../../src/kernel/devices/link-cache.ts";
import type { KernelLink } from "../../../src/kernel/netlink/messages.ts";

const UP = 1;

function carriers(
  device: string,
  links: readonly (Partial<KernelLink> & { readonly name: string })[],
): string {
  const cache = new LinkCache();
  for (const [at, each] of links.entries()) {
    const link: KernelLink = {
      index: at + 1,
      type: 1,
      flags: UP,
      mac: "02:00:00:00:00:01",
      mtu: 1500,
      parentIndex: 0,
      masterIndex: 0,
      kind: undefined,
      bridgeMode: false,
      alias: undefined,
      protoDown: false,
      settings: {},
      ...each,
    } as KernelLink;
    cache.take({ kind: "link", gone: false, link });
  }
  const found = carriersIn(cache)(device).map(({ name, mtu }) => `${name} ${mtu}`);
  return found.sort().join(", ");
}

test("of a VLAN on a bond: the bond and its ports; of a bridge: its ports that are up", () => {
  const links = [
    { name: "bond0", kind: "bond" },
    { name: "eth0", masterIndex: 1, mtu: 9000 },
    { name: "eth1", masterIndex: 1, mtu: 1400 },
    { name: "bond0.5", kind: "vlan", parentIndex: 1 },
    { name: "br0", kind: "bridge" },
    { name: "eth2", masterIndex: 5 },
    { name: "eth3", masterIndex: 5, flags: 0 },
  ];
  assert.equal(carriers("bond0.5", links), "bond0 1500, eth0 9000, eth1 1400");
  assert.equal(carriers("br0", links), "eth2 1500");
  assert.equal(carriers("eth0", links), "");
  assert.equal(carriers("eth9", links), "");
});

test("the other end of a veth carries nothing, and what goes round in a circle ends", () => {
  assert.equal(carriers("eth0", [{ name: "eth0", kind: "veth", parentIndex: 2 }, { name: "eth0-far" }]), "");
  const circle = [
    { name: "a", kind: "vlan", parentIndex: 2 },
    { name: "b", kind: "macvlan", parentIndex: 1 },
  ];
  assert.equal(carriers("a", circle), "a 1500, b 1500");
});
