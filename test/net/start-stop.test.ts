/** An engine that is stopped leaves the host as it found it, also after many starts. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { createNetwork, eventually, type Host, traces } from "../hosts/index.ts";
import { runFiles } from "../hosts/run-directory.ts";
import { assertOnlyVirtualMac, virtualMac } from "../hosts/virtual-mac.ts";

const TIMES = 100;
/** The number of engines that are started and stopped at the same time, each on its own host. */
const HOSTS = 4;

test("an engine that stops bows out, the BACKUP takes over at once, and nothing is left behind", async () => {
  const lan = await createNetwork();
  try {
    const [a, b, client] = await Promise.all([
      lan.host("a", { addresses: ["10.0.0.2/24", "2001:db8::2/64"] }),
      lan.host("b", { addresses: ["10.0.0.3/24", "2001:db8::3/64"] }),
      lan.host("c", { addresses: ["10.0.0.9/24", "2001:db8::9/64"] }),
    ]);
    await lan.attach(a, { addresses: ["10.0.0.22/24"] });
    const before = await traces(a);
    await Promise.all([a.startEngine(), b.startEngine()]);
    const wire = await lan.capture();
    const words = ["carp0", "inet", "10.0.0.1/24", "inet6", "2001:db8::1/64", "carpdev", "eth0", "vhid", "1"];
    await a.carpctl(...words, "state", "master");
    await a.waitForState("carp0", "MASTER");
    // With this advbase it takes over within minutes only after a bow-out.
    await b.carpctl(...words, "advbase", "60", "advskew", "1");
    await wire.waitFor(({ carp }) => carp !== undefined, { from: wire.frames.length });
    assert.notEqual(await traces(a), before);

    const pings = ["10.0.0.1", "2001:db8::1"].map((address) => client.startPing(address));
    await Promise.all(pings.map((ping) => ping.waitForReply()));
    const [exit] = await Promise.all([a.engine.stop(), b.waitForState("carp0", "MASTER")]);
    assert.deepEqual(exit, { code: 0, signal: null });
    await Promise.all(pings.map((ping) => ping.waitForReply()));
    for (const ping of pings) assert.deepEqual((await ping.stop()).lost, []);

    const frames = await wire.stop();
    const bowedOut = frames.findLastIndex(({ carp }) => carp?.advbase === 255 && carp.advskew === 255);
    assert.deepEqual(
      frames.slice(bowedOut + 1).filter(({ carp }) => carp && carp.advbase !== 60),
      [],
    );
    assert.ok(bowedOut >= 0);
    const packetSources = await Promise.all([a.mac("eth0"), a.mac("eth1"), b.mac("eth0")]);
    assertOnlyVirtualMac(frames, {
      addresses: ["10.0.0.1", "2001:db8::1"],
      mac: virtualMac(1),
      packetSources,
    });
    assert.equal(await traces(a), before);
    assert.deepEqual(runFiles(a), []);
  } finally {
    lan.destroy();
  }
});

test(`started and stopped ${TIMES} times, an engine leaves no device, setting, file or process`, async () => {
  const lan = await createNetwork();
  try {
    const hosts = await Promise.all(
      Array.from({ length: HOSTS }, (_, n) =>
        lan.host(`h${n}`, { addresses: [`10.0.0.${n + 2}/24`, `2001:db8::${n + 2}/64`] }),
      ),
    );
    await Promise.all(hosts.map((host, n) => startAndStop(host, n, TIMES / HOSTS)));
  } finally {
    lan.destroy();
  }
});

async function startAndStop(host: Host, number: number, times: number): Promise<void> {
  const vhid = number + 1;
  const before = await traces(host);
  for (let n = 0; n < times; n += 1) {
    const engine = await host.startEngine({ logLevel: null });
    await engine.request("change", {
      name: "carp0",
      change: {
        carpdev: "eth0",
        vhid,
        addAddresses: [
          { family: 4, address: `10.0.0.${100 + vhid}`, prefixLength: 24, alias: false },
          { family: 6, address: `2001:db8::${100 + vhid}`, prefixLength: 64, alias: false },
        ],
      },
    });
    await engine.request("change", { name: "carp0", change: { state: "master" } });
    if (n === 0)
      await eventually(
        () => host.addresses("carp0"),
        ({ length }) => length === 2,
      );
    assert.deepEqual(await engine.kill(n % 2 === 0 ? "SIGTERM" : "SIGINT"), { code: 0, signal: null });
    assert.deepEqual(runFiles(host), []);
    assert.deepEqual(readdirSync(host.etcDirectory), []);
  }
  assert.equal(await traces(host), before);
  assert.ok(!readFileSync("/proc/self/mountinfo", "utf8").includes(host.runDirectory));
  const left = execFileSync("ip", ["netns", "pids", host.namespace.name], { encoding: "utf8" });
  assert.equal(left, "");
}
