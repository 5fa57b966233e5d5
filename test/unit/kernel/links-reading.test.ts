/** Reading the kernel's tables: when that fails, and when addresses are added meanwhile. Needs root. */

import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";
import type { Device } from "../../../src/core/model.ts";
import { nativeNetlink } from "../../../src/kernel/netlink/native-netlink.ts";
import { RtNetlink } from "../../../src/kernel/netlink/rtnetlink.ts";
import {
  addCarpdev,
  apply,
  clearNetwork,
  enterPrivateNetwork,
  ip,
  openLinks,
  Recorder,
  temporaryRunDir,
} from "./private-network.ts";

enterPrivateNetwork(import.meta.url);

let runDir: ReturnType<typeof temporaryRunDir>;
let events: Recorder;
let links: ReturnType<typeof openLinks>;

beforeEach(() => {
  runDir = temporaryRunDir();
  events = new Recorder();
  links = openLinks(runDir.path, events);
  addCarpdev();
});

afterEach(() => {
  mock.restoreAll();
  links.close();
  clearNetwork();
  runDir.remove();
});

const carp0: Device = {
  name: "carp0",
  carpdev: "eth0",
  mac: "00:00:5e:00:01:01",
  realMac: false,
  mtu: undefined,
  active: true,
  addresses: [{ family: 6, address: "2001:db8::1", prefixLength: 64 }],
};
const SHARED_BYTES = Buffer.from("20010db8000000000000000000000001", "hex");
const NEWADDR = 20;
const MULTI = 2;

/** The messages but for notifications of this address. */
function without(address: Buffer, messages: Uint8Array): Uint8Array {
  const bytes = Buffer.from(messages);
  const kept: Buffer[] = [];
  for (let at = 0, length = 0; at < bytes.length; at += length) {
    length = (bytes.readUInt32LE(at) + 3) & ~3;
    const message = bytes.subarray(at, at + length);
    const isAnswer = (message.readUInt16LE(6) & MULTI) !== 0;
    if (message.readUInt16LE(4) !== NEWADDR || isAnswer || !message.includes(address)) kept.push(message);
  }
  return Uint8Array.from(Buffer.concat(kept));
}

const dump = RtNetlink.prototype.dump;

test("tables that cannot be read are read again after pauses, and that is told of once", async () => {
  let failures = 0;
  mock.method(RtNetlink.prototype, "dump", function (this: RtNetlink, ...words: Parameters<typeof dump>) {
    return failures++ < 16 ? Promise.resolve("ENOBUFS") : dump.apply(this, words);
  });
  await links.start();
  assert.ok(events.linkNamed("eth0"));
  assert.equal(failures, 18);
  assert.deepEqual(events.complaints(), ["links and addresses cannot be read (ENOBUFS): trying again"]);
});

test("an IPv6 address added while tables are read is not taken for removed by another program", async () => {
  // The kernel's notification of the address is late, as on a busy host.
  const { NetlinkSocket } = nativeNetlink;
  type Words = ConstructorParameters<typeof NetlinkSocket>;
  class LateSocket extends NetlinkSocket {
    constructor(groups: Words[0], bytes: Words[1], deliver: Words[2]) {
      super(groups, bytes, (messages) => deliver(messages && without(SHARED_BYTES, messages)));
    }
  }
  mock.property(nativeNetlink, "NetlinkSocket", LateSocket as typeof NetlinkSocket);
  await links.start();
  const begun = Promise.withResolvers<void>();
  const applied = Promise.withResolvers<void>();
  mock.method(
    RtNetlink.prototype,
    "dump",
    async function (this: RtNetlink, ...words: Parameters<typeof dump>) {
      const table = await dump.apply(this, words);
      begun.resolve();
      await applied.promise;
      return table;
    },
  );
  ip("addr add 10.0.0.2/24 dev eth0");
  await begun.promise;
  await apply(links, "carp0", carp0);
  applied.resolve();
  await events.until(() => events.linkNamed("eth0")?.addresses.length);
  // Has the device looked at.
  ip("link set eth0 mtu 1400");
  await events.until(() => events.linkNamed("eth0")?.mtu === 1400);
  await apply(links, "carp0", carp0);
  assert.deepEqual(events.repairs(), []);
});
