/** Devices over a kernel made up here, whose every request can be refused: what is told of parts that are not in place. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { Device } from "../../../src/core/model.ts";
import { Devices } from "../../../src/kernel/devices/devices.ts";
import { LinkCache } from "../../../src/kernel/devices/link-cache.ts";
import { PlacedAddresses } from "../../../src/kernel/devices/placed-addresses.ts";
import { MESSAGE, type Request } from "../../../src/kernel/netlink/bytes.ts";
import {
  IFA_F_PERMANENT,
  IFF_LOWER_UP,
  IFF_MULTICAST,
  IFF_RUNNING,
  IFF_UP,
  type KernelLink,
  type Notice,
  parseNotice,
} from "../../../src/kernel/netlink/messages.ts";

const ADDRESS6 = { family: 6, address: "2001:db8::1", prefixLength: 64 } as const;
const ALIAS = "carpctl /run/carp";

const device = (changes: Partial<Device> = {}): Device => ({
  name: "carp0",
  carpdev: "eth0",
  mac: "00:00:5e:00:01:01",
  realMac: false,
  mtu: undefined,
  active: true,
  addresses: [{ family: 4, address: "10.0.0.1", prefixLength: 24 }],
  ...changes,
});

const eth0: KernelLink = {
  index: 2,
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

/** Takes requests for carp0 on eth0, and refuses those whose type is in `refused`. */
class FakeKernel {
  /** Errno names by type of request. */
  readonly refused = new Map<number, string>();
  readonly asked: number[] = [];
  readonly devices: Devices;
  /** The errors told last. */
  errors: readonly string[] | undefined;
  /** Resolves when the kernel's worker reports new addresses. */
  report: Promise<void> = Promise.resolve();
  forget = () => {};
  /** A device that is up and gets its carrier back sends when a worker has seen to it, not at once. */
  resumesLater = false;
  /** Setting a device down takes long: it is up still when it is wanted again. */
  staysUp = false;
  /** Another program removes every address as soon as it is added. */
  flushes = false;
  readonly #cache = new LinkCache();
  #wanted: Device | null = null;

  constructor() {
    this.#hear({ kind: "link", gone: false, link: eth0 });
    const nothing = () => {};
    const complain = (text: string) => assert.fail(text);
    this.devices = new Devices({
      alias: ALIAS,
      cache: this.#cache,
      placed: new PlacedAddresses({ saved: undefined, write: nothing }, complain),
      events: {
        link: nothing,
        linkGone: nothing,
        unfit: nothing,
        device: nothing,
        repaired: nothing,
        complaint: complain,
        placed: (_name, errors) => {
          this.errors = errors;
        },
      },
      perform: async (requests) => requests.map((request) => this.#perform(request)),
      performApart: async (request) => this.#perform(request),
      turn: async () => nothing,
      expectReport: () => ({ heard: this.report, forget: this.forget }),
      followRoutes: nothing,
      watch: { add: nothing, remove: nothing },
      added: (address) => void this.#cache.take({ kind: "address", gone: false, address }),
      reread: async () => {},
    });
  }

  apply(wanted: Device | null): Promise<void> {
    this.#wanted = wanted;
    return new Promise((resolve) => this.devices.apply("carp0", wanted, resolve));
  }

  /** A notification that no request caused. */
  #hear(notice: Notice): void {
    this.#cache.take(notice);
    this.devices?.heard(notice);
  }

  /** The link as every request for it leaves it. */
  get #carp0(): KernelLink {
    const active = this.#wanted?.active === true;
    const sends = this.resumesLater ? IFF_LOWER_UP : IFF_LOWER_UP | IFF_RUNNING;
    return {
      ...eth0,
      index: 3,
      name: "carp0",
      flags: IFF_MULTICAST | (active ? IFF_UP | sends : this.staysUp ? IFF_UP : 0),
      mac: "00:00:5e:00:01:01",
      parentIndex: eth0.index,
      kind: "macvlan",
      bridgeMode: true,
      alias: ALIAS,
      protoDown: !active,
    };
  }

  #perform({ type, body }: Request): string | undefined {
    this.asked.push(type);
    const error = this.refused.get(type);
    if (error !== undefined) return error;
    if (type === MESSAGE.SETLINK && this.#cache.byName("carp0") === undefined) return "ENODEV";
    if (type === MESSAGE.NEWLINK || type === MESSAGE.SETLINK)
      this.#hear({ kind: "link", gone: false, link: this.#carp0 });
    if (type === MESSAGE.DELLINK) this.#hear({ kind: "link", gone: true, link: this.#carp0 });
    const notice = parseNotice(type, Buffer.from(body));
    if (notice?.kind === "address")
      this.#hear({
        ...notice,
        address: { ...notice.address, flags: notice.address.flags | IFA_F_PERMANENT },
      });
    if (notice?.kind === "address" && this.flushes) this.#hear({ ...notice, gone: true });
    return undefined;
  }
}

test("a device that is as wanted is told to be in place", async () => {
  const kernel = new FakeKernel();
  await kernel.apply(device());
  assert.deepEqual(kernel.errors, []);
});

test("an IPv6 address is in place when the kernel's worker has reported it and let go of the lock", async () => {
  const kernel = new FakeKernel();
  const { promise, resolve: report } = Promise.withResolvers<void>();
  kernel.report = promise;
  let isPlaced = false;
  // The kernel made up here has the address when it acknowledges it, as if the worker were quick.
  const placed = kernel.apply(device({ addresses: [ADDRESS6] })).then(() => {
    isPlaced = true;
  });
  while (!kernel.asked.includes(MESSAGE.NEWADDR)) await nextTurn();
  await nextTurn();
  assert.notEqual(kernel.asked.at(-1), MESSAGE.GETLINK);
  assert.equal(isPlaced, false);
  report();
  await placed;
  assert.equal(kernel.asked.at(-1), MESSAGE.GETLINK);
});

test("a device that is up still is in place again when the kernel sends through it", async () => {
  const kernel = new FakeKernel();
  await kernel.apply(device());
  kernel.staysUp = true;
  await kernel.apply(device({ active: false }));
  kernel.resumesLater = true;
  const { promise, resolve: report } = Promise.withResolvers<void>();
  kernel.report = promise;
  let isPlaced = false;
  const placed = kernel.apply(device()).then(() => {
    isPlaced = true;
  });
  for (let n = 0; n < 20; n++) await nextTurn();
  assert.equal(isPlaced, false);
  kernel.resumesLater = false;
  report();
  await placed;
});

test("an IPv6 address that the kernel refuses is waited for by nobody", async () => {
  const kernel = new FakeKernel();
  const forgotten = Promise.withResolvers<void>();
  kernel.report = forgotten.promise;
  kernel.forget = forgotten.resolve;
  kernel.refused.set(MESSAGE.NEWADDR, "ENOSPC");
  await kernel.apply(device({ addresses: [ADDRESS6] }));
  assert.deepEqual(kernel.errors, ["address 2001:db8::1/64 cannot be added (ENOSPC)"]);
});

for (const [what, type, errno, error] of [
  [
    "a device that cannot be made",
    MESSAGE.NEWLINK,
    "EPERM",
    "no device can be made on eth0 (EPERM: the engine may not make network devices)",
  ],
  [
    "an address that the kernel refuses",
    MESSAGE.NEWADDR,
    "ENOSPC",
    "address 10.0.0.1/24 cannot be added (ENOSPC)",
  ],
] as const)
  test(`${what} is told of, and tried again with the next apply`, async () => {
    const kernel = new FakeKernel();
    kernel.refused.set(type, errno);
    await kernel.apply(device());
    assert.deepEqual(kernel.errors, [error]);
    await kernel.apply(device());
    assert.deepEqual(kernel.errors, [error]);
    kernel.refused.clear();
    await kernel.apply(device());
    assert.deepEqual(kernel.errors, []);
  });

test("an address that the kernel refuses is asked for once in an apply, and forgotten when it is not wanted", async () => {
  const kernel = new FakeKernel();
  kernel.refused.set(MESSAGE.NEWADDR, "ENOSPC");
  await kernel.apply(device());
  assert.equal(kernel.asked.filter((type) => type === MESSAGE.NEWADDR).length, 1);
  await kernel.apply(device({ active: false }));
  assert.deepEqual(kernel.errors, []);
});

test("an address that cannot be removed is told of until it is gone", async () => {
  const kernel = new FakeKernel();
  await kernel.apply(device());
  kernel.refused.set(MESSAGE.DELADDR, "EPERM");
  await kernel.apply(device({ addresses: [] }));
  assert.ok(kernel.errors?.includes("address 10.0.0.1/24 cannot be removed (EPERM)"));
  kernel.refused.clear();
  await kernel.apply(device({ addresses: [] }));
  assert.deepEqual(kernel.errors, []);
});

test("a device that cannot be removed is told of until it is gone", async () => {
  const kernel = new FakeKernel();
  await kernel.apply(device());
  kernel.refused.set(MESSAGE.DELLINK, "EPERM");
  await kernel.apply(null);
  assert.deepEqual(kernel.errors, ["the device cannot be removed (EPERM)"]);
  kernel.refused.clear();
  await kernel.apply(null);
  assert.deepEqual(kernel.errors, []);
});

test("a route that the kernel refuses is told of, and asked for again with the next apply", async () => {
  const kernel = new FakeKernel();
  await kernel.apply(device());
  kernel.refused.set(MESSAGE.NEWROUTE, "ENOMEM");
  const route = { index: 3, key: "unicast 10.0.0.0/24", table: 254 };
  kernel.devices.heard({ kind: "route-gone", route });
  await kernel.apply(device());
  const errors = ["no route to 10.0.0.0/24 can be made (ENOMEM)"];
  assert.deepEqual(kernel.errors, errors);
  await kernel.apply(device());
  assert.deepEqual(kernel.errors, errors);
  kernel.refused.clear();
  await kernel.apply(device());
  assert.deepEqual(kernel.errors, []);
});

test("a failure that appears and goes without an apply is told of, too", async () => {
  const kernel = new FakeKernel();
  await kernel.apply(device());
  kernel.refused.set(MESSAGE.NEWROUTE, "ENOMEM");
  const route = { index: 3, key: "unicast 10.0.0.0/24", table: 254 };
  const told = async (errors: readonly string[]) => {
    for (let turns = 0; turns < 1000 && String(kernel.errors) !== String(errors); turns++)
      await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(kernel.errors, errors);
  };
  kernel.devices.heard({ kind: "route-gone", route });
  await told(["no route to 10.0.0.0/24 can be made (ENOMEM)"]);
  kernel.refused.clear();
  kernel.devices.heard({ kind: "route-gone", route });
  await told([]);
  kernel.devices.close();
});

test("an address that another program removes again and again does no harm to the device", async () => {
  const kernel = new FakeKernel();
  await kernel.apply(device());
  kernel.flushes = true;
  const addresses = [
    { family: 4, address: "10.0.0.2", prefixLength: 24 },
    { family: 6, address: "2001:db8::2", prefixLength: 64 },
  ] as const;
  await kernel.apply(device({ addresses }));
  assert.deepEqual(kernel.errors, []);
  kernel.devices.close();
});
