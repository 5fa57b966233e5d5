/**
 * The privileged first image of the engine's process: mounts the bpffs, starts the keeper, gives up all
 * privileges but the engine's, and execs the next image, because only an exec takes privileges from every
 * thread. Reads from the kernel which privileges remain. Imports nothing else of the engine, which the next
 * image loads again.
 */

import { accessSync, closeSync, constants, readdirSync } from "node:fs";
import { setPriority, constants as system } from "node:os";
import { resolve } from "node:path";
import { bpfDirectory, mountBpffs } from "../kernel/data-path/bpffs.ts";
import { joinGroupCarp } from "../kernel/process/group-carp.ts";
import { nativeProcess } from "../kernel/process/native-process.ts";
import { areReduced, privileges, reducePrivileges } from "../kernel/process/privileges.ts";
import type { EngineOptions } from "./engine.ts";
import { installedProgram } from "./installed-program.ts";
import { handedOn } from "./next-image.ts";
import { handOn, Keeper, startKeeper, takeOver } from "./scripts/runner/keeper.ts";
import { makeRunDirectory } from "./state/run-directory.ts";

export interface Started {
  /** undefined: scripts have the privileges of the engine, reduced or not. */
  readonly keeper: Keeper | undefined;
  /** Why the engine has more privileges than it needs. */
  readonly failure: string | undefined;
}

/**
 * Makes the run directory, reduces privileges and runs the engine.
 *
 * @param isNext this image was started with reduced privileges: it runs the engine even when they were not
 * reduced
 * @returns the exit status, when the engine has stopped
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

/**
 * Returns in the image that runs the engine: with reduced privileges, or with the reason why they are not.
 */
function startReduced(options: EngineOptions, isNext: boolean): Started {
  raisePriority();
  const ends = takeOver();
  const keeper = ends && new Keeper(ends);
  if (areReduced(privileges())) return { keeper, failure: undefined };
  if (isNext) return { keeper, failure: "the exec did not take them away" };
  return { keeper, failure: execReduced(options) };
}

/** Execs the next image with reduced privileges; returns only when that fails, with the reason. */
function execReduced(options: EngineOptions): string {
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
  // A failure to mount is not fatal: the engine logs that it has no data path.
  mountBpffs(bpfDirectory(runDir));
  const { execPath, execArgv } = process;
  const program = installedProgram === undefined ? [execPath, ...execArgv, script] : [installedProgram];
  const ends = startKeeper(bpfDirectory(resolve(runDir)), program);
  nativeProcess.unlimitLockedMemory();
  joinGroupCarp();
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
 * Raises the priority of every thread, so that advertisements leave in time on a busy host. On Linux each
 * thread has a priority of its own, and waiting for another thread (for garbage collection) makes it as late
 * as that one. Threads started later inherit the priority.
 */
function raisePriority(): void {
  try {
    for (const thread of readdirSync("/proc/self/task"))
      setPriority(Number(thread), system.priority.PRIORITY_HIGHEST);
  } catch {
    // A container may be refused this; the engine is then only less punctual.
  }
}
