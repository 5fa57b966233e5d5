/**
 * Resources of a test run: processes, network namespaces, mounts, directories, cgroups. All carry the name of the run,
 * so that test/run finds and removes what a killed test file left behind. Never touches anything
 * without that name.
 */

import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export const RUN_VARIABLE = "CARPCTL_TEST_RUN";
/** The prefix of the names of all runs. */
export const RUN_PREFIX = "carptest-";

/**
 * The name of this run, in the names of its namespaces and directories and in the environment of its
 * processes.
 */
export const run =
  process.env[RUN_VARIABLE] ?? `${RUN_PREFIX}${process.pid.toString(36)}${Date.now().toString(36)}`;
process.env[RUN_VARIABLE] = run;

const children = new Set<number>();
const namespaces = new Set<string>();
const directories = new Set<string>();
const cgroups = new Set<string>();
let named = 0;

/** A name that no other process of this run uses. */
export function uniqueName(what: string): string {
  named += 1;
  return `${run}-${process.pid}-${named}-${what}`;
}

export function ownChild(pid: number): void {
  removeAtExit();
  children.add(pid);
}

export function childIsGone(pid: number): void {
  children.delete(pid);
}

export function ownNamespace(name: string): void {
  removeAtExit();
  namespaces.add(name);
}

export function makeDirectory(what: string): string {
  removeAtExit();
  const path = mkdtempSync(join(tmpdir(), `${uniqueName(what)}-`));
  directories.add(path);
  return path;
}

/** A directory that another program makes, and leaves when it is killed. */
export function ownDirectory(path: string): void {
  removeAtExit();
  directories.add(path);
}

/** The hierarchies of cgroups that systemd uses: one on most machines, two beside those of cgroup v1. */
const HIERARCHIES = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd"];

/** Makes a cgroup of this name below the root of each hierarchy. */
export function makeCgroup(name: string): void {
  removeAtExit();
  cgroups.add(name);
  for (const hierarchy of HIERARCHIES)
    if (existsSync(join(hierarchy, "cgroup.procs"))) mkdirSync(join(hierarchy, name));
}

/** Removes the cgroup with those below it, when the processes in it have ended. */
export function removeCgroup(name: string): void {
  for (const hierarchy of HIERARCHIES) removeCgroupDirectory(join(hierarchy, name));
  cgroups.delete(name);
}

/** Kills the processes in the namespace and removes it. */
export function removeNamespace(name: string): void {
  for (const pid of pidsIn(name)) killNow(pid);
  ip("netns", "delete", name);
  namespaces.delete(name);
}

export function removeDirectory(path: string): void {
  for (const mount of mountsBelow(path)) quietly("umount", "--lazy", mount);
  rmSync(path, { recursive: true, force: true });
  directories.delete(path);
}

/** Removes all resources of this process, synchronously: it also runs at exit after a crash. */
export function removeEverything(): void {
  for (const pid of children) killNow(pid);
  children.clear();
  for (const name of namespaces) removeNamespace(name);
  for (const name of cgroups) removeCgroup(name);
  for (const path of directories) removeDirectory(path);
}

let watching = false;

/** Installs, with the first resource, the handlers that remove all of them at exit. */
function removeAtExit(): void {
  if (watching) return;
  watching = true;
  process.once("exit", removeEverything);
  for (const [signal, number] of Object.entries({ SIGHUP: 1, SIGINT: 2, SIGTERM: 15 })) {
    process.once(signal, () => process.exit(128 + number));
  }
}

export interface Leftovers {
  readonly processes: readonly string[];
  readonly namespaces: readonly string[];
  readonly directories: readonly string[];
  readonly cgroups: readonly string[];
}

/** Everything that carries the name of a run, this process excepted. */
export function leftoversOf(runName: string): Leftovers {
  return {
    processes: processesOf(runName).map(({ pid, command }) => `${pid} ${command}`),
    namespaces: entries("/run/netns").filter((name) => name.startsWith(`${runName}-`)),
    directories: [tmpdir(), "/run/systemd/nspawn/propagate"].flatMap((directory) =>
      entries(directory)
        .filter((name) => name.startsWith(`${runName}-`))
        .map((name) => join(directory, name)),
    ),
    cgroups: [...new Set(HIERARCHIES.flatMap(entries))].filter((name) => name.startsWith(`${runName}-`)),
  };
}

/** Removes everything that carries the name of a run. */
export function sweep(runName: string): void {
  for (const { pid } of processesOf(runName)) killNow(pid);
  const found = leftoversOf(runName);
  for (const name of found.namespaces) removeNamespace(name);
  for (const name of found.cgroups) removeCgroup(name);
  for (const path of found.directories) removeDirectory(path);
}

function processesOf(runName: string): { pid: number; command: string }[] {
  const found = [];
  for (const pid of entries("/proc").map(Number).filter(Number.isInteger)) {
    if (pid === process.pid) continue;
    try {
      const environment = readFileSync(`/proc/${pid}/environ`, "latin1").split("\0");
      if (!environment.includes(`${RUN_VARIABLE}=${runName}`)) continue;
      found.push({
        pid,
        command: readFileSync(`/proc/${pid}/cmdline`, "latin1").replaceAll("\0", " ").trim(),
      });
    } catch {
      // Ended meanwhile, or another user's.
    }
  }
  return found;
}

function pidsIn(namespace: string): number[] {
  return ip("netns", "pids", namespace).split("\n").filter(Boolean).map(Number);
}

function mountsBelow(path: string): string[] {
  return readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .map((line) => line.split(" ")[4] ?? "")
    .filter((mount) => mount.startsWith(`${path}/`))
    .reverse();
}

/** The number of times, 10 ms apart, that a cgroup is found busy: the processes in it have been killed. */
const BUSY_LIMIT = 200;

function removeCgroupDirectory(path: string): void {
  if (!existsSync(path)) return;
  const below = readdirSync(path, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  for (const { name } of below) removeCgroupDirectory(join(path, name));
  for (let tries = 0; existsSync(path) && tries < BUSY_LIMIT; tries += 1) {
    try {
      rmdirSync(path);
    } catch {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10);
    }
  }
}

function killNow(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // Ended already.
  }
}

function ip(...words: string[]): string {
  return quietly("ip", ...words);
}

function quietly(command: string, ...words: string[]): string {
  try {
    return execFileSync(command, words, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
  } catch {
    return "";
  }
}

function entries(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}
