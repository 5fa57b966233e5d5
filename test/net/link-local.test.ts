/**
 * Link-local IPv6 addresses: clients that ask from one, and shared ones, as gateways have; and hosts whose
 * digests cover them, or do not.
 */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Bsd, createNetwork, eventually } from "../hosts/index.ts";
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
