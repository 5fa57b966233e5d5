/** `npm run demo -- firewall`: the transfer goes on at every failover, on one screen, and nothing is left behind. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { execa } from "execa";
import { run } from "../hosts/resources.ts";

const DEMO = join(import.meta.dirname, "../demo.ts");
/** Lines of a terminal beside which something else fits. */
const SCREEN = 50;
const FAILOVERS = 4;

test("the demonstration of two firewalls", async () => {
  const demo = execa(process.execPath, [DEMO, "firewall"], { reject: false });
  const { exitCode, stdout, stderr } = await demo;
  assert.equal(exitCode, 0, `${stdout}\n${stderr}`);
  assert.ok(stdout.split("\n").length <= SCREEN, stdout);
  const stalls = stdout.match(/^The client: the transfer goes on, \d+ MB; the longest pause \d+ ms\.$/gm);
  assert.equal(stalls?.length, FAILOVERS, stdout);
  assert.match(stdout, /^a: pfsync bulk start\na: pfsync bulk done: [1-9]\d* states in \d+ s$/m);
  assert.match(stdout, /^The client: one connection, \d+ MB in order, no reset\.$/m);
  const { stdout: left } = await execa("ip", ["netns", "list"]);
  assert.ok(!left.includes(`${run}-${demo.pid}-`), left);
});

test("a demonstration that there is not", async () => {
  const { exitCode, stderr } = await execa(process.execPath, [DEMO, "routers"], { reject: false });
  assert.deepEqual([exitCode, stderr], [2, "demo: routers: unknown demonstration (firewall)"]);
});
