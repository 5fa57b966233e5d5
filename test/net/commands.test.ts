/**
 * Effects of every keyword of the ifconfig syntax: in the output, in the kernel's device and on the wire.
 * Refusals are in commands-errors.test.ts.
 */

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, beforeEach, describe, test } from "node:test";
import { KEYWORDS } from "../../src/cli/grammar/ifconfig/keywords.ts";
import { createNetwork, eventuallyEqual, type Frame, type Host, type Network } from "../hosts/index.ts";

/** Words after `carp0`, one command each, and the addresses that result. */
const ADDRESSES: readonly (readonly [commands: readonly string[], addresses: readonly string[]])[] = [
  [["10.7.0.1"], ["10.7.0.1/8"]],
  [["172.16.0.1"], ["172.16.0.1/16"]],
  [["192.168.7.1"], ["192.168.7.1/24"]],
  [["10.7.0.1/25"], ["10.7.0.1/25"]],
  [["inet 10.7.0.1 netmask 255.255.255.128"], ["10.7.0.1/25"]],
  [["inet 10.7.0.1 netmask 0xffffff80"], ["10.7.0.1/25"]],
  [["10.7.0.1 prefixlen 25"], ["10.7.0.1/25"]],
  [["2001:db8:7::1"], ["2001:db8:7::1/64"]],
  [["inet6 2001:DB8:7:0::1 prefixlen 48"], ["2001:db8:7::1/48"]],
  [["10.7.0.1/24 inet6 2001:db8:7::1/64"], ["10.7.0.1/24", "2001:db8:7::1/64"]],
  [["10.7.0.1/24", "10.7.0.2/24"], ["10.7.0.2/24"]],
  [["10.7.0.1/24", "10.7.0.1/25"], ["10.7.0.1/25"]],
  [
    ["10.7.0.1/24", "alias 10.7.0.2/24"],
    ["10.7.0.1/24", "10.7.0.2/24"],
  ],
  [
    ["10.7.0.1/24 alias 10.7.0.2/32 inet alias 10.8.0.3/24", "10.7.0.1 delete"],
    ["10.7.0.2/32", "10.8.0.3/24"],
  ],
  [["10.7.0.1/24 alias 10.7.0.2/24", "-alias 10.7.0.2"], ["10.7.0.1/24"]],
  [["10.7.0.1/24 add 10.7.0.2/24", "10.7.0.1 remove"], ["10.7.0.2/24"]],
  [
    ["10.7.0.1/24 alias 10.7.0.2/24", "delete 10.7.0.1 alias 10.7.0.3/24"],
    ["10.7.0.2/24", "10.7.0.3/24"],
  ],
  [
    ["2001:db8:7::1/64", "inet6 2001:db8:7::2/64"],
    ["2001:db8:7::1/64", "2001:db8:7::2/64"],
  ],
  [["10.7.0.1/24 alias 10.7.0.2/24 inet6 2001:db8:7::1/64", "-inet"], ["2001:db8:7::1/64"]],
  [["10.7.0.1/24 inet6 2001:db8:7::1/64 inet6 2001:db8:7::2/64", "-inet6"], ["10.7.0.1/24"]],
  [["10.7.0.1/24", "-inet 10.7.0.9/24"], ["10.7.0.9/24"]],
];

describe("the words of ifconfig", () => {
  let lan: Network;
  let a: Host;
  let b: Host;
  /** All typed words: every keyword has to be among them. */
  const typed = new Set<string>();

  before(async () => {
    lan = await createNetwork();
    [a, b] = await Promise.all([
      lan.host("a", { addresses: ["10.0.0.2/24", "2001:db8::2/64"] }),
      lan.host("b", { addresses: ["10.0.0.3/24", "2001:db8::3/64"] }),
    ]);
    await lan.attach(a, { addresses: ["10.0.1.2/24"] });
    await Promise.all([a.startEngine(), b.startEngine()]);
  });
  after(() => lan.destroy());

  beforeEach(async () => {
    for (const host of [a, b]) {
      const { interfaces } = await host.engine.request("interfaces", {});
      for (const { name } of interfaces) await host.engine.request("destroy", { name });
    }
  });

  /** Runs a command that succeeds and prints nothing, but for a warning of a class's mask. */
  async function type(host: Host, words: string): Promise<void> {
    for (const word of words.split(" ")) typed.add(word);
    const { stdout, stderr } = await host.command(...words.split(" "));
    assert.deepEqual(
      [stdout, stderr.replace(/^carpctl: warning: 10\.7\.0\.1\/8: eth0 has .*\n/, "")],
      ["", ""],
    );
  }

  const show = async (host: Host, words = "carp0") => (await host.command(...words.split(" "))).stdout;

  async function link(host: Host, name = "carp0") {
    const links: { ifname: string; address: string; mtu: number; link: string }[] = JSON.parse(
      await host.run("ip", "-json", "-details", "link", "show"),
    );
    return links.find(({ ifname }) => ifname === name);
  }

  for (const [commands, addresses] of ADDRESSES)
    test(`carp0 ${commands.join(", then ")}: ${addresses.join(" ")}`, async () => {
      const [first = "", ...others] = commands;
      await type(a, `carp0 ${first} carpdev eth0 vhid 1 advbase 60`);
      for (const words of others) await type(a, `carp0 ${words}`);
      const shown = (await show(a)).matchAll(/^\tinet6? (\S+) (?:netmask 0x(\S+)|prefixlen (\d+))/gm);
      const lengthOf = (mask = "") =>
        [...BigInt(`0x${mask}`).toString(2)].filter((bit) => bit === "1").length;
      assert.deepEqual(
        [...shown].map(([, address, mask, length]) => `${address}/${length ?? lengthOf(mask)}`),
        addresses,
      );
      await a.waitForAddresses("carp0", []);
      await a.engine.request("change", { name: "carp0", change: { state: "master" } });
      // The kernel lists IPv6 addresses the last one first.
      await eventuallyEqual(async () => (await a.addresses("carp0")).sort(), [...addresses].sort());
    });

  test("broadcast: on the device as well", async () => {
    await type(a, "carp0 10.7.0.1/24 broadcast 10.7.0.99 carpdev eth0 vhid 1");
    await type(a, "carp0 state master");
    assert.match(await show(a), /broadcast 10\.7\.0\.99$/m);
    assert.match(await a.run("ip", "address", "show", "carp0"), /brd 10\.7\.0\.99 /);
  });

  test("an address brings the interface up, unless the command says down", async () => {
    await type(a, "carp0 vhid 1");
    assert.match(await show(a), /^carp0: flags=8802</);
    await type(a, "carp0 10.7.0.1/24");
    assert.match(await show(a), /^carp0: flags=8803</);
    await type(a, "carp1 10.7.1.1/24 vhid 2 down");
    assert.match(await show(a, "carp1"), /^carp1: flags=8802</);
  });

  test("carpdev: the device with the address's subnet when none is given; its macvlan moves with it", async () => {
    await type(a, "carp0 10.0.1.1/24 vhid 1");
    assert.match(await show(a), /carp: BACKUP carpdev eth1 vhid 1/);
    assert.equal((await link(a))?.link, "eth1");
    await type(a, "carp0 carpdev eth0");
    assert.match(await show(a), /carp: BACKUP carpdev eth0 vhid 1/);
    assert.equal((await link(a))?.link, "eth0");
  });

  test("the same vhid may be used once on every carpdev", async () => {
    await type(a, "carp0 10.0.0.1/24 carpdev eth0 vhid 1");
    await type(a, "carp1 10.0.1.1/24 carpdev eth1 vhid 1");
    assert.equal((await link(a, "carp1"))?.address, (await link(a, "carp0"))?.address);
  });

  test("vhid, or carpnodes with one node: the virtual MAC", async () => {
    await type(a, "carp0 10.0.0.1/24 vhid 255 advskew 7");
    assert.match(await show(a), /lladdr 00:00:5e:00:01:ff.* vhid 255 advbase 1 advskew 7$/ms);
    assert.equal((await link(a))?.address, "00:00:5e:00:01:ff");
    await type(a, "carp0 carpnodes 16:50 balancing ip");
    assert.match(await show(a), /lladdr 00:00:5e:00:01:10.* vhid 16 advbase 1 advskew 50$/ms);
    assert.equal((await link(a))?.address, "00:00:5e:00:01:10");
  });

  test("lladdr: another MAC on the device, and back", async () => {
    await type(a, "carp0 10.0.0.1/24 vhid 1 lladdr 02:00:00:00:00:AA");
    assert.match(await show(a), /^\tlladdr 02:00:00:00:00:aa$/m);
    assert.equal((await link(a))?.address, "02:00:00:00:00:aa");
    await type(a, "carp0 -lladdr");
    assert.match(await show(a), /^\tlladdr 00:00:5e:00:01:01$/m);
    assert.equal((await link(a))?.address, "00:00:5e:00:01:01");
  });

  test("mtu: on the device as well", async () => {
    await type(a, "carp0 10.0.0.1/24 vhid 1 mtu 1400");
    assert.match(await show(a), /^carp0: .* mtu 1400$/m);
    assert.equal((await link(a))?.mtu, 1400);
  });

  test("description, in words of any kind, and none", async () => {
    await a.command("carp0", "descr", "web front end, Zürich");
    assert.match(await show(a), /^\tdescription: web front end, Zürich$/m);
    await type(a, "carp0 -description");
    assert.doesNotMatch(await show(a), /description/);
    await type(a, "carp0 description www");
    await type(a, "carp0 descr web");
    assert.match(await show(a), /^\tdescription: web$/m);
    await type(a, "carp0 -descr");
    assert.doesNotMatch(await show(a), /description/);
  });

  test("create and destroy, in either order, and the next free name", async () => {
    await type(a, "carp1 create");
    await type(a, "create carp2 10.0.0.1/24 vhid 1");
    assert.ok(await link(a, "carp2"));
    assert.equal(await show(a, "create"), "carp0\n");
    assert.equal(await show(a, "create"), "carp3\n");
    assert.deepEqual((await show(a, "-a")).match(/^carp\d/gm), ["carp0", "carp1", "carp2", "carp3"]);
    await type(a, "carp2 destroy");
    await type(a, "destroy carp0");
    assert.equal(await link(a, "carp2"), undefined);
    assert.deepEqual((await show(a, "-a")).match(/^carp\d/gm), ["carp1", "carp3"]);
  });

  test("state: forced, and the elections go on from there", async () => {
    await type(a, "carp0 10.0.0.1/24 vhid 1 advbase 60");
    assert.match(await show(a), /carp: BACKUP .*status: backup/s);
    await type(a, "carp0 state master");
    assert.match(await show(a), /carp: MASTER .*status: master/s);
    for (const state of ["backup", "init"]) {
      await type(a, "carp0 state master");
      await type(a, `carp0 state ${state}`);
      assert.match(await show(a), /carp: BACKUP .*status: backup/s);
      await a.waitForAddresses("carp0", []);
    }
  });

  test("down: the device has no addresses; up: it has them again", async () => {
    await type(a, "carp0 10.0.0.1/24 vhid 1");
    await type(a, "carp0 state master");
    await type(a, "carp0 down");
    assert.match(await show(a), /^carp0: flags=8802<.*carp: INIT .*inet 10\.0\.0\.1 /s);
    await a.waitForAddresses("carp0", []);
    await type(a, "carp0 up");
    assert.match(await show(a), /^carp0: flags=8843<.*carp: BACKUP /s);
  });

  test("groups: joined, shown, demoted and left", async () => {
    await type(a, "carp0 10.0.0.1/24 vhid 1 group web group db");
    await type(a, "carp1 10.0.0.11/24 vhid 2 group web");
    assert.match(await show(a), /^\tgroups: carp web db$/m);
    assert.deepEqual((await show(a, "web")).match(/^carp\d/gm), ["carp0", "carp1"]);
    assert.deepEqual((await show(a, "db")).match(/^carp\d/gm), ["carp0"]);
    await type(a, "-g web carpdemote");
    assert.equal(await show(a, "-g web"), "web: carp demote count 1\n");
    await type(a, "-g web carpdemote 128");
    assert.equal(await show(a, "-g web"), "web: carp demote count 129\n");
    await type(a, "-g web -carpdemote 9");
    assert.equal(await show(a, "-g web"), "web: carp demote count 120\n");
    await type(a, "-g web -carpdemote 128");
    assert.equal(await show(a, "-g web"), "web: carp demote count 0\n");
    assert.equal(await show(a, "-g db"), "db: carp demote count 0\n");
    await type(a, "carp0 -group web -group carp");
    assert.match(await show(a), /^\tgroups: db$/m);
    assert.deepEqual((await show(a, "web")).match(/^carp\d/gm), ["carp1"]);
  });

  test("advbase, advskew and demotion are sent as configured", async () => {
    const capture = await b.capture("eth0", "ip proto 112");
    const next = (wanted: (carp: NonNullable<Frame["carp"]>) => boolean) =>
      capture.waitFor(({ carp }) => carp !== undefined && wanted(carp), { from: capture.frames.length });
    await type(a, "carp0 10.0.0.1/24 vhid 9 advbase 0 advskew 20 group web");
    await next(
      ({ vhid, advbase, advskew, demote }) => vhid === 9 && advbase === 0 && advskew === 20 && demote === 0,
    );
    await type(a, "carp0 advskew 30");
    await next(({ advskew }) => advskew === 30);
    await type(a, "-g web carpdemote 5");
    await next(({ demote, advskew }) => demote === 5 && advskew === 30);
    await a.command("sysctl", "net.inet.carp.demotion=7");
    await next(({ demote, advskew }) => demote === 12 && advskew === 37);
    await a.command("sysctl", "net.inet.carp.demotion=-7", "net.inet.carp.dscp=46");
    await capture.waitFor(({ ipv4 }) => ipv4?.tos === 46 << 2, { from: capture.frames.length });
    await a.command("sysctl", "net.inet.carp.dscp=4");
    await capture.stop();
  });

  test("announce, and back to the default", async () => {
    await type(a, "carp0 10.0.0.1/24 vhid 1 announce 30");
    assert.match(await show(a), /^\tannounce 30$/m);
    await type(a, "carp0 -announce");
    assert.doesNotMatch(await show(a), /announce/);
  });

  test("preemptdelay, and back to the variable's", async () => {
    await type(a, "carp0 10.0.0.1/24 vhid 1 preemptdelay 30");
    assert.match(await show(a), /^\tpreemptdelay 30$/m);
    await type(a, "carp0 -preemptdelay");
    assert.doesNotMatch(await show(a), /preemptdelay/);
  });

  test("carppeer and carppeer6, by each of their names, and back to multicast", async () => {
    const capture = await b.capture("eth0", "ip proto 112 or ip6 proto 112");
    const sentTo = (destination: string) =>
      capture.waitFor(
        ({ ipv4, ipv6, bytes }) =>
          (ipv4 ?? ipv6)?.destination === destination && bytes.includes(Buffer.from([0x21, 9, 20, 7])),
        { from: capture.frames.length },
      );
    await type(a, "carp0 10.0.0.1/24 inet6 2001:db8::1/64 vhid 9 advbase 0 advskew 20");
    await Promise.all([sentTo("224.0.0.18"), sentTo("ff02::12")]);
    for (const [peer, peer6, mcast, mcast6] of [
      ["carppeer", "carppeer6", "-carppeer", "-carppeer6"],
      ["peer", "peer6", "mcast", "mcast6"],
    ]) {
      await type(a, `carp0 ${peer} 10.0.0.3 ${peer6} 2001:db8::3`);
      assert.match(await show(a), /carp: .* advskew 20 carppeer 10\.0\.0\.3 carppeer6 2001:db8::3$/m);
      await Promise.all([sentTo("10.0.0.3"), sentTo("2001:db8::3")]);
      await type(a, `carp0 ${mcast} ${mcast6}`);
      assert.match(await show(a), /carp: .* advskew 20$/m);
      await Promise.all([sentTo("224.0.0.18"), sentTo("ff02::12")]);
    }
    await capture.stop();
  });

  test("pass: hosts with the same pass accept each other, typed or from a file; others do not", async () => {
    const file = join(b.etcDirectory, "pass");
    writeFileSync(file, "sesame open\nnot this\n");
    await a.command("carp0", ..."10.0.0.1/24 vhid 1 advbase 0 advskew 20 pass".split(" "), "sesame open");
    typed.add("pass");
    await a.waitForState("carp0", "MASTER");
    await type(b, `carp0 10.0.0.1/24 vhid 1 advbase 60 passfile ${file}`);
    await heardFrom("10.0.0.2");
    assert.equal((await b.engine.request("statistics", {})).badAuthentication, 0);
    await type(b, "carp0 pass sesame grace off");
    await b.engine.waitForLog(/incorrect hash/, { from: b.engine.log.length });
    assert.ok((await b.engine.request("statistics", {})).badAuthentication > 0);
  });

  test("pass longer than 19 bytes: a warning, and the first 19 are used", async () => {
    const longest = "1234567890123456789";
    const words = "carp0 10.0.0.1/24 vhid 1 advbase 0 advskew 20 pass".split(" ");
    assert.deepEqual(await a.command(...words, `${longest}0`), {
      stdout: "",
      stderr: "carpctl: warning: pass: only its first 19 bytes are used\n",
      exitCode: 0,
    });
    await a.waitForState("carp0", "MASTER");
    const before = await b.engine.request("statistics", {});
    await type(b, `carp0 10.0.0.1/24 vhid 1 advbase 60 pass ${longest}`);
    await heardFrom("10.0.0.2");
    const { badAuthentication } = await b.engine.request("statistics", {});
    assert.equal(badAuthentication, before.badAuthentication);
    await type(b, `carp0 pass ${longest.slice(0, -1)} grace off`);
    await b.engine.waitForLog(/incorrect hash/, { from: b.engine.log.length });
  });

  /** Resolves when b has accepted an advertisement from that source. */
  async function heardFrom(source: string): Promise<void> {
    const capture = await b.capture("eth0", "ip proto 112");
    for (;;) {
      const { interfaces } = await b.engine.request("interfaces", {});
      if (interfaces[0]?.nodes[0]?.heard?.source === source) break;
      await capture.waitFor(({ carp }) => carp !== undefined, { from: capture.frames.length });
    }
    await capture.stop();
  }

  test("every keyword was typed above", () => {
    const known = KEYWORDS.filter(({ name }) => name !== "rdomain");
    const words = known.flatMap(({ name, synonyms = [] }) => [name, ...synonyms]);
    assert.deepEqual(
      words.filter((word) => !typed.has(word)),
      [],
    );
  });
});
