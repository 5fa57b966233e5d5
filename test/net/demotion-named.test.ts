/** Demotions with a reason, by command: addresses move, the reasons are shown, some outlive the engine. */

import assert from "node:assert/strict";
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
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
  for (const [host, advskew] of [
    [a, "0"],
    [b, "100"],
  ] as const)
    await host.command(
      ..."carp0 10.0.0.1/24 carpdev eth0 vhid 1 pass sesame advskew".split(" "),
      ...[advskew, "advbase", "60"],
    );
  await a.command("carp0", "state", "master");
  await a.waitForState("carp0", "MASTER");
});
after(() => lan.destroy());

const counter = async () => Number((await a.command("sysctl", "-n", "net.inet.carp.demotion")).stdout);
const fails = async (...words: string[]) => {
  const { exitCode, stderr } = await a.tryCarpctl(...words);
  assert.equal(exitCode, 1, words.join(" "));
  return stderr;
};

test("a demotion moves the address at once, is listed with the sum, and is taken back", async () => {
  await a.carpctl("demote", "backup", "50");
  await b.waitForState("carp0", "MASTER");
  await a.waitForState("carp0", "BACKUP");
  await a.command("sysctl", "net.inet.carp.demotion=7");
  assert.equal(await counter(), 57);
  const listed = /^demoted by 57: backup 50, net\.inet\.carp\.demotion 7$/m;
  assert.match((await a.carpctl("status")).stdout, listed);
  assert.deepEqual(JSON.parse((await a.carpctl("status", "--json")).stdout).demotion, {
    counter: 57,
    written: 7,
    reasons: [{ reason: "backup", by: 50 }],
    units: [],
    faults: [],
  });
  assert.equal(
    await fails("promote", "x"),
    "carpctl: promote x: nothing is demoted for it: the reasons are backup\n",
  );
  assert.match(await fails("demote", "ü", "1"), /^carpctl: reason ü: must be 1\.\.32 letters, digits, /);
  assert.match(await fails("demote", "maintenance", "1"), /this is what 'carpctl maintenance' does\n$/);
  assert.equal(await counter(), 57);
});

test("an engine that was killed leaves its demotions to the next", async () => {
  await a.engine.kill("SIGKILL");
  await a.startEngine();
  assert.equal(await counter(), 57);
  await a.carpctl("promote", "backup");
  assert.equal(await counter(), 7);
  await a.command("sysctl", "net.inet.carp.demotion=-7");
});

test("maintenance outlives a stopped engine, other reasons only a killed one", async () => {
  for (let twice = 0; twice < 2; twice++) await a.carpctl("maintenance", "on");
  assert.deepEqual([await counter(), (await a.carpctl("maintenance")).stdout], [240, "on\n"]);
  await a.carpctl("demote", "backup", "5");
  await a.engine.kill("SIGKILL");
  await a.startEngine();
  assert.equal(await counter(), 245);
  await a.engine.stop();
  await a.startEngine();
  assert.equal(await counter(), 240);
  for (let twice = 0; twice < 2; twice++) await a.carpctl("maintenance", "off");
  assert.deepEqual([await counter(), (await a.carpctl("maintenance")).stdout], [0, "off\n"]);
  await a.engine.stop();
  await a.startEngine();
  assert.equal(await counter(), 0);
});

test("maintenance that cannot be saved is refused and changes nothing", async () => {
  const directory = join(a.etcDirectory, "state");
  await a.engine.stop();
  await a.startEngine({ environment: { CARP_STATE_DIR: directory } });
  rmSync(directory, { recursive: true });
  assert.match(
    await fails("maintenance", "on"),
    /^carpctl: maintenance on: cannot be remembered in .*maintenance/,
  );
  assert.equal(await counter(), 0);
  await a.engine.stop();
  await a.startEngine({ environment: { CARP_STATE_DIR: directory } });
  await a.carpctl("maintenance", "on");
  assert.ok(existsSync(join(directory, "maintenance")));
});
