/** carpd(8) and hostname.carp(5) against what they tell of: options, signals, the systemd units, the lines of a file. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { optionsOf } from "../../src/cli/arguments.ts";
import { readHostnameFile } from "../../src/cli/netstart/hostname-file.ts";
import { VERBS } from "../../src/cli/verbs.ts";

const tree = join(import.meta.dirname, "../..");
const read = (name: string) => readFileSync(join(tree, "man", name), "utf8");
const carpd = read("carpd.8");

/** Literal displays whose text holds `sign`. */
function displays(page: string, sign: string): string[] {
  const blocks = [...page.matchAll(/^\.Bd -literal[^\n]*\n(.*?)^\.Ed$/gms)].map(([, text = ""]) => text);
  return blocks.filter((text) => text.includes(sign));
}

test("every option of the engine has an entry, with its choices", () => {
  const engine = VERBS.find(({ names }) => names.includes("engine"));
  assert.ok(engine);
  for (const { word, choices } of optionsOf(engine))
    assert.ok(carpd.includes(`\n.It Fl ${word.slice(1)} Cm ${choices.join(" | ")}\n`), word);
});

test("every signal that the engine listens to has an entry, and no other", () => {
  const source = readFileSync(join(tree, "src/engine/daemon.ts"), "utf8");
  const listened = new Set(source.match(/(?<=")SIG[A-Z0-9]+(?=")/g));
  const told = [...carpd.matchAll(/^\.It Dv (SIG.*)$/gm)].flatMap(([, names = ""]) => names.split(" , "));
  assert.deepEqual(told.sort(), [...listened].sort());
});

test("the systemd units are good", (context) => {
  const directory = mkdtempSync(join(tmpdir(), "carpctl-test-"));
  for (const name of ["carpd", "carpctl"]) symlinkSync(join(tree, "bin/carpctl"), join(directory, name));
  const paths = [carpd, read("carp-service-status.7")].flatMap((page) => {
    const names = [...page.matchAll(/\/etc\/systemd\/system\/(\S+)/g)].map(([, name = ""]) => name);
    const units = displays(page, "[Unit]");
    assert.deepEqual([names.length, units.length], [2, 2]);
    for (const [at, name] of names.entries())
      writeFileSync(join(directory, name), units[at]?.replaceAll("/usr/local/sbin", directory) ?? "");
    return names.map((name) => join(directory, name));
  });
  const { error, stdout, stderr } = spawnSync("systemd-analyze", ["verify", "--man=no", ...paths], {
    encoding: "utf8",
    env: { ...process.env, SYSTEMD_UNIT_PATH: `${directory}:` },
  });
  rmSync(directory, { recursive: true });
  if (error !== undefined) context.skip("systemd-analyze is not installed");
  else assert.equal(`${stdout}${stderr}`, "");
});

test("the lines that hostname.carp(5) lists are those that are read", async () => {
  for (const line of [
    "inet alias 10.0.0.1 255.255.255.0 10.0.0.255 vhid 1",
    "inet 10.0.0.1 255.255.255.0 NONE",
    "inet6 alias 2001:db8::1 64 vhid 1",
    "vhid 1 carpdev eth0",
    "!true $if",
    "dest 10.0.0.2",
    "description $'a\\nb' # a note",
    "",
  ])
    assert.ok(!("errors" in (await readHostnameFile(Buffer.from(line), "carp0"))), line);
  for (const line of ["destroy", "dhcp", "rtsol"])
    assert.ok("errors" in (await readHostnameFile(Buffer.from(line), "carp0")), line);
});

test("every variable of a hook, and every message about them, is the engine's", () => {
  const page = read("carp-service-status.7");
  const engine = readFileSync(join(tree, "src/engine/hooks.ts"), "utf8");
  const told = [...page.matchAll(/^\.It Ev (CARP_\w+)$/gm)].map(([, name = ""]) => name);
  const given = [...engine.matchAll(/^ {4}(CARP_\w+):/gm)].map(([, name = ""]) => name);
  assert.deepEqual(told, [...given, "CARP_SERVICE_STATUS_PATH"]);
  const core = readFileSync(join(tree, "src/core/demotion.ts"), "utf8");
  const [, list = ""] = page.split(/^\.Sh DIAGNOSTICS$/m);
  const messages = [...list.matchAll(/^\.It (.*)$/gm)].map(([, text = ""]) => text);
  assert.equal(messages.length, 5);
  for (const message of messages)
    for (const piece of message.split(/1048576|\(services: .*| name | change(?:: why)?|: why$/))
      assert.ok(`${core}${engine}`.includes(piece.trim()), piece);
});
