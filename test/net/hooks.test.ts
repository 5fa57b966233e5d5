/**
 * State-change hooks through a real engine: arguments, order, and that a slow hook delays only its own
 * interface.
 */

import assert from "node:assert/strict";
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, beforeEach, test } from "node:test";
import { createNetwork, eventually, forge, type Host, type Network } from "../hosts/index.ts";
import { commandOf, descendantsOf, processesWith } from "../hosts/processes.ts";

let lan: Network;
let a: Host;
let hooks: string;

before(async () => {
  lan = await createNetwork();
  a = await lan.host("a", { addresses: ["10.0.0.2/24", "2001:db8::2/64"] });
  hooks = join(a.etcDirectory, "carp/hooks.d");
  await a.startEngine();
  // An advbase with which no timer changes a state meanwhile.
  const words = ["carpdev", "eth0", "pass", "sesame", "advbase", "60"];
  await a.command("carp0", "10.0.0.10/24", "inet6", "2001:db8::10/64", "vhid", "1", ...words);
  await a.command("carp1", "10.0.0.11/24", "vhid", "2", ...words);
  for (const name of ["carp0", "carp1"]) await a.command(name, "state", "master");
});
after(() => lan.destroy());

beforeEach(() => {
  rmSync(hooks, { recursive: true, force: true });
  rmSync(note("told"), { force: true });
  mkdirSync(hooks, { recursive: true });
});

const note = (name: string) => join(a.etcDirectory, name);
const told = () =>
  existsSync(note("told")) ? readFileSync(note("told"), "utf8").split("\n").slice(0, -1) : [];
const toldLines = (count: number) =>
  eventually(
    async () => told(),
    ({ length }) => length >= count,
  );

function hook(name: string, script: string): void {
  writeFileSync(join(hooks, name), `#!/bin/sh\n${script}\n`);
  chmodSync(join(hooks, name), 0o755);
}

const tell = (words: string) => `echo ${words} >>${note("told")}`;
const CHANGE = '"$CARP_INTERFACE $CARP_VHID $CARP_PREVIOUS_STATE $CARP_STATE"';

async function changes(name: string, ...states: string[]): Promise<void> {
  for (const state of states)
    await a.engine.request("change", { name, change: { state: state as "master" } });
}

test("every hook runs for every change, in the order of hooks and changes", async () => {
  hook("20-second", tell(`second ${CHANGE}`));
  hook("10-first", `sleep 0.1; ${tell(`first ${CHANGE} "$CARP_ADDRESSES"`)}`);
  await changes("carp0", "backup", "master");
  assert.deepEqual(await toldLines(4), [
    "first carp0 1 MASTER BACKUP 10.0.0.10/24 2001:db8::10/64",
    "second carp0 1 MASTER BACKUP",
    "first carp0 1 BACKUP MASTER 10.0.0.10/24 2001:db8::10/64",
    "second carp0 1 BACKUP MASTER",
  ]);
});

test("a hook is told of another master that has to give way, once", async () => {
  hook("hook", tell(`"$CARP_EVENT $CARP_INTERFACE $CARP_PREVIOUS_STATE $CARP_STATE"`));
  const peer = await lan.host("peer", { addresses: ["10.0.0.3/24"] });
  const slower = (counter: bigint) =>
    forge.ipv4Frame({
      source: "10.0.0.3",
      payload: forge.advertisement({
        ...{ vhid: 2, pass: "sesame", addresses: ["10.0.0.11"], counter },
        ...{ advbase: 60, advskew: 200 },
      }),
    });
  const sent = await a.capture("eth0", "outbound and ip proto 112");
  await a.command("carp1", "advbase", "1");
  await changes("carp1", "backup", "master");
  // A takeover is told as such; a contest is news once the first interval is over.
  let advertised = 0;
  await sent.waitFor(({ carp }) => carp?.vhid === 2 && carp.advbase === 1 && ++advertised === 3);
  await sent.stop();
  await peer.injectAll("eth0", [slower(1n), slower(2n)]);
  await toldLines(3);
  await changes("carp1", "backup", "master");
  assert.deepEqual(await toldLines(5), [
    "transition carp1 MASTER BACKUP",
    "transition carp1 BACKUP MASTER",
    "contested carp1 MASTER MASTER",
    "transition carp1 MASTER BACKUP",
    "transition carp1 BACKUP MASTER",
  ]);
  await a.command("carp1", "advbase", "60");
});

test("a hook that hangs delays only its own interface, and runs for the last change in the end", async () => {
  const begin = a.engine.log.length;
  hook(
    "hook",
    `[ $CARP_INTERFACE = carp1 ] || while [ ! -e ${note("go")} ]; do sleep 0.02; done; ${tell(CHANGE)}`,
  );
  await changes("carp0", ...Array.from({ length: 12 }, () => ["backup", "master"]).flat());
  await changes("carp1", "backup", "master");
  assert.deepEqual(await toldLines(2), ["carp1 2 MASTER BACKUP", "carp1 2 BACKUP MASTER"]);
  await a.engine.waitForLog(/<4>hooks are too slow and miss carp0 vhid 1: /, { from: begin });
  writeFileSync(note("go"), "");
  // The change under way and the eight latest.
  const all = (await toldLines(11)).slice(2);
  assert.deepEqual(all.length, 9);
  assert.equal(all[0], "carp0 1 MASTER BACKUP");
  assert.equal(all.at(-1), "carp0 1 BACKUP MASTER");
  rmSync(note("go"));
});

test("a hook that fails or may not be run is reported, and the others go on", async () => {
  const begin = a.engine.log.length;
  hook("bad", "echo no such thing; exit 4");
  hook("loose", tell("loose"));
  chmodSync(join(hooks, "loose"), 0o777);
  hook("z", tell(CHANGE));
  await changes("carp0", "backup");
  await a.engine.waitForLog(
    /<3>hook bad failed for carp0 vhid 1: MASTER -> BACKUP: exit status 4: no such thing$/,
    { from: begin },
  );
  await a.engine.waitForLog(/<3>hook loose is not run: it can be written by others than root$/, {
    from: begin,
  });
  assert.deepEqual(told(), ["carp0 1 MASTER BACKUP"]);
  await changes("carp0", "master");
  await toldLines(2);
});

test("a hook runs again for a change during which the runner died", async () => {
  hook("hook", `[ -e ${note("again")} ] || { touch ${note("again")}; exec sleep 4567890; }; ${tell(CHANGE)}`);
  await changes("carp0", "backup");
  await eventually(
    async () => processesWith("sleep 4567890"),
    ({ length }) => length > 0,
  );
  const [runner = 0] = descendantsOf(a.engine.pid).filter((pid) => commandOf(pid).endsWith(" runner"));
  process.kill(runner, "SIGKILL");
  assert.deepEqual(await toldLines(1), ["carp0 1 MASTER BACKUP"]);
  // Killed by then, but on a busy machine not yet gone.
  await eventually(
    async () => processesWith("sleep 4567890"),
    ({ length }) => length === 0,
  );
  await changes("carp0", "master");
  await toldLines(2);
});

test("hooks run for the bow-out of an engine that stops", async () => {
  hook("hook", `sleep 0.2; ${tell(`${CHANGE} "$CARP_ADDRESSES"`)}`);
  await a.engine.stop();
  assert.deepEqual(told().sort(), [
    "carp0 1 MASTER INIT 10.0.0.10/24 2001:db8::10/64",
    "carp1 2 MASTER INIT 10.0.0.11/24",
  ]);
});
