/**
 * The system's own `ifconfig` or `sysctl` behind a link to this program: finds it and runs it for everything
 * that is not carp's. It must never start this program again.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { accessSync, constants, realpathSync, statSync } from "node:fs";
import { basename, join } from "node:path";

/**
 * Names the system program that was started. A carpctl that finds its own name there does not start it again.
 */
const STARTED = "CARPCTL_STARTED_SYSTEM_PROGRAM";
/** Directories of system programs, which may be missing from a user's PATH. */
const SYSTEM_DIRECTORIES = ["/usr/local/sbin", "/usr/sbin", "/sbin"];
const FORWARDED = ["SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2"] as const;

/** The program of that name which is not a link to this one; undefined when there is none. */
export function systemProgram(name: string, environment: NodeJS.ProcessEnv): string | undefined {
  const { PATH, [STARTED]: started } = environment;
  if (PATH === undefined || started === name) return undefined;
  const directories = [...PATH.split(":").filter((each) => each.startsWith("/")), ...SYSTEM_DIRECTORIES];
  return directories.map((directory) => join(directory, name)).find(isAnother);
}

function isAnother(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile() && basename(realpathSync(path)) !== "carpctl";
  } catch {
    return false;
  }
}

/**
 * Runs it on this terminal and forwards signals to it. @returns its exit status; a signal that kills it kills
 * us
 */
export async function runSystemProgram(
  path: string,
  words: readonly string[],
  environment: NodeJS.ProcessEnv,
): Promise<number> {
  const { CARPCTL_ARGV0: _ours, ...theirs } = environment;
  const forward = (signal: NodeJS.Signals) => void child.kill(signal);
  // Before the child is started: a signal in between would end us and leave the child running.
  for (const signal of FORWARDED) process.on(signal, forward);
  const child = spawn(path, words, {
    stdio: "inherit",
    env: { ...theirs, [STARTED]: basename(path) },
  });
  const { status, signal } = await ended(child, path);
  for (const each of FORWARDED) process.off(each, forward);
  if (signal !== null) process.kill(process.pid, signal);
  return status;
}

interface End {
  readonly status: number;
  readonly signal: NodeJS.Signals | null;
}

function ended(child: ChildProcess, path: string): Promise<End> {
  return new Promise((resolve) => {
    child.once("exit", (status, signal) => resolve({ status: status ?? 1, signal }));
    child.once("error", ({ message }) => {
      process.stderr.write(`carpctl: ${path} cannot be run: ${message}\n`);
      resolve({ status: 126, signal: null });
    });
  });
}
