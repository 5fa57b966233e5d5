/**
 * What the executable costs beside the tree: the time that commands take, as multiples of a bare runtime's, and the
 * memory of an idle engine. Needs root: each engine has a network namespace of its own.
 */

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const RUNS = 15;
/** An engine that has started frees what its start needed. */
const IDLE_MS = 10_000;
const NETWORK =
  "ip link set lo up && ip link add eth0 type veth peer name eth1 && ip link set eth1 up && ip link set eth0 up && exec";

interface Program {
  readonly name: string;
  readonly path: string;
  readonly runDir: string;
  readonly engine: ChildProcess;
}

/** @returns lines to print */
export async function figures(): Promise<string[]> {
  const directory = mkdtempSync(join(tmpdir(), "carpctl-package-"));
  const empty = join(directory, "empty.cjs");
  writeFileSync(empty, "");
  const programs = [
    begin("tree", "bin/carpctl", join(directory, "tree")),
    begin("executable", "dist/carpctl", join(directory, "executable")),
  ];
  try {
    for (const program of programs) await configure(program);
    await sleep(IDLE_MS);
    const memory = programs.map(({ name, engine }) => `${name} ${anonymousMegabytes(engine.pid ?? 0)} MB`);
    return [...timesOf(programs, empty), `idle engine, anonymous memory: ${memory.join(", ")}`];
  } finally {
    for (const { engine } of programs) await ended(engine);
    rmSync(directory, { recursive: true });
  }
}

function begin(name: string, program: string, runDir: string): Program {
  const path = resolve(program);
  const words = ["--net", "sh", "-c", `${NETWORK} "$0" --run-dir "$1" engine --log stderr`, path, runDir];
  return { name, path, runDir, engine: spawn("unshare", words, { stdio: "ignore" }) };
}

/** Gives it an interface, when it answers. */
async function configure({ name, path, runDir }: Program): Promise<void> {
  const words = ["--run-dir", runDir, "carp0", "10.0.0.1/24", "vhid", "1", "carpdev", "eth0", "pass", "x"];
  for (let left = 100; left > 0; left--) {
    if (spawnSync(path, words).status === 0) return;
    await sleep(100);
  }
  throw new Error(`${name}: the engine does not start`);
}

/** Processor time, which a busy machine does not change much. Node does not tell that of one child. */
const MEDIANS = `
import json, os, statistics, sys
commands, runs = json.load(sys.stdin)
took = [[] for _ in commands]
out = [(os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)]
for run in range(runs + 1):
  for words, each in zip(commands, took):
    _, status, used = os.wait4(os.posix_spawn(words[0], words, os.environ, file_actions=out), 0)
    if status: sys.exit(f"{words}: status {status}")
    # The first reads files from the disk.
    if run: each.append((used.ru_utime + used.ru_stime) * 1000)
print(json.dumps([statistics.median(each) for each in took]))`;

/** Medians of runs in turns. */
function timesOf(programs: readonly Program[], empty: string): string[] {
  const asked = [["--version"], ["carp0"], ["status"], ["sysctl", "-a"]];
  const commands = asked.flatMap((words) =>
    programs.map(({ path, runDir }) => [path, "--run-dir", runDir, ...words]),
  );
  const input = JSON.stringify([[[process.execPath, empty], ...commands], RUNS]);
  const { status, stdout, stderr } = spawnSync("python3", ["-ISc", MEDIANS], { input, encoding: "utf8" });
  if (status !== 0) throw new Error(stderr);
  const [bare = 0, ...took]: number[] = JSON.parse(stdout);
  return [
    `processor time of a bare runtime: ${bare.toFixed(0)} ms`,
    ...asked.map((words, n) => {
      const ratios = programs.map(({ name }, m) => {
        const ms = took[n * programs.length + m] ?? 0;
        return `${name} ${(ms / bare).toFixed(2)}`;
      });
      return `carpctl ${words.join(" ")}, times a bare runtime: ${ratios.join(", ")}`;
    }),
  ];
}

function anonymousMegabytes(pid: number): string {
  const [, kilobytes = ""] = /^RssAnon:\s*(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
  return (Number(kilobytes) / 1024).toFixed(1);
}

async function ended(child: ChildProcess): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  child.once("exit", () => resolve());
  child.kill();
  if (child.exitCode === null) await promise;
}
