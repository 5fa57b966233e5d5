/**
 * The next engine in this very process: an upgrade without a failover, and without the service manager noticing. It
 * is whatever is installed by now under the name that this one was started by, and it is tried before anything ends.
 */

import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { installedProgram as program } from "./installed-program.ts";

const TRIAL_MS = 10_000;

/** @returns why there can be none, in words; undefined when what is installed runs. */
export async function obstacleToSuccessor(): Promise<string | undefined> {
  if (program === undefined) return "it is not known by what this engine was started";
  const trial = promisify(execFile)(program, ["--version"], { timeout: TRIAL_MS });
  trial.child.stdin?.end();
  return trial.then(
    () => undefined,
    ({ stderr, message }: Error & { readonly stderr?: string }) =>
      `${program} --version: ${(stderr || message).split("\n")[0]}`,
  );
}

/** Does not come back. The process id, the environment and the arguments stay. */
export function succeed(): void {
  if (program === undefined) throw new Error("nothing to go on with");
  process.execve?.(program, [program, ...process.argv.slice(2)], process.env);
}
