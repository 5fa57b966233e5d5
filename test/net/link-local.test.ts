/**
 * Link-local IPv6 addresses: clients that ask from one, and shared ones, as gateways have; and hosts whose
 * digests cover them, or do not.
 */

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { Bsd, createNetwork, eventually, virtualMac } from "../hosts/index.ts";
import { live } from "../unit/protocol/vectors.ts";
import { assertHolder, assertNothingLost, configure, IPV6, onCarpHosts } from "./carp-hosts.ts";

const GATEWAY = "fe80::1";
const CLIENT = "fe80::99";

describe("link-local addresses", () => {
  test("a client that has no other address reaches every shared address, whichever host is MASTER", async () => {
    const addresses = [IPV6, GATEWAY];
    await onCarpHosts({ count: 2, addresses }, async ({ hosts, client }) => {
      const [a, b] = hosts as [(typeof hosts)[0], (typeof hosts)[0]];
      await client.run("ip", "address", "add", `${CLIENT}/64`, "dev", "eth0", "nodad");
      await configure(a, { addresses });
      await a.command("carp0", "state", "master");
      await configure(b, { addresses, advskew: 100 });
      for (const [holder, other] of [
        [a, b],
        [b, a],
      ] as const) {
        await holder.waitForState("carp0", "MASTER");
        await other.waitForState("carp0", "BACKUP");
        for (const address of addresses)
          assertNothingLost([await client.ping(address, { from: `${CLIENT}%eth0` })]);
        await assertHolder(holder, [other], [IPV6]);
        if (holder === a) await a.command("carp0", "state", "backup");
      }
    });
  });
});

describe("the same link-local address on two networks", () => {
  test("is each network's gateway, by its own MAC, whoever holds which; dump and netstart know it", async () => {
    const [lan, far] = await Promise.all([createNetwork(), createNetwork()]);
    try {
      const routers = await Promise.all([lan.host("a"), lan.host("b")]);
      const clients = await Promise.all([lan.host("c"), far.host("d")]);
      for (const [n, router] of routers.entries()) {
        await far.attach(router);
        await router.startEngine();
        for (const [at, vhid] of [7, 9].entries()) {
          const words = ["carpdev", `eth${at}`, "vhid", String(vhid), "advskew", String(100 * n)];
          await router.command(`carp${at}`, "inet6", `${GATEWAY}%carp${at}/64`, ...words);
        }
      }
      const answers = async (at: number) => {
        const client = clients[at];
        assert.ok(client !== undefined);
        await client.run("ip", "neigh", "flush", "dev", "eth0");
        assert.deepEqual((await client.ping(GATEWAY, { from: "eth0" })).lost, []);
        const neighbour = await client.run("ip", "neigh", "show", GATEWAY, "dev", "eth0");
        assert.match(neighbour, new RegExp(virtualMac([7, 9][at] ?? 0)));
      };
      const [a, b] = routers;
      assert.ok(a !== undefined && b !== undefined);
      await a.command("carp0", "state", "master");
      await a.command("carp1", "state", "master");
      for (const name of ["carp0", "carp1"]) {
        await a.waitForState(name, "MASTER");
        await b.waitForState(name, "BACKUP");
      }
      await Promise.all([answers(0), answers(1)]);
      // Taken from one of them, it stays on the other.
      await a.command("carp0", "inet6", "-alias", `${GATEWAY}%carp0`);
      await b.waitForState("carp0", "MASTER");
      await Promise.all([answers(0), answers(1)]);
      await a.command("carp1", "down");
      await b.waitForState("carp1", "MASTER");
      await Promise.all([answers(0), answers(1)]);
      for (const [at, words] of [
        [1, ["address", "del", `${GATEWAY}/64`, "dev", "carp1"]],
        [0, ["-6", "route", "del", "local", GATEWAY, "dev", "carp0", "table", "local"]],
      ] as const) {
        const from = b.engine.log.length;
        await b.run("ip", ...words);
        await b.engine.waitForLog(new RegExp(`carp${at}: repaired: .*${GATEWAY}.* was removed`), { from });
        await Promise.all([answers(0), answers(1)]);
      }
      const [link] = JSON.parse(await b.run("ip", "-json", "link", "show", "carp1"));
      const scope = link.ifindex.toString(16);
      const shown = await b.command("carp1");
      assert.match(shown.stdout, new RegExp(`\\tinet6 fe80::1%carp1 prefixlen 64 scopeid 0x${scope}\n`));
      for (const name of ["carp0", "carp1"]) {
        const { stdout } = await b.command("dump", name);
        writeFileSync(join(b.etcDirectory, `hostname.${name}`), stdout, { mode: 0o640 });
      }
      assert.equal((await b.command("netstart")).stderr, "");
      assert.equal(await b.engine.state("carp1"), "MASTER");
    } finally {
      lan.destroy();
      far.destroy();
    }
  });
});

describe("a shared link-local address", () => {
  const SHARED = ["10.0.0.1", "fe80::1"];
  const BSD = { source: "10.0.0.9", pass: "sesame", vhid: 1, advskew: 150, addresses: SHARED };

  test("of a pair with FreeBSD ends with one MASTER, which signs it after a restart too", async () => {
    const lan = await createNetwork();
    try {
      const [ours, theirs] = await Promise.all([
        lan.host("ours", { addresses: ["10.0.0.11/24"] }),
        lan.host("theirs", { addresses: ["10.0.0.9/24"] }),
      ]);
      await ours.startEngine();
      await configure(ours, { addresses: SHARED, advskew: 10 });
      await ours.command("carp0", "state", "master");
      const freebsd = new Bsd(theirs, { ...BSD, linkLocals: "covered" });
      await freebsd.waitForState("MASTER");
      await freebsd.waitForState("BACKUP");
      assert.equal(await ours.engine.state("carp0"), "MASTER");
      const says = /10\.0\.0\.9 signs the link-local addresses: this host signs them too/;
      assert.equal(ours.engine.log.lines.filter(({ text }) => says.test(text)).length, 1);
      // Replaced within its lease: the next engine signs as this one did.
      const saved = `${ours.runDirectory}/state.json`;
      await eventually(
        () => ours.run("cat", saved),
        (text) => /"signsLinkLocals":\[\{/.test(text),
      );
      await ours.engine.kill("SIGKILL");
      await ours.startEngine();
      await ours.waitForState("carp0", "MASTER");
      const [carp0] = (await ours.engine.request("interfaces", {})).interfaces;
      assert.equal(carp0?.nodes[0]?.signsLinkLocals, true);
      assert.deepEqual(freebsd.states, ["MASTER", "BACKUP"]);
    } finally {
      lan.destroy();
    }
  });

  test("is signed after two frames that FreeBSD sent, not after one of them again and again", async () => {
    const vector = live.find(
      ({ name, linkLocalsInDigest }) => name === "link local dual" && linkLocalsInDigest,
    );
    assert.ok(vector !== undefined);
    const lan = await createNetwork();
    try {
      const [ours, theirs] = await Promise.all([
        lan.host("ours", { addresses: ["10.77.0.1/24"] }),
        lan.host("theirs", { addresses: ["10.77.0.2/24"] }),
      ]);
      await ours.startEngine();
      const [ipv4, ipv6] = vector.addresses;
      const words = ["carpdev", "eth0", "vhid", String(vector.vhid), "pass", vector.pass];
      await ours.command("carp0", `${ipv4}/24`, "inet6", `${ipv6}`, ...words, "state", "master");
      const signs = async () => {
        const [carp0] = (await ours.engine.request("interfaces", {})).interfaces;
        return carp0?.nodes[0]?.signsLinkLocals;
      };
      const [first, second] = vector.frames.map((hex) => Buffer.from(hex, "hex"));
      assert.ok(first !== undefined && second !== undefined);
      await theirs.inject("eth0", first, { count: 20 });
      const heard = async () => (await ours.engine.request("statistics", {})).receivedIpv4;
      await eventually(heard, (count) => count >= 20);
      assert.equal(await signs(), false);
      await theirs.inject("eth0", second);
      await ours.engine.waitForLog(/signs the link-local addresses/);
      assert.equal(await signs(), true);
      assert.equal((await ours.engine.request("statistics", {})).badAuthentication, 0);
      assert.equal(await ours.engine.state("carp0"), "MASTER");
    } finally {
      lan.destroy();
    }
  });
});
