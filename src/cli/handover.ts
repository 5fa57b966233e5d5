/**
 * The system's own program behind a link of ours: `ifconfig` and `sysctl` do for everything that is not carp's what
 * they did before the link was there. Finds the program and runs it in our place; never comes back to ourselves.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { accessSync, constants, realpathSync, statSync } from "node:fs";
import { basename, join } from "node:path";

/** Set for the program that was handed over to: whoever finds it set does not hand over again. */
const HANDED_OVER = "CARPCTL_HANDED_OVER";
/** Where such programs are, also for those who do not have it in their PATH. */
const ADMINISTRATORS = ["/usr/local/sbin", "/usr/sbin", "/sbin"];
const FORWARDED = ["SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2"] as const;

/** The program of that name which is not a link to this one; undefined when there is none. */
export function systemProgram(name: string, environment: NodeJS.ProcessEnv): string | undefined {
  const { PATH, [HANDED_OVER]: already } = environment;
  if (PATH === undefined || already === name) return undefined;
  const directories = [...PATH.split(":").filter((each) => each.startsWith("/")), ...ADMINISTRATORS];
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

/** Runs it on our terminal, with our signals. @returns its exit status; who was killed takes us along. */
export async function runSystemProgram(
  path: string,
  words: readonly string[],
  environment: NodeJS.ProcessEnv,
): Promise<number> {
  const { CARPCTL_ARGV0: _ours, ...theirs } = environment;
  const forward = (signal: NodeJS.Signals) => void child.kill(signal);
  // Before there is a child: a signal that came in between would end us and leave it running.
  for (const signal of FORWARDED) process.on(signal, forward);
  const child = spawn(path, words, {
    stdio: "inherit",
    env: { ...theirs, [HANDED_OVER]: basename(path) },
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
