/** Called as ifconfig or sysctl: what is carp's is done here, everything else by the system's program of that name. */

import assert from "node:assert/strict";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { execa } from "execa";
import { NAMES } from "../../../src/cli/grammar/program-names.ts";
import { MAIN } from "./called.ts";
import { scriptedEngine, view } from "./scripted-engine.ts";

const directory = mkdtempSync(join(tmpdir(), "carpctl-test-"));
after(() => rmSync(directory, { recursive: true }));

/** A directory of links to ourselves, and one with programs that say what they were called with. */
const links = join(directory, "links");
const system = join(directory, "system");
for (const each of [links, system]) mkdirSync(each);
const carpctl = join(directory, "carpctl");
writeFileSync(carpctl, `#!/bin/sh\nCARPCTL_ARGV0=\${0##*/} exec ${process.execPath} ${MAIN} "$@"\n`);
chmodSync(carpctl, 0o755);
for (const name of ["ifconfig", "sysctl"]) symlinkSync(carpctl, join(links, name));

function program(name: string, script: string, where = system): void {
  writeFileSync(join(where, name), `#!/bin/sh\n${script}\n`);
  chmodSync(join(where, name), 0o755);
}

const PATH = `${links}:${system}:/usr/bin:/bin`;
const SAYS = 'set -- "$0" "$@"; echo "system $*"; shift';

function call(name: string, words: readonly string[], environment: NodeJS.ProcessEnv = {}) {
  const { NODE_COMPILE_CACHE } = process.env;
  const env = { PATH, CARP_RUN_DIR: "/nonexistent/run", NODE_COMPILE_CACHE, ...environment };
  return execa(join(links, name), words, { env, extendEnv: false, reject: false });
}

const engine = await scriptedEngine(({ method, params }) => {
  const { names = [] } = params as { names?: string[] };
  if (method === "interfaces") return { nowUs: 1, interfaces: [view()] };
  if (method === "groups") return [{ name: "www", carpDemoteCount: 0, interfaces: ["carp0"] }];
  return names.map((name) => ({ name, value: 1 }));
});
after(() => engine.close());
const WITH_ENGINE = { CARP_RUN_DIR: engine.runDir };

describe("ifconfig", () => {
  program("ifconfig", SAYS);
  const said = (words: string) => `system ${join(system, "ifconfig")}${words && ` ${words}`}`;

  for (const words of ["lo", "lo up", "eth7 10.0.0.1 netmask 255.0.0.0", "-s", "-v lo", "-a lo", "nosuch"])
    test(`${words}: the system's, with these words`, async () => {
      const { stdout, stderr, exitCode } = await call("ifconfig", words.split(" "), WITH_ENGINE);
      assert.deepEqual([stdout, stderr, exitCode], [said(words), "", 0]);
    });

  for (const words of ["carp0", "www", "-a carp0", "-g www", "-C", "--json", "create", "carp0 advskew 1"])
    test(`${words}: carp's`, async () => {
      const { stdout, exitCode } = await call("ifconfig", words.split(" "), WITH_ENGINE);
      assert.equal(exitCode, 0);
      assert.doesNotMatch(stdout, /system/);
    });

  for (const words of ["lo vhid 1 advskew 100 alias 10.0.0.1/32", "lo inet 10.0.0.1 -alias"])
    test(`${words}: carp's, as on FreeBSD`, async () => {
      const { stdout, stderr, exitCode } = await call("ifconfig", words.split(" "), WITH_ENGINE);
      assert.deepEqual([stdout, stderr, exitCode], ["", "", 0]);
    });

  for (const [words, message] of [
    ["lo advskew 100", "advskew: needs a vhid: lo is no carp interface (carpctl lo vhid N advskew ...)"],
    ["eth7 -alias 10.0.0.1", "eth7: not a carp interface name (carp0, carp1, ...)"],
  ] as const)
    test(`${words}: refused by carp`, async () => {
      const { stdout, stderr, exitCode } = await call("ifconfig", words.split(" "), WITH_ENGINE);
      assert.deepEqual([stdout, stderr, exitCode], ["", `ifconfig: ${message}`, 1]);
    });

  for (const words of [[], ["-a"]])
    test(`${words.join() || "no words"}: the system's list, then carp's`, async () => {
      const { stdout } = await call("ifconfig", words, WITH_ENGINE);
      assert.match(stdout, /^system .*\n?carp0: flags=/);
      const alone = await call("ifconfig", words);
      assert.deepEqual([alone.stdout, alone.stderr, alone.exitCode], [said(words.join(" ")), "", 0]);
    });

  test("where the system has none, what is not carp's is refused", async () => {
    const { stderr, exitCode } = await execa(process.execPath, [MAIN, "eth7", "up"], {
      env: { CARPCTL_ARGV0: "ifconfig" },
      extendEnv: false,
      reject: false,
    });
    assert.deepEqual(
      [stderr, exitCode],
      ["ifconfig: eth7: not a carp interface name (carp0, carp1, ...)", 1],
    );
  });

  test("a program of the system that comes back to the link finds an error, not itself again", async () => {
    const loop = join(directory, "loop");
    mkdirSync(loop);
    const once = '[ -z "$AGAIN" ] || exit 9; export AGAIN=1';
    program("ifconfig", `${once}; exec ${join(links, "ifconfig")} "$@"`, loop);
    const { stderr, exitCode } = await call("ifconfig", ["eth7", "up"], { PATH: `${links}:${loop}:/bin` });
    assert.deepEqual(
      [stderr, exitCode],
      ["ifconfig: eth7: not a carp interface name (carp0, carp1, ...)", 1],
    );
  });

  test("called carpctl, other interfaces remain an error", async () => {
    const { stderr, exitCode } = await execa(carpctl, ["eth7", "up"], { env: { PATH }, reject: false });
    assert.deepEqual([stderr, exitCode], ["carpctl: eth7: not a carp interface name (carp0, carp1, ...)", 1]);
  });
});

describe("the system's program", () => {
  test("has our terminal, our directory and our environment, and its exit status is ours", async () => {
    const place = join(directory, "place");
    mkdirSync(place);
    program("ifconfig", 'cat; pwd; echo "$MARK" >&2; exit 7', place);
    const { stdout, stderr, exitCode } = await execa(join(links, "ifconfig"), ["lo"], {
      env: { PATH: `${links}:${place}:/bin`, MARK: "marked" },
      cwd: place,
      input: "typed\n",
      reject: false,
    });
    assert.deepEqual([stdout, stderr, exitCode], [`typed\n${place}`, "marked", 7]);
  });

  test("gets our signals", async () => {
    const place = join(directory, "signals");
    mkdirSync(place);
    program("ifconfig", "trap 'exit 9' TERM; echo ready; for i in $(seq 300); do sleep 0.1; done", place);
    const child = execa(join(links, "ifconfig"), ["lo"], {
      env: { PATH: `${links}:${place}:/bin` },
      reject: false,
    });
    child.stdout.once("data", () => child.kill("SIGTERM"));
    assert.equal((await child).exitCode, 9);
  });

  test("that is killed takes us along", async () => {
    const place = join(directory, "killed");
    mkdirSync(place);
    program("ifconfig", "kill -KILL $$", place);
    const { signal } = await call("ifconfig", ["lo"], { PATH: `${links}:${place}:/bin` });
    assert.equal(signal, "SIGKILL");
  });
});

describe("sysctl", () => {
  program("sysctl", `${SAYS}; for word; do [ "$word" != no.such ] || exit 3; done`);

  for (const [words, parts] of [
    ["kernel.hostname", "theirs kernel.hostname"],
    ["-w net.ipv4.ip_forward=1", "theirs -w net.ipv4.ip_forward=1"],
    ["-p /etc/sysctl.conf", "theirs -p /etc/sysctl.conf"],
    ["--system", "theirs --system"],
    ["--json net.inet", "ours --json net.inet"],
    ["-N -a", "theirs -N -a"],
    ["-N net.inet.carp.allow", "ours -N net.inet.carp.allow"],
    ["net.inet.carp.allow", "ours net.inet.carp.allow"],
    ["net.inet.carp.nosuch=1", "ours net.inet.carp.nosuch=1"],
    ["net.pfsync", "ours net.pfsync"],
    ["net.inetx", "theirs net.inetx"],
    ["-n net", "theirs -n net, ours -n net?"],
    ["-a", "theirs -a, ours -a?"],
    ["-en a.b net.inet.carp.log c.d e.f", "theirs -en a.b, ours -n net.inet.carp.log, theirs -en c.d e.f"],
    ["", "ours "],
  ] as const)
    test(`sysctl ${words}: ${parts}`, async () => {
      const known = { device: () => false, group: async () => false };
      const read = (await NAMES.get("sysctl")?.parts?.(words === "" ? [] : words.split(" "), known)) ?? [];
      const text = read.map((part) => `${part.whose} ${part.words.join(" ")}${part.optional ? "?" : ""}`);
      assert.equal(text.join(", "), parts);
    });

  test("variables of both in one call, in the order given", async () => {
    const words = ["-n", "kernel.a", "net.inet.carp.allow", "kernel.b"];
    const { stdout, exitCode } = await call("sysctl", words, WITH_ENGINE);
    const path = join(system, "sysctl");
    assert.deepEqual([stdout, exitCode], [`system ${path} -n kernel.a\n1\nsystem ${path} -n kernel.b`, 0]);
  });

  test("the first failure ends it, with that status", async () => {
    const { stdout, exitCode } = await call("sysctl", ["no.such", "net.inet.carp.allow"], WITH_ENGINE);
    assert.deepEqual([stdout, exitCode], [`system ${join(system, "sysctl")} no.such`, 3]);
  });
});

test("who is called by no name we know is carpctl", async () => {
  const { stderr } = await execa(process.execPath, [MAIN, "eth7", "up"], {
    env: { CARPCTL_ARGV0: "constructor" },
    reject: false,
  });
  assert.match(stderr, /^carpctl: eth7:/);
});

test("called carpd it is the engine, and takes its options", async () => {
  const as = (...words: string[]) =>
    execa(process.execPath, [MAIN, ...words], { env: { CARPCTL_ARGV0: "carpd" }, reject: false });
  assert.deepEqual((await as("--log", "nosuch")).stderr.split("\n"), [
    'carpd: log nosuch: must be "syslog", "stderr"',
    "usage: carpd [--log syslog|stderr] [--boot-demotion SECONDS] [--metrics ADDRESS:PORT|unix:PATH]",
  ]);
  const { stderr, exitCode } = await as("--log", "stderr", "--run-dir", "/nonexistent/run");
  assert.deepEqual([exitCode, /needs root|no such directory/.test(stderr)], [1, true], stderr);
});

test("called netstart it applies the files, and has that command's usage", async () => {
  const as = (...words: string[]) =>
    execa(process.execPath, [MAIN, "--etc-dir", directory, ...words], {
      env: { CARPCTL_ARGV0: "netstart", CARP_RUN_DIR: "/nonexistent" },
      reject: false,
    });
  writeFileSync(join(directory, "hostname.carp3"), "vhid 3\n", { mode: 0o640 });
  assert.equal((await as("-n")).stdout, "carpctl carp3 vhid 3");
  assert.match((await as("--version")).stdout, /^carpctl \d/);
  assert.match((await as("--frob")).stderr, /^netstart: --frob: unknown option\nusage: netstart \[-n\]/);
});
