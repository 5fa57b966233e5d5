/**
 * Starts the shell that keeps root to start the runner: it waits for an order on a socket pair of its own, runs the
 * runner, reports its end, and waits again. It takes no other order, and what it runs, and with which directories, is
 * fixed when the engine starts as root. It ends when the engine does.
 */

import { spawn } from "node:child_process";
import { isSea } from "node:sea";
import type { Duplex } from "node:stream";
import { RUNNER_FD } from "./messages.ts";

const SHELL_FD = 4;

/** Orders are `start ID`, where ID is that of the first job; reports are `exited STATUS`. */
const LOOP = `trap '' HUP INT TERM
while read -r order first _ <&4; do
  [ "$order" = start ] || continue
  CARP_FIRST_JOB=$first "$@" runner 4<&-
  echo "exited $?" >&4
done`;

/** A stream that keeps a process from ending, or does not. */
export interface Conversation extends Duplex {
  ref(): this;
  unref(): this;
}

export interface RunnerProcess {
  /** To and from the runner, one after the other; undefined when the shell could not be started. */
  readonly socket: Conversation | undefined;
  /** To and from the shell. */
  readonly shell: Conversation | undefined;
  /** Resolves when the shell has ended: no runner can be started any more. */
  readonly ended: Promise<void>;
}

export interface Surroundings {
  readonly runDir: string;
  readonly etcDir: string;
  readonly environment: NodeJS.ProcessEnv;
}

/** Starts the shell with the privileges of this process, for runners of this program. */
export function startRunner({ runDir, etcDir, environment }: Surroundings): RunnerProcess {
  const { CARP_SERVICE_STATUS_PATH: path = "" } = environment;
  // The single executable has its options and its script in itself.
  const script = isSea() ? [] : [...process.execArgv, process.argv[1] ?? ""];
  return spawnRunner([process.execPath, ...script], {
    PATH: "/usr/sbin:/usr/bin:/sbin:/bin",
    CARP_RUN_DIR: runDir,
    CARP_ETC_DIR: etcDir,
    CARP_SERVICE_STATUS_PATH: path,
  });
}

export function spawnRunner(
  program: readonly string[],
  env: Readonly<Record<string, string>> = {},
): RunnerProcess {
  const child = spawn("/bin/sh", ["-c", LOOP, "carp-runner", ...program], {
    detached: true,
    stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"],
    env,
    cwd: "/",
  });
  child.unref();
  return {
    socket: (child.stdio[RUNNER_FD] as Conversation | undefined) ?? undefined,
    shell: (child.stdio[SHELL_FD] as Conversation | undefined) ?? undefined,
    ended: new Promise((resolve) => {
      child.once("error", () => resolve());
      child.once("exit", () => resolve());
    }),
  };
}
