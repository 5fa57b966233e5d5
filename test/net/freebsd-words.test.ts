/**
 * The commands of FreeBSD and OPNsense, which name a device and a vhid: the carp interfaces that they make, also when
 * many clients type them at once, and what they show.
 */

import assert from "node:assert/strict";
import { mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { createNetwork, type Host, type Network } from "../hosts/index.ts";
import { CARPCTL } from "../hosts/program.ts";

let lan: Network;
let a: Host;

before(async () => {
  lan = await createNetwork();
  a = await lan.host("a", { addresses: ["10.0.0.2/24"] });
  await a.startEngine();
});
after(() => lan.destroy());

/** Runs a command that succeeds and prints nothing. */
async function type(words: string): Promise<void> {
  assert.deepEqual(await a.tryCarpctl(...words.split(" ")), { stdout: "", stderr: "", exitCode: 0 });
}

const dump = async () => (await a.command("dump")).stdout;
const names = async () => (await dump()).match(/(?<=hostname\.)carp\d+/g) ?? [];

test("a vhid is made, given addresses, forced, shown and taken away", async () => {
  await type("eth0 vhid 6 advskew 100 advbase 1 pass mekmitasdigoat");
  await type("eth0 10.0.0.1/32 alias vhid 6");
  await type("eth0 inet vhid 7 alias 10.0.0.5/24 state MASTER");
  await a.waitForState("carp1", "MASTER");
  await type("eth0 vhid 6 state master");
  await a.waitForState("carp0", "MASTER");
  const { stdout } = await a.carpctl("eth0");
  assert.match(
    stdout,
    /^carp0: flags=8843<.*\n(\t.*\n)*?\tcarp: MASTER carpdev eth0 vhid 6 advbase 1 advskew 100$/m,
  );
  assert.match(stdout, /^\tinet 10\.0\.0\.1 netmask 0xffffffff/m);
  assert.deepEqual(stdout.match(/^carp\d/gm), ["carp0", "carp1"]);
  await type("eth0 inet 10.0.0.5 -alias");
  assert.deepEqual(await names(), ["carp0"]);
  await type("eth0 vhid 6 -alias 10.0.0.1");
  assert.deepEqual(await names(), []);
  const none = await a.tryCarpctl("eth0");
  assert.deepEqual(
    [none.exitCode, none.stderr],
    [
      1,
      "carpctl: eth0: there is no carp interface on it (carpctl eth0 vhid N ADDRESS/LENGTH ... makes one)\n",
    ],
  );
});

test("clients that ask for one vhid at the same time get one interface", async () => {
  const address = (n: number) =>
    ({ family: 4, address: `10.0.0.${100 + n}`, prefixLength: 24, alias: true }) as const;
  const asked = Array.from({ length: 20 }, (_, n) =>
    a.engine.request("change-on", { carpdev: "eth0", change: { vhid: 8, addAddresses: [address(n)] } }),
  );
  for (const { name } of await Promise.all(asked)) assert.equal(name, "carp0");
  assert.equal((await dump()).match(/^inet /gm)?.length, 20);
  await type("carp0 destroy");
});

test("called ifconfig it does the same", async () => {
  const links = join(a.etcDirectory, "links");
  mkdirSync(links);
  symlinkSync(CARPCTL, join(links, "ifconfig"));
  const { stderr } = await a.exec(join(links, "ifconfig"), ["eth0", "vhid", "9", "alias", "10.0.0.9/24"]);
  assert.deepEqual([stderr, await names()], ["", ["carp0"]]);
  const wrong = await a.exec(join(links, "ifconfig"), ["eth0", "advskew", "1"]);
  assert.match(wrong.stderr, /^ifconfig: advskew: needs a vhid/);
});
