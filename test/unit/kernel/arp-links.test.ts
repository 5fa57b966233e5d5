/** Which links get carp's ARP settings, when, and when they are restored; without a kernel. */

import assert from "node:assert/strict";
import { mock, test } from "node:test";
import type { Device } from "../../../src/core/model.ts";
import { LinkCache } from "../../../src/kernel/devices/link-cache.ts";
import type { KernelLink } from "../../../src/kernel/netlink/messages.ts";
import { ArpLinks } from "../../../src/kernel/settings/arp-links.ts";

/** Settings that can be written after so many attempts. */
function setting({ late = 0, writable = true } = {}) {
  const done: string[] = [];
  let attempts = 0;
  const attempt = (what: string) => {
    attempts += 1;
    if (attempts <= late) return false;
    done.push(what);
    return true;
  };
  const cache = new LinkCache();
  const watched = new Set<number>();
  const nameOf = (index: number) => cache.links.get(index)?.name;
  const links = new ArpLinks({
    cache,
    settings: {
      prepare: (index) => attempt(`prepare ${nameOf(index)} ${index}`),
      restore: (index) => attempt(`restore ${nameOf(index)}`),
      restoreAllBut: (indexes) => void done.push(`restore all but ${[...indexes].map(nameOf).toSorted()}`),
      isWritable: () => writable,
      changed: (_index, { arp_ignore = 1 }) => (arp_ignore < 1 ? ["arp_ignore was changed to 0"] : []),
    },
    isCarpdev: () => true,
    watch: { add: (index) => watched.add(index), remove: (index) => watched.delete(index) },
    events: {
      repaired: (name, what) => void done.push(`repaired ${name}: ${what}`),
      complaint: (text) => void done.push(text),
    },
  });
  return { done, links, cache, watched };
}

function addLink(cache: LinkCache, given: Partial<KernelLink> & { name: string; index: number }): void {
  const link: KernelLink = {
    type: 1,
    flags: 1,
    mac: "02:00:00:00:00:01",
    mtu: 1500,
    kind: undefined,
    parentIndex: 0,
    masterIndex: 0,
    bridgeMode: false,
    alias: undefined,
    protoDown: false,
    settings: {},
    ...given,
  };
  cache.take({ kind: "link", gone: false, link });
}

function addAddress(cache: LinkCache, index: number, address: string): void {
  cache.take({
    kind: "address",
    gone: false,
    address: { index, family: 4, address, prefixLength: 24, flags: 0 },
  });
}

function sharing(carpdev: string, address: string): Device {
  const addresses = [{ family: 4, address, prefixLength: 24 }] as const;
  const mac = "00:00:5e:00:01:01";
  return { name: "carp0", carpdev, mac, realMac: false, mtu: undefined, active: true, addresses };
}

test("settings that are not there yet under a carpdev's new name are waited for", () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    const { done, links, cache } = setting({ late: 3 });
    addLink(cache, { name: "lan0", index: 2 });
    links.prepare("lan0");
    assert.deepEqual(done, []);
    for (let n = 0; n < 10; n++) mock.timers.tick(10);
    assert.deepEqual(done, ["prepare lan0 2"]);
  } finally {
    mock.timers.reset();
  }
});

test("what was waited for is left when it is not wanted any more", () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    const { done, links, cache } = setting({ late: 2 });
    addLink(cache, { name: "lan0", index: 2 });
    links.prepare("lan0");
    links.restore("lan0");
    for (let n = 0; n < 10; n++) mock.timers.tick(10);
    assert.deepEqual(done, ["restore lan0"]);
  } finally {
    mock.timers.reset();
  }
});

test("other links in a shared address's subnet are prepared, from when they are to when they are not", () => {
  const { done, links, cache } = setting();
  addLink(cache, { name: "eth0", index: 2 });
  addLink(cache, { name: "eth1", index: 3 });
  addLink(cache, { name: "eth2", index: 4 });
  addAddress(cache, 3, "10.0.0.22");
  addAddress(cache, 4, "10.0.1.22");
  links.prepare("eth0");
  links.want("carp0", sharing("eth0", "10.0.0.1"));
  links.want("carp0", sharing("eth0", "10.0.0.1"));
  assert.deepEqual(done.splice(0), ["prepare eth0 2", "prepare eth1 3"]);
  addAddress(cache, 4, "10.0.0.23");
  links.changed(4);
  assert.deepEqual(done.splice(0), ["prepare eth2 4"]);
  // Another link of the same name has settings of its own.
  cache.take({ kind: "link", gone: true, link: cache.byName("eth1") as KernelLink });
  addLink(cache, { name: "eth1", index: 9 });
  addAddress(cache, 9, "10.0.0.22");
  for (const index of [3, 9]) links.changed(index);
  assert.deepEqual(done.splice(0).toSorted(), ["prepare eth1 9", "restore undefined"]);
  links.restore("eth0");
  assert.deepEqual(done.toSorted(), ["restore eth0", "restore eth1", "restore eth2"]);
});

test("what a carpdev is a macvlan on hears the same segment", () => {
  const { done, links, cache } = setting();
  addLink(cache, { name: "eth0", index: 2 });
  addLink(cache, { name: "eth1", index: 3 });
  addLink(cache, { name: "lan0", index: 4, kind: "macvlan", parentIndex: 2, bridgeMode: true });
  links.prepare("lan0");
  assert.deepEqual(done, ["prepare lan0 4", "prepare eth0 2"]);
});

test("after a restart, links in the subnets of addresses still in place are not restored before the interfaces are known", async () => {
  const { done, links, cache } = setting();
  addLink(cache, { name: "eth0", index: 2 });
  addLink(cache, { name: "eth1", index: 3 });
  addAddress(cache, 3, "10.0.0.22");
  links.restoreAllBut(new Set(["eth0"]), [{ family: 4, address: "10.0.0.1", prefixLength: 24 }]);
  links.prepare("eth0");
  links.want("carp0", sharing("eth0", "10.0.1.1"));
  links.want("carp1", sharing("eth0", "10.0.0.1"));
  await new Promise((resolve) => setImmediate(resolve));
  // eth1 as well, so that changes by other programs are found.
  assert.deepEqual(done.splice(0), ["restore all but eth0,eth1", "prepare eth0 2", "prepare eth1 3"]);
  links.want("carp1", null);
  assert.deepEqual(done, ["restore eth1"]);
});

test("a setting that another program changes is restored and reported, with backoff", () => {
  const { done, links, cache, watched } = setting();
  const changed = (settings: KernelLink["settings"]) => {
    addLink(cache, { name: "eth0", index: 2, settings });
    links.heard(cache.byName("eth0") as KernelLink);
  };
  addLink(cache, { name: "eth0", index: 2 });
  changed({ arp_ignore: 0 });
  assert.deepEqual(done.splice(0), []);
  links.prepare("eth0");
  changed({ arp_ignore: 1 });
  assert.deepEqual(done.splice(0), ["prepare eth0 2"]);
  changed({ arp_ignore: 0 });
  assert.deepEqual(done.splice(0), ["prepare eth0 2", "repaired eth0: arp_ignore was changed to 0"]);
  assert.deepEqual([...watched], [2]);
  for (let n = 0; n < 10; n += 1) changed({ arp_ignore: 0 });
  assert.equal(done.filter((each) => each.startsWith("repaired")).length, 4);
  assert.match(done.at(-1) ?? "", /^eth0: changed again \(arp_ignore was changed to 0\)/);
  links.restore("eth0");
  done.length = 0;
  changed({ arp_ignore: 0 });
  assert.deepEqual(done, []);
  links.close();
});

test("a setting that is no longer enough, because that of the whole host was changed, is restored", () => {
  const { done, links, cache } = setting();
  addLink(cache, { name: "eth0", index: 2, settings: { arp_ignore: 0 } });
  links.prepare("eth0");
  done.length = 0;
  links.consider();
  assert.deepEqual(done, ["prepare eth0 2", "repaired eth0: arp_ignore was changed to 0"]);
  links.close();
});

test("a setting that cannot be restored is not reported as repaired", () => {
  const { done, links, cache } = setting({ writable: false });
  addLink(cache, { name: "eth0", index: 2 });
  links.prepare("eth0");
  addLink(cache, { name: "eth0", index: 2, settings: { arp_ignore: 0 } });
  links.heard(cache.byName("eth0") as KernelLink);
  assert.deepEqual(done, ["prepare eth0 2", "prepare eth0 2"]);
  links.close();
});

test("carpdevs that exchange their names both keep the settings, with what each had before", () => {
  const { done, links, cache, watched } = setting();
  const rename = (index: number, name: string) => {
    addLink(cache, { name, index });
    links.changed(index);
  };
  rename(2, "eth0");
  rename(3, "eth1");
  links.prepare("eth0");
  links.prepare("eth1");
  assert.deepEqual(done.splice(0), ["prepare eth0 2", "prepare eth1 3"]);
  rename(2, "tmp");
  rename(3, "eth0");
  rename(2, "eth1");
  assert.deepEqual(done.splice(0), ["restore tmp", "prepare eth1 2"]);
  assert.deepEqual([...watched].toSorted(), [2, 3]);
  links.restore("eth0");
  assert.deepEqual(done, ["restore eth0"]);
});
