/**
 * Replaces the engine in its own process by the program that is installed now: an upgrade without a failover
 * that the service manager does not notice. The installed program is tried first, before the running engine
 * lets go of anything.
 */

import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { installedProgram as program } from "./installed-program.ts";

const TRIAL_MS = 10_000;

/** Tries the installed program. @returns why it cannot replace this engine; undefined: it can */
export async function obstacleToReExec(): Promise<string | undefined> {
  if (program === undefined) return "the name of the installed program is not known";
  const trial = promisify(execFile)(program, ["--version"], { timeout: TRIAL_MS });
  trial.child.stdin?.end();
  return trial.then(
    () => undefined,
    ({ stderr, message }: Error & { readonly stderr?: string }) =>
      `${program} --version: ${(stderr || message).split("\n")[0]}`,
  );
}

/**
 * Execs the installed program and does not return. The process id, the environment and the arguments stay.
 */
export function execInstalledProgram(): void {
  if (program === undefined) throw new Error("the name of the installed program is not known");
  process.execve?.(program, [program, ...process.argv.slice(2)], process.env);
}
