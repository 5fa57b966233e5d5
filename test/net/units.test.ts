/**
 * systemd's targets as `carpctl units` keeps them, and demotions by units as it tells of them, with a systemctl that
 * stands in for the real one.
 */

import assert from "node:assert/strict";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { createNetwork, eventually, type Host, type Network } from "../hosts/index.ts";
import { CARPCTL } from "../hosts/program.ts";
import type { Spawned } from "../hosts/spawned.ts";

let lan: Network;
let a: Host;
let environment: Record<string, string>;
let follower: Spawned;

/** Keeps a file for each active unit, and a line for each order. */
const SYSTEMCTL = (here: string) => `#!/bin/sh
cd ${here}/active || exit
[ ! -e ../broken ] || { echo 'Failed to connect to bus' >&2; exit 1; }
case "$1 $2" in
  list-units*) for each in carp-*; do [ ! -e "$each" ] || echo "$each loaded active active"; done ;;
  "show "*) shift 3; for each in "$@"; do
    printf 'Id=%s\\nNames=%s\\nActiveState=%s\\n\\n' "$each" "$each" "$([ -e "../$each" ] && echo active || echo failed)"; done ;;
  "--no-block start") shift 3; echo start "$@" >>../orders; touch "$@" ;;
  "--no-block stop") shift 3; echo stop "$@" >>../orders; rm -f "$@" ;;
  *) echo "unexpected: $*" >>../orders; exit 1 ;;
esac
`;

before(async () => {
  lan = await createNetwork();
  a = await lan.host("a", { addresses: ["10.0.0.2/24"] });
  mkdirSync(here("active"));
  writeFileSync(here("systemctl"), SYSTEMCTL(a.etcDirectory));
  chmodSync(here("systemctl"), 0o755);
  environment = { PATH: `${a.etcDirectory}:${process.env.PATH}` };
  await a.startEngine();
  // An advbase with which no timer changes a state meanwhile.
  for (const [name, vhid] of [
    ["carp0", "1"],
    ["carp1", "2"],
  ] as const)
    await a.command(name, `10.0.0.1${vhid}/24`, "vhid", vhid, "carpdev", "eth0", "advbase", "60");
  await force("carp0", "master");
});
after(() => lan.destroy());

const here = (name: string) => join(a.etcDirectory, name);
const active = () => readdirSync(here("active")).sort();
const orders = () =>
  existsSync(here("orders")) ? readFileSync(here("orders"), "utf8").split("\n").filter(Boolean) : [];
const force = (name: string, state: "master" | "backup") =>
  a.engine.request("change", { name, change: { state } });
const waitFor = (...units: string[]) =>
  eventually(
    async () => active(),
    (now) => now.join() === units.join(),
  );
const start = () => {
  follower = a.spawn(CARPCTL, ["units"], { environment });
};

test("targets that are active wrongly are stopped, and the right ones are started", async () => {
  writeFileSync(here("active/carp-master@carp7.target"), "");
  writeFileSync(here("active/carp-master@carp1.target"), "");
  start();
  await waitFor("carp-backup@carp1.target", "carp-master@carp0.target");
});

test("they follow every change, and end right after many", async () => {
  await force("carp0", "backup");
  await waitFor("carp-backup@carp0.target", "carp-backup@carp1.target");
  for (let times = 0; times < 10; times++) {
    await force("carp0", "master");
    await force("carp0", "backup");
    await force("carp1", "master");
    if (times < 9) await force("carp1", "backup");
  }
  await force("carp0", "master");
  await waitFor("carp-master@carp0.target", "carp-master@carp1.target");
  await a.command("carp1", "destroy");
  await waitFor("carp-master@carp0.target");
});

test("an engine that is started again within its lease moves none", async () => {
  rmSync(here("orders"));
  await a.engine.kill("SIGKILL");
  await a.startEngine();
  await force("carp0", "backup");
  await waitFor("carp-backup@carp0.target");
  assert.deepEqual(orders(), ["stop carp-master@carp0.target", "start carp-backup@carp0.target"]);
});

test("a follower that is started again moves none, and one that is stopped stops all", async () => {
  rmSync(here("orders"));
  follower.kill("SIGUSR2");
  await follower.exited;
  start();
  await eventually(
    async () => orders(),
    ({ length }) => length > 0,
  );
  // What is active may have an order of before under way: it is given again.
  assert.deepEqual(orders(), ["start carp-backup@carp0.target"]);
  follower.kill("SIGTERM");
  assert.equal((await follower.exited).code, 0);
  assert.deepEqual(active(), []);
});

test("an engine that does not come back has no target once its lease is over, nor has one that stops", async () => {
  await a.command("carp0", "advbase", "1");
  await force("carp0", "master");
  start();
  await waitFor("carp-master@carp0.target");
  await a.engine.kill("SIGKILL");
  await waitFor();
  await a.startEngine();
  await a.waitForState("carp0", "MASTER");
  await waitFor("carp-master@carp0.target");
  await a.engine.stop();
  await waitFor();
});

test("a systemctl that fails is told of once, and what failed is done when it works", async () => {
  writeFileSync(here("broken"), "");
  await a.startEngine();
  await a.command("carp0", "10.0.0.11/24", "vhid", "1", "carpdev", "eth0", "state", "master");
  await follower.log.waitFor(/^carpctl: units: systemctl: Failed to connect to bus$/);
  rmSync(here("broken"));
  await waitFor("carp-master@carp0.target");
});

const demotion = () => a.engine.request("demotion", {});
const waitForCounter = (expected: number) =>
  eventually(
    async () => (await demotion()).counter,
    (counter) => counter === expected,
  );

test("a unit demotes while it is not active, is shown by name, and outlives the engine", async () => {
  writeFileSync(here("db.service"), "");
  const demote = async (...words: string[]) => a.exec(CARPCTL, words, { environment });
  assert.equal((await demote("demote", "--unit", "db", "50")).exitCode, 0);
  const units = [{ unit: "db.service", by: 50, active: true }];
  assert.deepEqual({ counter: 0, units }, (({ counter, units }) => ({ counter, units }))(await demotion()));
  assert.match((await a.carpctl("status")).stdout, /^db\.service: active, demotes by 50 while not active$/m);
  rmSync(here("db.service"));
  await waitForCounter(50);
  assert.match((await a.carpctl("status")).stdout, /^demoted by 50: db\.service 50$/m);
  const finding = async () =>
    (await demote("doctor")).stdout.match(/^\w+ +units: .*\n( .*\n)*/m)?.[0].replace(/\s+/g, " ");
  assert.equal(
    await finding(),
    "warning units: carp-units.service is not active: db.service may start or fail, and the demotion stays what it " +
      "is [units-not-followed] -> start it: 'systemctl enable --now carp-units.path' ",
  );
  writeFileSync(here("carp-units.service"), "");
  assert.equal(await finding(), "ok units: carp-units.service follows db.service ");
  writeFileSync(here("broken"), "");
  assert.equal(
    await finding(),
    "unknown units: whether carp-units.service follows db.service: systemctl: Failed to connect to bus [not-examined] ",
  );
  rmSync(here("broken"));
  await a.engine.kill("SIGKILL");
  await a.startEngine();
  assert.equal((await demotion()).counter, 50);
  writeFileSync(here("db.service"), "");
  await waitForCounter(0);
  // Whether it is active is learnt anew.
  follower.kill("SIGUSR2");
  await follower.exited;
  await a.engine.stop();
  await a.startEngine();
  assert.equal((await demotion()).counter, 50);
  start();
  await waitForCounter(0);
  const { stderr } = await a.tryCarpctl("promote", "--unit", "web");
  assert.equal(stderr, "carpctl: promote web.service: it does not demote: the units are db.service\n");
  await a.carpctl("promote", "--unit", "db");
  assert.deepEqual((await demotion()).units, []);
  assert.equal(await finding(), undefined);
  assert.equal(
    (await a.tryCarpctl("demote", "--unit", "../x", "5")).stderr,
    "carpctl: demote: unit ../x.service: not the name of a unit, like nginx.service\n",
  );
});

test("without systemd it is refused", async () => {
  writeFileSync(here("broken"), "");
  const { exitCode, stderr } = await a.exec(CARPCTL, ["units"], { environment });
  assert.deepEqual([exitCode, stderr], [1, "carpctl: units: systemctl: Failed to connect to bus\n"]);
  const refused = await a.exec(CARPCTL, ["demote", "--unit", "db", "5"], { environment });
  assert.equal(refused.stderr, "carpctl: demote db.service: systemctl: Failed to connect to bus\n");
});
