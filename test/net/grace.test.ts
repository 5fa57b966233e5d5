/**
 * Pass and addresses changed host by host, with time for several master-downs in between: one master throughout, no
 * probe lost, no digest refused; by command and by netstart, over a restart of an engine.
 */

import assert from "node:assert/strict";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { createNetwork, eventually, eventuallyEqual, type Host, type Network } from "../hosts/index.ts";
import { nodeIndex } from "../oracle/load-sharing.ts";

let lan: Network;

beforeEach(async () => {
  lan = await createNetwork();
});

afterEach(() => lan.destroy());

async function statistics(host: Host): Promise<Record<string, number>> {
  return (await host.engine.request("statistics", {})) as Record<string, number>;
}

const shown = async (host: Host) => JSON.parse((await host.carpctl("status", "--json")).stdout).interfaces[0];

/** Waits until the host has heard so many advertisements: longer than it would wait for a silent master. */
async function hear(host: Host, count: number): Promise<void> {
  const { receivedIpv4: before = 0 } = await statistics(host);
  await eventually(
    () => statistics(host),
    ({ receivedIpv4: now = 0 }) => now >= before + count,
  );
}

async function assertNoneRefused(hosts: readonly Host[]): Promise<void> {
  for (const host of hosts) assert.equal((await statistics(host)).badAuthentication, 0, host.name);
}

test("a pair, by command and by netstart", async () => {
  const [a, b, client] = await Promise.all([
    lan.host("a", { addresses: ["10.0.0.2/24"] }),
    lan.host("b", { addresses: ["10.0.0.3/24"] }),
    lan.host("c", { addresses: ["10.0.0.9/24"] }),
  ]);
  const set = async (host: Host, ...words: string[]) => void (await host.carpctl("carp0", ...words));
  for (const [host, advskew] of [
    [a, "60"],
    [b, "120"],
  ] as const) {
    await host.startEngine();
    await set(
      host,
      "10.0.0.1/24",
      "carpdev",
      "eth0",
      "vhid",
      "1",
      "advbase",
      "0",
      "advskew",
      advskew,
      "pass",
      "first",
    );
  }
  await a.waitForState("carp0", "MASTER");
  await hear(b, 2);
  const [ofA, ofB] = [a.engine.transitions, b.engine.transitions];
  const ping = client.startPing("10.0.0.1", { intervalMs: 1.1 });
  await ping.waitForReply();

  for (const host of [a, b]) {
    await set(host, "pass", "second", "10.0.0.7/24", "alias");
    await hear(b, 7);
  }
  assert.ok((await client.ping("10.0.0.7")).received > 0);
  assert.match((await a.carpctl("carp0")).stdout, /\n\tpassold: still believed\n/);
  assert.match(
    (await a.carpctl("status")).stdout,
    /carp0: signs with the old pass and addresses for \d+ s more/,
  );
  assert.deepEqual(b.engine.transitions, ofB);

  // The engine that comes next believes the same.
  await b.engine.kill("SIGKILL");
  await b.startEngine();
  const state = join(b.runDirectory, "state.json");
  assert.match(readFileSync(state, "utf8"), /"first"/);
  assert.equal(statSync(state).mode & 0o777, 0o600);
  for (const words of [["dump"], ["carp0"], ["status", "--json"]])
    assert.doesNotMatch((await b.carpctl(...words)).stdout, /first/);
  await hear(b, 7);
  const restarted = b.engine.transitions;

  await set(a, "grace", "off");
  await b.engine.waitForLog(/carp0: signs with the new pass and addresses, as 10\.0\.0\.2 does/);
  await hear(b, 2);
  const changedOver = b.engine.log.length;

  for (const [host, advskew] of [
    [b, 120],
    [a, 60],
  ] as const) {
    const file = join(host.etcDirectory, "hostname.carp0");
    writeFileSync(file, `inet 10.0.0.1/24 carpdev eth0 vhid 1 advbase 0 advskew ${advskew} pass third\n`, {
      mode: 0o600,
    });
    await host.carpctl("netstart", "carp0");
    await hear(b, 7);
  }
  assert.deepEqual(await a.addresses("carp0"), ["10.0.0.1/24"]);
  await set(a, "grace", "off");
  await b.engine.waitForLog(/carp0: signs with the new pass and addresses, as/, { from: changedOver });
  await hear(b, 2);

  const { lost } = await ping.stop();
  assert.equal(lost.length, 0, `lost ${lost.slice(0, 10)}`);
  assert.deepEqual([a.engine.transitions, b.engine.transitions], [ofA, restarted]);
  await assertNoneRefused([a, b]);
  assert.deepEqual([(await shown(a)).grace, (await shown(b)).grace.signs], [null, "new"]);
});

/** Each client's packets go to another node. */
const CLIENTS = ["10.0.0.20", "10.0.0.21", "10.0.0.23"];

test("three that balance, by command and by netstart", async () => {
  const hosts = await Promise.all(
    ["a", "b", "c"].map((name, n) => lan.host(name, { addresses: [`10.0.0.${2 + n}/24`] })),
  );
  assert.equal(new Set(CLIENTS.map((source) => nodeIndex(source, "10.0.0.1", 3))).size, 3);
  const clients = await Promise.all(
    CLIENTS.map((address, n) => lan.host(`client${n}`, { addresses: [`${address}/24`] })),
  );
  const nodes = ["1:60,2:90,3:120", "1:120,2:60,3:90", "1:90,2:120,3:60"];
  const [first, , last] = hosts as [Host, Host, Host];
  for (const [n, host] of hosts.entries()) {
    await host.startEngine();
    await host.carpctl("sysctl", "net.inet.carp.preempt=1");
    await host.carpctl(
      ...["carp0", "10.0.0.1/24", "carpdev", "eth0", "advbase", "0", "pass", "first"],
      ...["carpnodes", nodes[n] ?? "", "balancing", "ip"],
    );
  }
  const states = async () =>
    (await Promise.all(hosts.map(shown))).map(({ nodes }) =>
      nodes.map(({ state }: { state: string }) => state[0]).join(""),
    );
  await eventuallyEqual(states, ["MBB", "BMB", "BBM"]);
  await hear(first, 10);
  const refused = async () =>
    Promise.all(hosts.map(async (host) => (await statistics(host)).badAuthentication));
  const transitions = () => hosts.map(({ engine }) => engine.transitions);
  const before = [await refused(), transitions()];
  const pings = clients.map((client) => client.startPing("10.0.0.1", { intervalMs: 1.1 }));
  await Promise.all(pings.map((ping) => ping.waitForReply()));

  for (const words of [
    ["pass", "second", "10.0.0.7/24", "alias"],
    ["10.0.0.7", "delete"],
  ])
    for (const host of hosts) {
      await host.carpctl("carp0", ...words);
      await hear(host, 10);
    }
  assert.deepEqual(await refused(), before[0]);
  // The first one refuses what the others sign with until they hear it.
  const endGrace = async () => {
    const ends = hosts.map(({ engine }) => engine.log.length);
    await last.carpctl("carp0", "grace", "off");
    for (const [n, host] of hosts.slice(0, 2).entries())
      await host.engine.waitForLog(/carp0: signs with the new pass/, { from: ends[n] ?? 0 });
    await Promise.all(hosts.map((host) => hear(host, 10)));
  };
  await endGrace();

  const refusedByCommand = await refused();
  for (const [pass, ...addresses] of [
    ["third", "10.0.0.1/24", "10.0.0.8/24"],
    ["third", "10.0.0.1/24"],
  ])
    for (const [n, host] of hosts.entries()) {
      const settings = `carpdev eth0 advbase 0 pass ${pass} carpnodes ${nodes[n]} balancing ip`;
      const lines = [settings, ...addresses.map((address) => `inet alias ${address}`), ""];
      writeFileSync(join(host.etcDirectory, "hostname.carp0"), lines.join("\n"), { mode: 0o600 });
      await host.carpctl("netstart", "carp0");
      await hear(host, 10);
    }
  assert.deepEqual(await last.addresses("carp0"), ["10.0.0.1/24"]);
  assert.deepEqual(await refused(), refusedByCommand);
  await endGrace();

  for (const ping of pings) {
    const { lost } = await ping.stop();
    assert.equal(lost.length, 0, `lost ${lost.slice(0, 10)}`);
  }
  assert.deepEqual(transitions(), before[1]);
});
