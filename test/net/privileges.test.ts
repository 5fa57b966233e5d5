/**
 * What the engine, its runner and a command are and have, as the kernel shows it; and what code that runs inside the
 * engine cannot do, whichever thread does it.
 */

import assert from "node:assert/strict";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { needs } from "../../src/kernel/process/privileges.ts";
import { ENGINE_UID, withEngineUser } from "../hosts/engine-user.ts";
import { createNetwork, eventually, type Host } from "../hosts/index.ts";
import { commandOf, descendantsOf, privilegesOf } from "../hosts/processes.ts";
import { CARPCTL } from "../hosts/program.ts";

const tree = join(import.meta.dirname, "../..");
const MAIN = join(tree, "dist/main.js");
const ADDON = join(tree, "src/native/build/Release/carp.node");

/** NET_ADMIN and NET_RAW at most, on each thread, and no means to gain others; BPF where the kernel wants it. */
const ALLOWED = needs().includes("BPF") ? 0x80_0000_3000n : 0x3000n;

/** What is tried inside the engine, in the main thread and in the thread pool; each line says how it failed. */
const ATTEMPTS = `data:text/javascript,
import fs from "node:fs";
import net from "node:net";
import { createRequire } from "node:module";
import { spawnSync } from "node:child_process";
process.on("SIGWINCH", async () => {
  const found = {};
  const attempt = async (name, act) => {
    try { found[name] = String((await act()) ?? "done"); } catch (error) { found[name] = error.code ?? String(error); }
  };
  await attempt("write /etc", () => fs.writeFileSync("/etc/carpctl-attempt", ""));
  await attempt("write /etc, in the pool", () => fs.promises.writeFile("/etc/carpctl-attempt", ""));
  await attempt("write /usr", () => fs.writeFileSync("/usr/carpctl-attempt", ""));
  await attempt("write /tmp", () => fs.writeFileSync("/tmp/carpctl-attempt", ""));
  await attempt("write /proc/sys/kernel", () => fs.writeFileSync("/proc/sys/kernel/hostname", "x"));
  await attempt("read /root", () => fs.readdirSync("/root"));
  await attempt("read /root, in the pool", () => fs.promises.readdir("/root"));
  await attempt("read /home", () => fs.readdirSync("/home"));
  await attempt("execute", () => { throw spawnSync("/bin/true").error; });
  await attempt("become root", () => process.setuid(0));
  await attempt("listen", () => new Promise((resolve, reject) =>
    net.createServer().once("error", reject).listen(0, "127.0.0.1", () => resolve("done"))));
  await attempt("connect", () => new Promise((resolve, reject) =>
    net.connect(9, "127.0.0.1").once("error", reject).once("connect", () => resolve("done"))));
  const { BpfObject } = createRequire("/")(${JSON.stringify(ADDON)});
  await attempt("load a program", () => { const failure = new BpfObject().load([]); return failure ? failure.error : "done"; });
  fs.writeFileSync(process.env.CARP_RUN_DIR + "/attempts", JSON.stringify(found));
});`;

const EPERM = "1";
/** By attempt: how it fails for an engine that is root without its capabilities, and for one that is not. */
const FAILURES: Readonly<Record<string, readonly [root: string, user: string]>> = {
  "write /etc": ["EACCES", "EACCES"],
  "write /etc, in the pool": ["EACCES", "EACCES"],
  "write /usr": ["EACCES", "EACCES"],
  "write /tmp": ["EACCES", "EACCES"],
  "write /proc/sys/kernel": ["EACCES", "EACCES"],
  "read /root": ["EACCES", "EACCES"],
  "read /root, in the pool": ["EACCES", "EACCES"],
  "read /home": ["EACCES", "EACCES"],
  execute: ["EACCES", "EACCES"],
  "become root": ["done", "EPERM"],
  listen: ["EACCES", "EACCES"],
  connect: ["EACCES", "EACCES"],
  "load a program": [EPERM, EPERM],
};

/** Sockets of a process that other hosts or users could reach: TCP, UDP. */
function openPorts(pid: number): string[] {
  const own = new Set(
    readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
      try {
        return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1] ?? [];
      } catch {
        return [];
      }
    }),
  );
  return ["tcp", "tcp6", "udp", "udp6"].flatMap((table) =>
    readFileSync(`/proc/${pid}/net/${table}`, "latin1")
      .split("\n")
      .slice(1)
      .map((line) => line.trim().split(/\s+/))
      .filter(([, , , , , , , , , inode = ""]) => own.has(inode))
      .map(([, address = ""]) => `${table} ${address}`),
  );
}

const lineOf = (pid: number, name: string) =>
  new RegExp(`^${name}:\\s*(.*)$`, "m").exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1];

function assertReduced(pid: number): void {
  for (const line of privilegesOf(pid)) {
    const [name = "", value = ""] = line.split(" ");
    if (name === "NoNewPrivs") assert.equal(value, "1");
    // The bounding set does not matter where nothing can be gained.
    else if (name !== "CapBnd") assert.equal(BigInt(`0x${value}`) & ~ALLOWED, 0n, line);
  }
  assert.equal(BigInt(`0x${lineOf(pid, "CapEff")}`), ALLOWED);
}

async function withHost(act: (host: Host) => Promise<void>): Promise<void> {
  const lan = await createNetwork();
  try {
    await act(await lan.host("a", { addresses: ["10.0.0.2/24"] }));
  } finally {
    lan.destroy();
  }
}

for (const [at, who, uid] of [
  [0, "root without its capabilities, where there is no user _carpd", 0],
  [1, "_carpd", ENGINE_UID],
] as const)
  test(`the engine is ${who}, and code inside it reaches nothing but what the engine needs`, async () => {
    await withHost(async (a) => {
      const user = uid === 0 ? [] : withEngineUser(a.etcDirectory);
      if (uid !== 0) {
        const above = dirname(a.runDirectory);
        chmodSync(above, 0o700);
        const refused = a.exec(user[0] ?? "", [...user.slice(1), CARPCTL, "engine"]);
        assert.equal(
          (await refused).stderr,
          `carpctl: run directory ${a.runDirectory}: user _carpd cannot enter ${above}\n`,
        );
        chmodSync(above, 0o755);
        const theirs = join(a.runDirectory, "theirs");
        writeFileSync(theirs, "");
        assert.match(
          (await a.exec(user[0] ?? "", [...user.slice(1), CARPCTL, "engine"])).stderr,
          /: holds theirs, which is not the engine's: give it a directory of its own\n$/,
        );
        rmSync(theirs);
      }
      const node = [process.execPath, "--disable-sigusr1", "--import", ATTEMPTS];
      const engine = await a.startEngine({ through: [...user, ...node], program: MAIN });
      await engine.request("create", { name: "carp0" });
      await engine.request("change", { name: "carp0", change: { carpdev: "eth0", vhid: 1 } });
      assertReduced(engine.pid);
      assert.equal(lineOf(engine.pid, "Uid"), [uid, uid, uid, uid].join("\t"));
      assert.deepEqual(openPorts(engine.pid), []);
      assert.equal(statSync(a.runDirectory).uid, uid);
      // Not dumpable: /proc shows it as root's, whoever it is.
      assert.equal(statSync(`/proc/${engine.pid}/mem`).uid, 0);
      process.kill(engine.pid, "SIGWINCH");
      const path = join(a.runDirectory, "attempts");
      const found = await eventually(
        async () => (existsSync(path) ? readFileSync(path, "utf8") : ""),
        (text) => text !== "",
      );
      const expected = Object.entries(FAILURES).map(([name, how]) => [name, how[at]]);
      assert.deepEqual(JSON.parse(found), Object.fromEntries(expected));
    });
  });

test("SIGUSR1 opens no inspector, and the environment changes nothing about Node", async () => {
  await withHost(async (a) => {
    const marker = join(a.etcDirectory, "marker");
    const hostile = {
      NODE_OPTIONS: `--inspect=127.0.0.1:9229 --import=data:text/javascript,import("node:fs").then((fs)=>fs.writeFileSync("${marker}",""))`,
      NODE_V8_COVERAGE: join(a.etcDirectory, "coverage"),
      NODE_REDIRECT_WARNINGS: marker,
      CARPCTL_NEXT_IMAGE: JSON.stringify({ runDir: a.runDirectory, etcDir: a.etcDirectory, log: "stderr" }),
    };
    // Without a directory of checks no runner is started for them.
    mkdirSync(join(a.etcDirectory, "carp/service_status.d"), { recursive: true });
    const engine = await a.startEngine({ environment: hostile });
    const told = a.spawn(CARPCTL, ["monitor"], { environment: hostile });
    await engine.request("service-status", {});
    const [runner = 0] = descendantsOf(engine.pid).filter((pid) => commandOf(pid).endsWith(" runner"));
    assert.notEqual(runner, 0);
    for (const pid of [engine.pid, runner, told.pid]) {
      process.kill(pid, "SIGUSR1");
      // Blocked: it stays pending, and nothing follows from it.
      await eventually(
        async () => BigInt(`0x${lineOf(pid, "ShdPnd")}`),
        (pending) => (pending & (1n << 9n)) !== 0n,
      );
      assert.deepEqual(openPorts(pid), []);
    }
    await engine.request("hello", {});
    const help = await a.exec(CARPCTL, ["--version"], { environment: hostile });
    assert.equal(help.exitCode, 0);
    assert.ok(!existsSync(marker) && !existsSync(join(a.etcDirectory, "coverage")));
  });
});
