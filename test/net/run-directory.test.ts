/** A run directory that is full or read-only: it keeps no host from serving, and ends no engine. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { createNetwork, eventually, type Host, type Network } from "../hosts/index.ts";
import {
  emptyRunDirectory,
  fillRunDirectory,
  freezeRunDirectory,
  limitRunDirectory,
  thawRunDirectory,
} from "../hosts/run-directory.ts";

let lan: Network;
let a: Host;
let client: Host;

before(async () => {
  lan = await createNetwork();
  [a, client] = await Promise.all([
    lan.host("a", { addresses: ["10.0.0.2/24"] }),
    lan.host("c", { addresses: ["10.0.0.9/24"] }),
  ]);
  await limitRunDirectory(a);
});
after(() => lan.destroy());

beforeEach(async () => {
  await a.startEngine();
  await a.carpctl("carp0", "10.0.0.1/24", "carpdev", "eth0", "vhid", "1", "state", "master");
  await serves();
});
afterEach(() => a.engine.stop());

async function serves(): Promise<void> {
  await a.waitForState("carp0", "MASTER");
  await eventually(
    () => client.ping("10.0.0.1", { count: 1 }),
    ({ received }) => received > 0,
  );
}

test("an engine that starts when it is full takes an earlier engine's programs off, or renews their leases", async () => {
  await a.engine.kill("SIGKILL");
  await fillRunDirectory(a);
  await a.startEngine();
  await serves();
  await emptyRunDirectory(a);
});

test("the leases of an engine that started when it was full outlast it, once it is not full any more", async () => {
  const record = () => readFileSync(join(a.runDirectory, "programs.json"), "utf8");
  const former = record();
  await a.engine.kill("SIGKILL");
  await fillRunDirectory(a);
  await a.startEngine();
  await a.engine.waitForLog(
    /programs on devices cannot be recorded: .*: until they are, leases end with the engine/,
  );
  await serves();
  await emptyRunDirectory(a);
  await eventually(
    async () => record(),
    (now) => now !== former,
  );
  await a.engine.kill("SIGKILL");
  await a.startEngine({ logLevel: null });
  const { interfaces } = await a.engine.request("interfaces", {});
  assert.equal(interfaces[0]?.status, "master");
  assert.doesNotMatch(String(a.engine.log), /-> BACKUP/);
});

test("an engine that is stopped when it is read-only bows out and ends", async () => {
  await freezeRunDirectory(a);
  const { engine } = a;
  const { code } = await engine.stop();
  await thawRunDirectory(a);
  assert.equal(code, 0, String(engine.log));
  assert.doesNotMatch(String(engine.log), /internal error/);
  assert.deepEqual(await a.addresses("carp0"), []);
  await a.startEngine();
});
