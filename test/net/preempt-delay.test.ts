/** preemptdelay on the wire: a host that is back waits beside a healthy master, and not without one. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { createNetwork, type Host, type Network } from "../hosts/index.ts";

let lan: Network;
let a: Host;
let b: Host;

before(async () => {
  lan = await createNetwork();
  [a, b] = await Promise.all([
    lan.host("a", { addresses: ["10.0.0.2/24"] }),
    lan.host("b", { addresses: ["10.0.0.3/24"] }),
  ]);
  await Promise.all([a.startEngine(), b.startEngine()]);
  await a.command("sysctl", "net.inet.carp.preempt=1");
  const words = "carp0 10.0.0.1/24 carpdev eth0 vhid 1 pass sesame".split(" ");
  await b.command(...words, "advskew", "100");
  await b.command("carp0", "state", "master");
  await b.waitForState("carp0", "MASTER");
  await a.command(...words, "preemptdelay", "3600");
});
after(() => lan.destroy());

const nodeOf = async () => JSON.parse((await a.carpctl("status", "--json")).stdout).interfaces[0].nodes[0];

/** Resolves when it has heard the next advertisement of the other host. */
async function hearsOnce(): Promise<void> {
  const heard = await a.capture("eth0", "inbound and ip proto 112");
  await heard.waitFor(({ carp }) => carp?.vhid === 1);
  await heard.stop();
}

test("a host that is back leaves a healthy master alone, and says so", async () => {
  await hearsOnce();
  assert.match((await a.carpctl("carp0")).stdout, /^\tpreemptdelay 3600$/m);
  assert.match((await a.carpctl("dump", "carp0")).stdout, /^preemptdelay 3600$/m);
  assert.match(
    (await a.carpctl("status")).stdout.replaceAll(/\s+/g, " "),
    /carp0 vhid 1: preempts no healthy master for 3\d+ more seconds \(preemptdelay\)/,
  );
  const { state, preemptDelaySecondsLeft } = await nodeOf();
  assert.equal(state, "BACKUP");
  assert.ok(preemptDelaySecondsLeft > 3000);
});

test("it takes over at once when the master leaves, and is back again when it comes up", async () => {
  await b.command("carp0", "down");
  await a.waitForState("carp0", "MASTER");
  await a.command("carp0", "down");
  await b.command("carp0", "up", "state", "master");
  await b.waitForState("carp0", "MASTER");
  await a.command("carp0", "up");
  await hearsOnce();
  assert.equal((await nodeOf()).state, "BACKUP");
});

test("without a delay of its own the host's applies; without that it preempts", async () => {
  await a.command("sysctl", "net.inet.carp.preempt_delay=3000");
  await a.command("carp0", "-preemptdelay");
  await hearsOnce();
  const { state, preemptDelaySecondsLeft } = await nodeOf();
  assert.equal(state, "BACKUP");
  assert.ok(preemptDelaySecondsLeft <= 3000);
  await a.command("sysctl", "net.inet.carp.preempt_delay=0");
  await a.waitForState("carp0", "MASTER");
  await b.waitForState("carp0", "BACKUP");
  assert.equal((await nodeOf()).preemptDelaySecondsLeft, null);
});

test("a delay outlives a killed engine", async () => {
  await a.command("carp0", "preemptdelay", "60");
  await a.engine.kill("SIGKILL");
  await a.startEngine();
  assert.match((await a.carpctl("carp0")).stdout, /^\tpreemptdelay 60$/m);
});
