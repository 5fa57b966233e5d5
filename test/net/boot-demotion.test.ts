/** The demotion of a host that boots: when an engine begins with it, what ends it, and that it does not come back. */

import assert from "node:assert/strict";
import { chmodSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { createNetwork, eventually, type Host, type Network } from "../hosts/index.ts";
import { CARPCTL } from "../hosts/program.ts";

let lan: Network;
let a: Host;

before(async () => {
  lan = await createNetwork();
  a = await lan.host("a", { addresses: ["10.0.0.2/24"] });
});
after(() => lan.destroy());

const file = (name: string) => join(a.etcDirectory, name);

/** Starts an engine for which PID 1 began that many seconds ago, in this boot. */
async function start(secondsAgo: number, words = ["--boot-demotion", "300"], boot = "first"): Promise<void> {
  const [uptime = 0] = readFileSync("/proc/uptime", "latin1").split(" ").map(Number);
  const fields = Array.from({ length: 50 }, (_, at) =>
    at === 19 ? Math.round((uptime - secondsAgo) * 100) : 0,
  );
  writeFileSync(file("stat"), `1 (a (b) c) ${fields.join(" ")}\n`);
  writeFileSync(file("boot_id"), `${boot}\n`);
  const script = `mount --bind ${file("stat")} /proc/1/stat && mount --bind ${file("boot_id")} /proc/sys/kernel/random/boot_id && exec "$@"`;
  await a.startEngine({ words, through: ["unshare", "--mount", "sh", "-c", script, "sh"] });
}

const demotion = async () =>
  (await a.engine.request("demotion", {})).reasons.map(({ reason, by }) => `${reason} ${by}`);

test("an engine is demoted from its first start within a boot, also when it is started again meanwhile", async () => {
  await start(1);
  await a.engine.waitForLog(
    /<4>the host boots: demoted by 128 until 'carpctl booted', for \d+ seconds at most$/,
  );
  assert.match((await a.carpctl("status")).stdout, /^demoted by 128: boot 128$/m);
  const { stderr } = await a.tryCarpctl("demote", "boot", "5");
  assert.equal(stderr, "carpctl: demote boot: this is what 'carpctl engine --boot-demotion' does\n");
  await a.engine.kill("SIGKILL");
  await start(2);
  assert.deepEqual(await demotion(), ["boot 128"]);
  await a.engine.stop();
  await start(3);
  assert.deepEqual(await demotion(), ["boot 128"]);
});

test("'booted' ends it as soon as the service checks pass, and no engine of this boot has it again", async () => {
  const checks = file("carp/service_status.d");
  mkdirSync(checks, { recursive: true });
  writeFileSync(join(checks, "database"), `#!/bin/sh\ntouch ${file("asked")}\n[ -e ${file("works")} ]\n`);
  chmodSync(join(checks, "database"), 0o755);
  const booted = a.spawn(CARPCTL, ["booted"]);
  await booted.log.waitFor(/^carpctl: booted: waiting for the service checks: database$/);
  assert.deepEqual(await demotion(), ["boot 128", "services 1048576"]);
  writeFileSync(file("works"), "");
  assert.equal((await booted.exited).code, 0);
  assert.deepEqual(await demotion(), []);
  rmSync(checks, { recursive: true });
  await a.carpctl("booted");
  await a.carpctl("promote", "boot");
  for (const signal of ["SIGKILL", "SIGUSR2", "SIGTERM"] as const) {
    await a.engine.kill(signal);
    await start(20);
    assert.deepEqual(await demotion(), [], signal);
  }
  await a.engine.stop();
  await start(20, ["--boot-demotion", "300"], "second");
  assert.deepEqual(await demotion(), ["boot 128"]);
  await a.carpctl("promote", "boot");
  assert.deepEqual(await demotion(), []);
  await a.engine.stop();
});

test("an engine that is started long after the boot, or without being asked, is not demoted", async () => {
  await start(301, ["--boot-demotion", "300"], "third");
  assert.deepEqual(await demotion(), []);
  await a.engine.stop();
  await start(1, [], "third");
  assert.deepEqual(await demotion(), []);
  await a.engine.stop();
});

test("it ends by itself after its time", async () => {
  await start(294, ["--boot-demotion", "300"], "fourth");
  await a.engine.waitForLog(/<4>the host boots for too long: it is no longer demoted for that/);
  await eventually(demotion, ({ length }) => length === 0);
  await a.engine.kill("SIGKILL");
  await start(1, ["--boot-demotion", "300"], "fourth");
  assert.deepEqual(await demotion(), []);
});
