/**
 * What a test run has to give back: processes, network namespaces, mounts, directories. Everything made here carries
 * the name of the run, so that what a killed test file left behind can be found and swept by test/run. It never
 * touches anything that does not carry that name.
 */

import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export const RUN_VARIABLE = "CARPCTL_TEST_RUN";
/** What the names of all runs begin with. */
export const RUN_PREFIX = "carptest-";

/** The name of this run, in the names of its namespaces and directories and in the environment of its processes. */
export const run =
  process.env[RUN_VARIABLE] ?? `${RUN_PREFIX}${process.pid.toString(36)}${Date.now().toString(36)}`;
process.env[RUN_VARIABLE] = run;

const children = new Set<number>();
const namespaces = new Set<string>();
const directories = new Set<string>();
let named = 0;

/** A name no other process of this run uses. */
export function uniqueName(what: string): string {
  named += 1;
  return `${run}-${process.pid}-${named}-${what}`;
}

export function ownChild(pid: number): void {
  giveBackAtExit();
  children.add(pid);
}

export function childIsGone(pid: number): void {
  children.delete(pid);
}

export function ownNamespace(name: string): void {
  giveBackAtExit();
  namespaces.add(name);
}

export function makeDirectory(what: string): string {
  giveBackAtExit();
  const path = mkdtempSync(join(tmpdir(), `${uniqueName(what)}-`));
  directories.add(path);
  return path;
}

/** Kills what runs in it, then removes it. */
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

/** Everything of this process, at once and without waiting: also for the way out after a crash. */
export function removeEverything(): void {
  for (const pid of children) killNow(pid);
  children.clear();
  for (const name of namespaces) removeNamespace(name);
  for (const path of directories) removeDirectory(path);
}

let watching = false;

/** From the first thing on that has to be given back. */
function giveBackAtExit(): void {
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
}

/** What carries the name of a run, the asking process excepted. */
export function leftoversOf(runName: string): Leftovers {
  return {
    processes: processesOf(runName).map(({ pid, command }) => `${pid} ${command}`),
    namespaces: entries("/run/netns").filter((name) => name.startsWith(`${runName}-`)),
    directories: entries(tmpdir())
      .filter((name) => name.startsWith(`${runName}-`))
      .map((name) => join(tmpdir(), name)),
  };
}

/** Removes what carries the name of a run. */
export function sweep(runName: string): void {
  for (const { pid } of processesOf(runName)) killNow(pid);
  const found = leftoversOf(runName);
  for (const name of found.namespaces) removeNamespace(name);
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
      // Gone meanwhile, or another user's.
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

function killNow(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // Gone already.
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
