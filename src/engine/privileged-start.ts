/**
 * The beginning of an engine's process, the only part that has whatever privileges it was started with: does what
 * needs them, starts the keeper, gives up all but what the engine needs, and goes on as the next image of the same
 * process, since an exec alone takes privileges from every thread. What the engine then has is read from the kernel.
 * Of the engine it loads no more than that, since all of it is loaded again.
 */

import { accessSync, closeSync, constants, readdirSync } from "node:fs";
import { setPriority, constants as system } from "node:os";
import { resolve } from "node:path";
import { bpfDirectory, mountBpffs } from "../kernel/bpffs.ts";
import { native } from "../kernel/native.ts";
import { areReduced, privileges, reducePrivileges } from "../kernel/privileges.ts";
import type { EngineOptions } from "./engine.ts";
import { installedProgram } from "./installed-program.ts";
import { handedOn } from "./next-image.ts";
import { makeRunDirectory } from "./run-directory.ts";
import { handOn, Keeper, startKeeper, takeOver } from "./runner/keeper.ts";

export interface Started {
  /** undefined: what the engine starts has no more privileges than the engine, or the engine has them all. */
  readonly keeper: Keeper | undefined;
  /** Why the engine has more than it needs, in words. */
  readonly failure: string | undefined;
}

/**
 * @param isNext this image was started with reduced privileges: it is the last, also when it has others all the same
 * @returns the exit status; resolves when the engine has stopped
 */
export async function beginEngine(options: EngineOptions, isNext = false): Promise<number> {
  const { runDir } = options;
  if (process.geteuid?.() !== 0) return refuse("permission denied: the engine needs root");
  const unusable = await makeRunDirectory(runDir);
  if (unusable !== undefined) return refuse(`run directory ${runDir}: ${unusable}`);
  const started = startReduced(options, isNext);
  const { runEngine } = await import("./daemon.ts");
  return runEngine(options, started);
}

function refuse(why: string): number {
  process.stderr.write(`carpctl: ${why}\n`);
  return 1;
}

/** Returns in an engine that may do no more than it needs, or at once where that cannot be had. */
function startReduced(options: EngineOptions, isNext: boolean): Started {
  goFirst();
  const ends = takeOver();
  const keeper = ends && new Keeper(ends);
  if (areReduced(privileges())) return { keeper, failure: undefined };
  if (isNext) return { keeper, failure: "the kernel gave them back" };
  return { keeper, failure: goOnReduced(options) };
}

/** Comes back only with the reason why not. */
function goOnReduced(options: EngineOptions): string {
  const { runDir } = options;
  const [script = ""] = process.argv.slice(1);
  if (process.execve === undefined) return "this Node cannot exec";
  try {
    // An exec that fails ends the process.
    accessSync(process.execPath, constants.X_OK);
    accessSync(script, constants.R_OK);
  } catch (error) {
    return (error as Error).message;
  }
  // Where it cannot be had, the engine says so.
  mountBpffs(bpfDirectory(runDir));
  const { execPath, execArgv } = process;
  const program = installedProgram === undefined ? [execPath, ...execArgv, script] : [installedProgram];
  const ends = startKeeper(bpfDirectory(resolve(runDir)), program);
  native.unlimitLockedMemory();
  const failure = reducePrivileges();
  if (failure !== undefined) {
    if (ends !== undefined) closeSync(ends.fd);
    return failure;
  }
  if (ends !== undefined) handOn(ends);
  return process.execve(execPath, [execPath, ...execArgv, ...process.argv.slice(1)], {
    ...process.env,
    ...handedOn(options),
  });
}

/**
 * A busy host is no reason to be late. On Linux each thread has a priority of its own, and one that waits for another
 * (as for the collection of garbage) is as late as that; threads begun later inherit it.
 */
function goFirst(): void {
  try {
    for (const thread of readdirSync("/proc/self/task"))
      setPriority(Number(thread), system.priority.PRIORITY_HIGHEST);
  } catch {
    // A container may not; it is only less punctual.
  }
}
