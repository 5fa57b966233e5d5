/** Planning of carp devices, without a kernel: which requests follow from what it has, and foreign changes in words. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Device, InterfaceAddress } from "../../../src/core/model.ts";
import {
  addressSteps,
  type CurrentDevice,
  creation,
  foreignChanges,
  localRouteKey,
  macvlanSteps,
  type Step,
  takesLong,
  wantedAddresses,
  wantedMtu,
} from "../../../src/kernel/devices/device-plan.ts";
import { addressKey, LinkCache } from "../../../src/kernel/devices/link-cache.ts";
import {
  IFA_F_DEPRECATED,
  IFA_F_NODAD,
  IFA_F_NOPREFIXROUTE,
  IFA_F_PERMANENT,
  IFF_MULTICAST,
  IFF_NOARP,
  IFF_UP,
  type KernelAddress,
  type KernelLink,
} from "../../../src/kernel/netlink/messages.ts";
import { LINK_LOCAL, routeKey } from "../../../src/kernel/netlink/routes.ts";

const ALIAS = "carpctl /run/carp";
const ETH0 = 2;
const CARP0 = 3;
const BRIDGE = 4;

const inet = (address: string, prefixLength = 24): InterfaceAddress => ({ family: 4, address, prefixLength });
const inet6 = (address: string, prefixLength = 64): InterfaceAddress => ({
  family: 6,
  address,
  prefixLength,
});

const device = (changes: Partial<Device> = {}): Device => ({
  name: "carp0",
  carpdev: "eth0",
  mac: "00:00:5e:00:01:01",
  realMac: false,
  mtu: undefined,
  active: true,
  addresses: [inet("10.0.0.1"), inet6("2001:db8::1")],
  ...changes,
});

const eth0: KernelLink = {
  index: ETH0,
  name: "eth0",
  type: 1,
  flags: IFF_UP | IFF_MULTICAST,
  mac: "02:00:00:00:00:01",
  mtu: 1500,
  parentIndex: 0,
  masterIndex: 0,
  kind: undefined,
  bridgeMode: false,
  alias: undefined,
  protoDown: false,
  settings: {},
};

const carp0: KernelLink = {
  ...eth0,
  index: CARP0,
  name: "carp0",
  mac: "00:00:5e:00:01:01",
  parentIndex: ETH0,
  kind: "macvlan",
  bridgeMode: true,
  alias: ALIAS,
};

const added = (address: InterfaceAddress, index = CARP0, flags = 0): KernelAddress => ({
  ...address,
  index,
  flags: IFA_F_PERMANENT | (address.family === 6 ? IFA_F_NODAD : 0) | flags,
});

interface Given {
  readonly link?: Partial<KernelLink>;
  readonly carpdev?: Partial<KernelLink>;
  /** Addresses on both links. */
  readonly present?: readonly KernelAddress[];
  /** Addresses on the device that are ours; all of them unless given. */
  readonly placed?: readonly InterfaceAddress[];
  readonly refused?: readonly InterfaceAddress[];
  readonly lost?: readonly string[];
  readonly carpdevMtu?: number;
}

/** A device that is up and has its addresses, but for what is given. */
function current(given: Given = {}): CurrentDevice {
  const { present = device().addresses.map((address) => added(address)), refused = [], lost = [] } = given;
  const cache = new LinkCache();
  const link = { ...carp0, ...given.link };
  const carpdev = { ...eth0, ...given.carpdev };
  const bridge = { ...eth0, index: BRIDGE, name: "br0", kind: "bridge" };
  const vrf = { ...eth0, index: BRIDGE + 1, name: "red", kind: "vrf" };
  for (const each of [link, carpdev, bridge, vrf]) cache.take({ kind: "link", gone: false, link: each });
  for (const address of present) cache.take({ kind: "address", gone: false, address });
  const { placed = cache.addresses(CARP0) } = given;
  return {
    link,
    carpdev,
    cache,
    placed: new Set(placed.map(addressKey)),
    refused: new Set(refused.map(addressKey)),
    lost: new Map(lost.map((key) => [key, undefined])),
    alias: ALIAS,
    carpdevMtu: given.carpdevMtu ?? carpdev.mtu,
  };
}

/** `kind` of each step, with the address or route it is about. */
const words = (steps: readonly Step[]) =>
  steps.map((step) => {
    if ("key" in step) return `${step.kind} ${step.key}`;
    return step.kind === "route" ? `route ${step.route.key}` : step.kind;
  });

describe("the addresses of a device", () => {
  const flagsOf = (wanted: ReturnType<typeof wantedAddresses>) =>
    wanted.map(({ key, flags }) => [key, flags]);

  test("bring the route of their subnet; IPv6 skips duplicate address detection", () => {
    assert.deepEqual(flagsOf(wantedAddresses(device(), [])), [
      ["10.0.0.1/24", 0],
      ["2001:db8::1/64", IFA_F_NODAD],
    ]);
  });

  test("bring no route of a subnet in which the carpdev has an address", () => {
    const neighbours = [inet("10.0.0.20"), inet6("2001:db8:1::20")];
    assert.deepEqual(flagsOf(wantedAddresses(device(), neighbours)), [
      ["10.0.0.1/24", IFA_F_NOPREFIXROUTE],
      ["2001:db8::1/64", IFA_F_NODAD],
    ]);
  });

  test("bring no route of a network that overlaps one of the carpdev's, or has an address of it", () => {
    const flags = (shared: InterfaceAddress, ...neighbours: InterfaceAddress[]) =>
      wantedAddresses(device({ addresses: [shared] }), neighbours)[0]?.flags;
    const own = [inet("192.168.1.2"), inet("10.0.0.20")] as const;
    for (const length of [8, 16, 23, 25, 28, 30])
      assert.equal(flags(inet("10.0.0.1", length), ...own), IFA_F_NOPREFIXROUTE, `/${length}`);
    assert.equal(flags(inet("10.0.0.1"), inet("10.0.0.20", 32)), IFA_F_NOPREFIXROUTE);
    assert.equal(flags(inet("10.0.1.1"), ...own), 0);
    for (const length of [32, 48, 80, 128]) {
      const neighbour = inet6("2001:db8::20", length);
      assert.equal(flags(inet6("2001:db8::1"), neighbour), IFA_F_NODAD | IFA_F_NOPREFIXROUTE, `/${length}`);
    }
    assert.equal(flags(inet6("2001:db8::1"), inet6("2001:db8:0:1::20")), IFA_F_NODAD);
  });

  test("on the carpdev itself leave the choice of a source to its own address", () => {
    const addresses = [
      inet("10.0.0.1"),
      inet6("2001:db8::1"),
      inet6("2001:db8::5", 128),
      inet6("2001:db8:2::1"),
    ];
    const own = [inet("10.0.0.20"), inet6("2001:db8::20")];
    const flags = wantedAddresses(device({ addresses, realMac: true }), own).map((each) => each.flags);
    const quiet = IFA_F_NODAD | IFA_F_NOPREFIXROUTE | IFA_F_DEPRECATED;
    assert.deepEqual(flags, [IFA_F_NOPREFIXROUTE, quiet, quiet, IFA_F_NODAD]);
  });

  test("of a single host have no subnet; link-local ones always bring theirs", () => {
    const addresses = [inet("10.0.0.1", 32), inet6("2001:db8::1", 128), inet6("fe80::1")];
    assert.deepEqual(flagsOf(wantedAddresses(device({ addresses }), [inet6("fe80::20")])), [
      ["10.0.0.1/32", IFA_F_NOPREFIXROUTE],
      ["2001:db8::1/128", IFA_F_NODAD | IFA_F_NOPREFIXROUTE],
      ["fe80::1/64", IFA_F_NODAD],
    ]);
  });

  test("are none while the device is inactive", () => {
    assert.deepEqual(wantedAddresses(device({ active: false }), []), []);
  });
});

describe("creation", () => {
  test("makes the device, marks it and reads it back", () => {
    assert.deepEqual(words(creation(device(), eth0, ALIAS)), ["create", "mark", "read"]);
  });

  test("gives it at most the carpdev's mtu", () => {
    assert.equal(wantedMtu(device(), eth0), 1500);
    assert.equal(wantedMtu(device({ mtu: 1400 }), eth0), 1400);
    assert.equal(wantedMtu(device({ mtu: 9000 }), eth0), 1500);
  });
});

describe("an existing device", () => {
  test("that is as wanted needs nothing", () => {
    assert.deepEqual(words(macvlanSteps(device(), current())), []);
  });

  test("that was just made goes up before it gets its addresses", () => {
    const link = { flags: IFF_MULTICAST, protoDown: true };
    assert.deepEqual(words(macvlanSteps(device(), current({ link, present: [] }))), [
      "change",
      "up",
      "add-address 10.0.0.1/24",
      "add-address 2001:db8::1/64",
      `route ${LINK_LOCAL.key}`,
    ]);
  });

  test("loses its addresses before it goes down, which is a slow step of its own", () => {
    const inactive = device({ active: false });
    const first = macvlanSteps(inactive, current());
    assert.deepEqual(words(first), [
      "remove-address 10.0.0.1/24",
      "remove-address 2001:db8::1/64",
      "change",
      "read",
    ]);
    assert.ok(!first.some(takesLong));
    const second = macvlanSteps(inactive, current({ present: [], link: { protoDown: true } }));
    assert.deepEqual(words(second), ["down"]);
    assert.ok(second.some(takesLong));
    const link = { protoDown: true, flags: IFF_MULTICAST };
    assert.deepEqual(words(macvlanSteps(inactive, current({ present: [], link }))), []);
  });

  for (const [what, link] of [
    ["another MAC", { mac: "02:00:00:00:00:09" }],
    ["another mtu", { mtu: 1300 }],
    ["ARP off", { flags: IFF_UP | IFF_MULTICAST | IFF_NOARP }],
    ["multicast off", { flags: IFF_UP }],
    ["another alias", { alias: "mine" }],
    ["protodown", { protoDown: true }],
    ["a bridge it is enslaved to", { masterIndex: BRIDGE }],
  ] as const)
    test(`with ${what} is changed and read back`, () => {
      assert.deepEqual(words(macvlanSteps(device(), current({ link }))), ["change", "read"]);
    });

  test("enslaved to a VRF is left there", () => {
    const inVrf = current({ link: { masterIndex: BRIDGE + 1 } });
    assert.deepEqual(words(macvlanSteps(device(), inVrf)), []);
    assert.deepEqual(foreignChanges(device(), inVrf), []);
  });

  test("with an mtu too small for IPv6 has no IPv6 address", () => {
    const small = device({ mtu: 1279 });
    const link = { mtu: 1279 };
    const present = [added(inet("10.0.0.1"))];
    assert.deepEqual(words(macvlanSteps(small, current({ link, present }))), []);
    assert.deepEqual(foreignChanges(small, current({ link, present, placed: small.addresses })), []);
  });
});

describe("changes of addresses", () => {
  test("remove only ours, and add none that the kernel refused", () => {
    const theirs = added(inet("192.0.2.9", 32));
    const given = {
      present: [added(inet("10.0.0.9")), theirs],
      placed: [inet("10.0.0.9")],
      refused: [inet6("2001:db8::1")],
    };
    assert.deepEqual(words(macvlanSteps(device(), current(given))), [
      "remove-address 10.0.0.9/24",
      "add-address 10.0.0.1/24",
    ]);
  });

  test("replace an address that has a lifetime, or whose subnet is routed otherwise", () => {
    const wanted = wantedAddresses(device({ addresses: [inet("10.0.0.1")] }), []);
    for (const flags of [0, IFA_F_PERMANENT | IFA_F_NOPREFIXROUTE]) {
      const present = [{ ...inet("10.0.0.1"), index: CARP0, flags }];
      const { removals, additions } = addressSteps(CARP0, wanted, current({ present }));
      assert.deepEqual(words([...removals, ...additions]), [
        "remove-address 10.0.0.1/24",
        "add-address 10.0.0.1/24",
      ]);
    }
  });

  test("replace an IPv6 address whose local route is gone, and make the link-local route again", () => {
    const lost = [localRouteKey(inet6("2001:db8::1"))];
    assert.deepEqual(words(macvlanSteps(device(), current({ lost }))), [
      "remove-address 2001:db8::1/64",
      "add-address 2001:db8::1/64",
      `route ${LINK_LOCAL.key}`,
    ]);
  });
});

describe("lost routes", () => {
  test("that belong to the device's addresses are made again, others are not", () => {
    const lost = [
      routeKey("unicast", "10.0.0.0", 24),
      routeKey("local", "10.0.0.1", 32),
      routeKey("broadcast", "10.0.0.255", 32),
      routeKey("multicast", "ff00::", 8),
      routeKey("unicast", "10.9.9.0", 24),
    ];
    assert.deepEqual(words(macvlanSteps(device(), current({ lost }))).sort(), [
      "route broadcast 10.0.0.255/32",
      "route local 10.0.0.1/32",
      "route multicast ff00::/8",
      "route unicast 10.0.0.0/24",
    ]);
  });

  test("of a subnet that the carpdev routes are not made", () => {
    const carpdevs = added(inet("10.0.0.20"), ETH0);
    const present = [added(inet("10.0.0.1"), CARP0, IFA_F_NOPREFIXROUTE), carpdevs];
    const only4 = device({ addresses: [inet("10.0.0.1")] });
    const lost = [routeKey("unicast", "10.0.0.0", 24)];
    assert.deepEqual(words(macvlanSteps(only4, current({ present, lost }))), []);
  });
});

describe("foreign changes in words", () => {
  test("are none on a device as it was left", () => {
    assert.deepEqual(foreignChanges(device(), current()), []);
  });

  for (const [link, text] of [
    [{ flags: IFF_MULTICAST }, "link was set down"],
    [{ protoDown: true }, "protodown was set"],
    [{ mac: "02:00:00:00:00:09" }, "MAC was changed to 02:00:00:00:00:09"],
    [{ mtu: 1300 }, "mtu was changed to 1300"],
    [{ flags: IFF_UP | IFF_MULTICAST | IFF_NOARP }, "ARP was switched off"],
    [{ flags: IFF_UP }, "multicast was switched off"],
    [{ masterIndex: BRIDGE }, "device was put into br0"],
    [{ alias: "mine" }, "alias was changed"],
  ] as const)
    test(text, () => assert.deepEqual(foreignChanges(device(), current({ link })), [text]));

  test("a device set up that is to be down", () => {
    const inactive = device({ active: false });
    const link = { protoDown: true };
    assert.deepEqual(foreignChanges(inactive, current({ link, present: [] })), ["link was set up"]);
  });

  test("an mtu that followed the carpdev's is none", () => {
    const given = { link: { mtu: 1300 }, carpdev: { mtu: 1300 }, carpdevMtu: 1500 };
    assert.deepEqual(foreignChanges(device(), current(given)), []);
    assert.deepEqual(foreignChanges(device(), current({ ...given, carpdev: { mtu: 1400 } })), []);
  });

  test("removed addresses are told of at once, those the kernel refused are not", () => {
    const placed = [inet("10.0.0.1"), inet6("2001:db8::1")];
    assert.deepEqual(foreignChanges(device(), current({ present: [], placed })), [
      "address 10.0.0.1 was removed",
      "address 2001:db8::1 was removed",
    ]);
    const refused = [inet6("2001:db8::1")];
    assert.deepEqual(foreignChanges(device(), current({ present: [], placed, refused })), [
      "address 10.0.0.1 was removed",
    ]);
  });

  test("IPv6 addresses that left with a link set down are no second change", () => {
    const given = {
      link: { flags: IFF_MULTICAST },
      present: [added(inet("10.0.0.1"))],
      placed: device().addresses,
    };
    assert.deepEqual(foreignChanges(device(), current(given)), ["link was set down"]);
  });

  test("a lifetime, and a removed local route", () => {
    const present = [{ ...inet("10.0.0.1"), index: CARP0, flags: 0 }, added(inet6("2001:db8::1"))];
    const lost = [localRouteKey(inet6("2001:db8::1"))];
    assert.deepEqual(foreignChanges(device(), current({ present, lost })), [
      "address 10.0.0.1 was given a lifetime",
      "route to 2001:db8::1/128 was removed",
    ]);
  });
});
