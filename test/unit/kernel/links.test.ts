/** Links and addresses of a real kernel as link events, in bursts and after lost notifications. Needs root. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { afterEach, beforeEach, test } from "node:test";
import {
  addCarpdev,
  apply,
  clearNetwork,
  enterPrivateNetwork,
  ip,
  ipBatch,
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
});

afterEach(() => {
  links.close();
  clearNetwork();
  runDir.remove();
});

const addressesOf = (name: string) => events.linkNamed(name)?.addresses.map((each) => each.address);

test("loopback, tunnels and our own devices are reported as unfit, under their present names", async () => {
  const unfit = () =>
    Object.fromEntries(
      events.heard.flatMap((each) => (each.kind === "unfit" ? [[each.name, each.why]] : [])),
    );
  ip("tuntap add name tun0 mode tun");
  ip("tuntap add name tap0 mode tap");
  await links.start();
  assert.deepEqual(unfit(), { lo: "no Ethernet device", tun0: "no Ethernet device" });
  assert.ok(events.linkNamed("tap0"));
  ip("link set tun0 name wan0");
  await events.until(() => unfit().wan0);
  assert.equal(unfit().tun0, undefined);
  ip("link delete wan0");
  await events.until(() => unfit().wan0 === undefined);
  addCarpdev();
  await events.until(() => events.linkNamed("eth0")?.up);
  const mac = "00:00:5e:00:01:01";
  const rest = { mac, realMac: false, mtu: undefined, active: false, addresses: [] };
  await apply(links, "carp0", { name: "carp0", carpdev: "eth0", ...rest });
  await events.until(() => unfit().carp0 === "a carp interface");
});

test("an Ethernet link is reported with its addresses in the kernel's order, loopback is not", async () => {
  ip("link add eth0 address 02:00:00:00:00:AA type bridge");
  ip("addr add 10.0.0.2/24 broadcast + dev eth0");
  ip("addr add 10.0.0.3/24 dev eth0");
  ip("addr add 2001:db8::2/64 dev eth0 nodad");
  ip("link set lo up");
  await links.start();
  const link = events.linkNamed("eth0");
  assert.ok(link);
  assert.deepEqual(
    { ...link, index: 0 },
    {
      name: "eth0",
      index: 0,
      mac: "02:00:00:00:00:aa",
      mtu: 1500,
      up: false,
      carrier: false,
      addresses: [
        { family: 4, address: "10.0.0.2", prefixLength: 24, broadcast: "10.0.0.255" },
        { family: 4, address: "10.0.0.3", prefixLength: 24 },
        { family: 6, address: "2001:db8::2", prefixLength: 64 },
      ],
    },
  );
  assert.deepEqual(
    events.heard.flatMap((each) => (each.kind === "link" ? [each.link.name] : [])),
    ["eth0"],
  );
});

test("carrier, administrative state and mtu are followed", async () => {
  addCarpdev();
  await links.start();
  await events.until(() => events.linkNamed("eth0")?.carrier);
  ip("link set eth0-far down");
  await events.until(() => events.linkNamed("eth0")?.carrier === false);
  assert.equal(events.linkNamed("eth0")?.up, true);
  ip("link set eth0 down");
  await events.until(() => events.linkNamed("eth0")?.up === false);
  ip("link set eth0 mtu 1400");
  await events.until(() => events.linkNamed("eth0")?.mtu === 1400);
});

test("an IPv6 address is reported once it is no longer tentative, and in the kernel's order", async () => {
  addCarpdev();
  await links.start();
  await events.until(() => addressesOf("eth0")?.length === 1);
  ip("addr add 2001:db8::1/64 dev eth0");
  await events.until(() => addressesOf("eth0")?.includes("2001:db8::1"));
  ip("addr add 2001:db8::2/64 dev eth0 nodad");
  await events.until(() => addressesOf("eth0")?.includes("2001:db8::2"));
  const inOrder = ip("-o -6 addr show dev eth0").match(/(?<=inet6 )[^/]+/g);
  assert.deepEqual(addressesOf("eth0"), [...(inOrder ?? [])]);
});

test("an address that another program removes leaves the link's addresses", async () => {
  addCarpdev();
  ip("addr add 10.0.0.2/24 dev eth0");
  await links.start();
  ip("addr del 10.0.0.2/24 dev eth0");
  await events.until(() => events.linkNamed("eth0")?.addresses.every(({ family }) => family === 6));
});

test("nothing is reported twice", async () => {
  addCarpdev();
  ip("addr add 10.0.0.2/24 dev eth0");
  await links.start();
  await events.until(() => addressesOf("eth0")?.some((address) => address.startsWith("fe80")));
  ip("link set eth0 alias something");
  ip("link set eth0 mtu 1500");
  ip("link add last type bridge");
  await events.until(() => events.linkNamed("last"));
  const seen = events.heard.flatMap((each) => (each.kind === "link" ? [JSON.stringify(each.link)] : []));
  assert.deepEqual(seen, [...new Set(seen)]);
});

test("a renamed link is gone and a new one is there, a deleted one is gone", async () => {
  ip("link add eth0 type bridge");
  await links.start();
  events.forget();
  ip("link set eth0 name wan0");
  await events.until(() => events.linkNamed("wan0"));
  assert.deepEqual(
    events.heard.map((each) => each.kind),
    ["gone", "link"],
  );
  ip("link del wan0");
  await events.until((heard) => heard.some((each) => each.kind === "gone" && each.name === "wan0"));
});

test("a link that leaves a bridge is still there", async () => {
  addCarpdev();
  ip("link add br0 type bridge");
  ip("link set eth0 master br0");
  await links.start();
  ip("link set eth0 nomaster");
  ip("link add last type bridge");
  await events.until(() => events.linkNamed("last"));
  assert.deepEqual(
    events.heard.filter((each) => each.kind === "gone"),
    [],
  );
});

test("after more changes than the socket can hold everything is known again", async () => {
  links.close();
  links = openLinks(runDir.path, events, 4096);
  addCarpdev();
  addCarpdev("eth1");
  await links.start();
  const added = Array.from({ length: 2000 }, (_, at) => `10.${1 + (at >> 8)}.${at & 255}.1/24`);
  // The event loop stands still meanwhile, so the kernel has to drop notifications, the deletion among them.
  ipBatch([...added.map((address) => `addr add ${address} dev eth0`), "link del eth1"]);
  await events.until((heard) => heard.some((each) => each.kind === "gone" && each.name === "eth1"));
  await events.until(() => addressesOf("eth0")?.filter((address) => address.endsWith(".1")).length === 2000);

  const device = {
    name: "carp0",
    carpdev: "eth0",
    mac: "00:00:5e:00:01:01",
    realMac: false,
    mtu: undefined,
    active: true,
    addresses: Array.from({ length: 200 }, (_, at) => ({
      family: 4 as const,
      address: `192.168.0.${at + 1}`,
      prefixLength: 24,
    })),
  };
  await apply(links, "carp0", device);
  assert.equal(ip("-o -4 addr show dev carp0").trim().split("\n").length, 200);
  ipBatch([...added.map((address) => `addr del ${address} dev eth0`), "addr flush dev carp0"]);
  await events.until(() => addressesOf("eth0")?.every((address) => !address.endsWith(".1")));
  await events.until(() => events.repairs()[0]);
  assert.equal(ip("-o -4 addr show dev carp0").trim().split("\n").length, 200);
});

test("after close nothing is reported, what was pending resolves, and the process may end", async () => {
  addCarpdev();
  await links.start();
  const pending = apply(links, "carp0", {
    name: "carp0",
    carpdev: "eth0",
    mac: "00:00:5e:00:01:01",
    realMac: false,
    mtu: undefined,
    active: true,
    addresses: [],
  });
  links.close();
  await pending;
  await apply(links, "carp0", null);
  const program = `
    import { createLinks } from ${JSON.stringify(new URL("../../../src/kernel/devices/links.ts", import.meta.url).href)};
    const none = () => undefined;
    const events = { link: none, linkGone: none, unfit: none, placed: none, device: none, repaired: none, complaint: none };
    const document = { saved: undefined, write: none };
    const polling = { watch: () => ({ add: none, remove: none, doubt: none }), know: none };
    const links = createLinks({ runDir: "/run/carp", placed: document, settings: document, events, polling });
    await links.start();
    links.close();`;
  const { status, signal, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", program], {
    timeout: 20_000,
    encoding: "utf8",
  });
  assert.deepEqual({ status, signal, stderr }, { status: 0, signal: null, stderr: "" });
});
