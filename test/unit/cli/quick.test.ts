/** src/cli/quick: it prints what the command line prints, or leaves it to it; and its code compiled in advance. */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { Script } from "node:vm";
import { quickOutput as quickShow } from "../../../src/cli/quick/show.ts";
import { quickOutput as quickStatus } from "../../../src/cli/quick/status.ts";
import { called } from "./called.ts";
import { type Asked, scriptedEngine, view } from "./scripted-engine.ts";

const tree = join(import.meta.dirname, "../../..");

function answer({ method }: Asked): unknown {
  if (method === "interfaces")
    return { nowUs: 5_000_000, interfaces: [view(), view({ name: "carp1", groups: ["www"] })] };
  if (method === "replace-each") return Array(2).fill({ changed: true, warnings: [] });
  if (method === "demotion") return { counter: 0, written: 0, reasons: [], faults: [] };
  return method === "groups" ? [{ name: "www", carpDemoteCount: 3, interfaces: ["carp1"] }] : [];
}

test("what is shown quickly is what the command line shows", async (t) => {
  const engine = await scriptedEngine(answer);
  t.after(() => engine.close());
  const environment = { CARP_RUN_DIR: engine.runDir };
  for (const words of [[], ["-a"], ["-A"], ["carp1"], ["--json"], ["--json", "carp0"], ["--json", "-a"]]) {
    const { out, status } = await called(words, environment);
    assert.equal(status, 0);
    assert.equal(await quickShow(words, environment), out, words.join(" "));
  }
});

test("the status that is shown quickly is what the command line shows", async (t) => {
  const engine = await scriptedEngine(answer);
  t.after(() => engine.close());
  const environment = { CARP_RUN_DIR: engine.runDir };
  for (const words of [["status"], ["status", "--json"], ["--json", "status"]]) {
    const { out, status } = await called(words, environment);
    assert.equal(status, 0);
    assert.equal(await quickStatus(words, environment), out, words.join(" "));
  }
  for (const line of [
    "status --watch",
    "status carp0",
    "status --help",
    "--version status",
    "status --no",
    "monitor",
  ])
    assert.equal(await quickStatus(line.split(" "), environment), undefined, line);
  assert.equal(await quickStatus(["status"], { CARP_RUN_DIR: "/nonexistent/run" }), undefined);
});

test("all other words, and refusals, are left to the command line", async (t) => {
  const engine = await scriptedEngine(answer);
  t.after(() => engine.close());
  const lines = [
    "carp7",
    "www",
    "-g www",
    "status",
    "-C",
    "carp0 up",
    "carp0 --json",
    "--help",
    "--nonsense",
  ];
  for (const line of [...lines, "--version", "create"])
    assert.equal(await quickShow(line.split(" "), { CARP_RUN_DIR: engine.runDir }), undefined, line);
  const asked = new Set(engine.asked.map(({ method }) => method));
  assert.deepEqual([...asked], ["interfaces", "groups"]);
  assert.equal(await quickShow(["carp0"], { CARP_RUN_DIR: "/nonexistent/run" }), undefined);
});

test("V8 takes the code that was compiled in advance", () => {
  for (const name of ["quick-show", "quick-status", "quick-netstart"]) {
    const file = readFileSync(join(tree, "dist", name));
    const start = file.indexOf("\n") + 1;
    const end = start + Number(file.toString("latin1", 0, start));
    const script = new Script(file.toString("latin1", start, end), { cachedData: file.subarray(end) });
    assert.equal(script.cachedDataRejected, false);
  }
});

test("the program shows an interface without the code of other commands", async (t) => {
  const [engine, copy] = [await scriptedEngine(answer), mkdtempSync(join(tmpdir(), "carpctl-test-"))];
  t.after(() => Promise.all([engine.close(), rm(copy, { recursive: true })]));
  for (const directory of ["bin", "dist"]) mkdirSync(join(copy, directory));
  for (const file of [
    "bin/carpctl",
    "dist/command.cjs",
    "dist/quick-show",
    "dist/quick-status",
    "dist/quick-netstart",
  ])
    copyFileSync(join(tree, file), join(copy, file));
  symlinkSync(join(tree, "node_modules"), join(copy, "node_modules"));
  const run = (...words: string[]) =>
    promisify(execFile)(join(copy, "bin/carpctl"), words, {
      env: { CARP_RUN_DIR: engine.runDir, CARP_ETC_DIR: copy },
    });
  const { stdout } = await run("carp1");
  assert.equal(stdout, (await called(["carp1"], { CARP_RUN_DIR: engine.runDir })).out);
  assert.match((await run("status")).stdout, /^carp1 /m);
  for (const [n, vhid] of [1, 2].entries())
    writeFileSync(join(copy, `hostname.carp${n}`), `vhid ${vhid}\n`, { mode: 0o600 });
  assert.deepEqual(await run("netstart"), { stdout: "", stderr: "" });
  const replacements = [1, 2].map((vhid, n) => ({ name: `carp${n}`, change: { vhid } }));
  assert.deepEqual(engine.asked.at(-1)?.params, { replacements });
  writeFileSync(join(copy, "hostname.carp1"), "frob\n", { mode: 0o600 });
  const said = {
    stdout: "",
    stderr: `${join(copy, "hostname.carp1")}:1: frob: unknown parameter\n`,
    code: 1,
  };
  await assert.rejects(run("netstart"), said);
  await assert.rejects(run("netstart", "-n"), /Cannot find module .*main\.js/);
  await assert.rejects(run("carp7"), /Cannot find module .*main\.js/);
});
