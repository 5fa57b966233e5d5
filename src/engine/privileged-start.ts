/**
 * The engine's start as root: makes its directories, starts the runner, loads the eBPF programs, and gives root up
 * before the engine hears a client or a frame. What needs root again needs a new engine. Nothing here may run in
 * Node's thread pool: a thread that is there already loses every capability with root.
 */

import { existsSync, readdirSync } from "node:fs";
import { constants, setPriority } from "node:os";
import { dirname, join, resolve } from "node:path";
import { isSea } from "node:sea";
import { SOCKET_NAME } from "../control/client.ts";
import { createDataPath } from "../kernel/data-path/data-path.ts";
import { createClock } from "../kernel/process/clock.ts";
import { nativeProcess } from "../kernel/process/native-process.ts";
import { engineUser, giveUpRoot, type Reach } from "../kernel/process/privileges.ts";
import { isAnswered } from "./control/control-sockets.ts";
import { runEngine } from "./daemon.ts";
import type { EngineOptions } from "./engine.ts";
import { listenForScrapes, type MetricsListener } from "./metrics/listener.ts";
import { connectRunner } from "./scripts/runner/runner-connection.ts";
import { startRunner } from "./scripts/runner/runner-process.ts";
import { bootFacts } from "./state/boot.ts";
import { handOver, makeRunDirectory, makeStateDirectory } from "./state/directories.ts";
import { openDocument } from "./state/document.ts";
import { RunDirectoryLock } from "./state/run-directory-lock.ts";

/** Runs the engine. @returns the exit status, when it has stopped */
export async function beginEngine(options: EngineOptions): Promise<number> {
  const { runDir, etcDir, stateDir } = options;
  if (process.geteuid?.() !== 0) return refuse("permission denied: the engine needs root");
  const user = engineUser();
  const unusable = makeRunDirectory(runDir, user, pathsOf(options));
  if (unusable !== undefined) return refuse(`run directory ${runDir}: ${unusable}`);
  const running = `an engine is running already (${join(runDir, SOCKET_NAME)})`;
  let lock: RunDirectoryLock | undefined;
  try {
    lock = RunDirectoryLock.take(runDir, user);
  } catch (error) {
    return refuse((error as Error).message);
  }
  // Asked before the programs of a running engine are replaced. One of an earlier version has no lock.
  if (lock === undefined || (await isAnswered(runDir))) return refuse(running);
  const complaints: string[] = [];
  const withoutState = makeStateDirectory(stateDir, user);
  if (withoutState !== undefined) complaints.push(`state directory ${stateDir}: ${withoutState}`);

  const listeners: MetricsListener[] = [];
  for (const at of options.metrics) {
    const listener = listenForScrapes(at, user);
    if (typeof listener === "string") complaints.push(listener);
    else listeners.push(listener);
  }
  const { CARP_RUNNER_SOCKET: elsewhere = "" } = process.env;
  const runner = existsSync(elsewhere)
    ? connectRunner(elsewhere)
    : startRunner({ runDir, etcDir, environment: process.env });
  raisePriority();
  nativeProcess.unlimitLockedMemory();
  const dataPath = createDataPath({
    runDir,
    record: openDocument(join(runDir, "programs.json")),
    complain: (text) => complaints.push(text),
  });
  // Where process 1 is hidden from other users, the engine finds it as root.
  const boot = bootFacts(createClock().now());
  handOver(runDir, user);
  const failures = giveUpRoot(user, reachOf(options));
  return runEngine(options, { lock, dataPath, runner, listeners, boot, complaints, failures });
}

/** The paths of sockets that metrics are served at. */
function pathsOf({ metrics }: EngineOptions): string[] {
  return metrics.flatMap((at) => ("path" in at ? at.path : []));
}

function refuse(why: string): number {
  process.stderr.write(`carpctl: ${why}\n`);
  return 1;
}

/**
 * The program's own files are read as its parts are needed, but the single executable has them in itself; /etc for
 * names of groups and the local time.
 */
function reachOf({ runDir, etcDir, stateDir }: EngineOptions): Reach {
  const program = isSea()
    ? []
    : [dirname(dirname(resolve(process.argv[1] ?? ""))), dirname(process.execPath)];
  return {
    readable: ["/proc", "/sys", "/dev", "/usr", "/lib", "/lib64", "/etc", etcDir, ...program],
    writable: [runDir, stateDir, "/proc/sys/net"],
  };
}

/**
 * Raises the priority of every thread, so that advertisements leave in time on a busy host: at a nice value the kernel
 * lets another program end its slice first, often several milliseconds. On Linux each thread has a priority of its own,
 * and waiting for another thread (for garbage collection) makes it as late as that one. Threads started later inherit
 * the priority.
 */
function raisePriority(): void {
  const threads = readdirSync("/proc/self/task").map(Number);
  if (threads.every((thread) => nativeProcess.scheduleAtOnce(thread) === 0)) return;
  try {
    for (const thread of threads) setPriority(thread, constants.priority.PRIORITY_HIGHEST);
  } catch {
    // A container may be refused both; the engine is then only less punctual.
  }
}
