/**
 * Starts the shell that keeps root to start the runner: it waits for an order on a socket pair of its own, runs the
 * runner, reports its end, and waits again. It takes no other order, and what it runs, and with which directories, is
 * fixed when the engine starts as root. It ends when the engine does. A service manager that confines the engine names
 * a command that starts the shell outside: hooks and checks are the administrator's own programs.
 */

import { spawn } from "node:child_process";
import type { Socket } from "node:net";
import { isSea } from "node:sea";
import { RUNNER_FD } from "./messages.ts";

/** Standard output and standard error, which commands that start others pass on. */
const RUNNER_STREAM = 1;
const SHELL_STREAM = 2;

/**
 * The shell reads it from its standard input: in an argument, systemd-run would replace the variables. Orders are
 * `start ID`, where ID is that of the first job; reports are `exited STATUS`.
 */
const LOOP = `exec ${RUNNER_FD}>&${RUNNER_STREAM} 4>&${SHELL_STREAM} >/dev/null 2>&1
trap '' HUP INT TERM
shift
while read -r order first _ <&4; do
  [ "$order" = start ] || continue
  CARP_FIRST_JOB=$first "$@" runner 4<&- </dev/null
  echo "exited $?" >&4
done
`;

export interface RunnerProcess {
  /** To and from the runner, one after the other; undefined when the shell could not be started. */
  readonly socket: Socket | undefined;
  /** To and from the shell. */
  readonly shell: Socket | undefined;
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
  const { CARP_SERVICE_STATUS_PATH: path = "", CARP_RUN_SCRIPTS_BY: by = "" } = environment;
  // The single executable has its options and its script in itself.
  const script = isSea() ? [] : [...process.execArgv, process.argv[1] ?? ""];
  const variables = {
    PATH: "/usr/sbin:/usr/bin:/sbin:/bin",
    CARP_RUN_DIR: runDir,
    CARP_ETC_DIR: etcDir,
    CARP_SERVICE_STATUS_PATH: path,
  };
  return spawnRunner([process.execPath, ...script], variables, by.split(" ").filter(Boolean));
}

/** @param by the command that starts the words behind it, with its standard streams; empty: they are started here */
export function spawnRunner(
  program: readonly string[],
  variables: Readonly<Record<string, string>> = {},
  by: readonly string[] = [],
): RunnerProcess {
  const assignments = Object.entries(variables).map(([name, value]) => `${name}=${value}`);
  const shell = ["/usr/bin/env", "-i", ...assignments, "/bin/sh", "-s", "carp-runner", ...program];
  const [command, ...words] = [...by, ...shell] as [string, ...string[]];
  const child = spawn(command, words, {
    detached: true,
    stdio: ["pipe", "pipe", "pipe"],
    env: variables,
    cwd: "/",
  });
  child.unref();
  const { stdin, stdio } = child;
  stdin?.on("error", () => {});
  stdin?.end(LOOP);
  // Socket pairs, though their types say that they are read alone.
  const socketAt = (fd: number) => (stdio[fd] as Socket | null | undefined) ?? undefined;
  return {
    socket: socketAt(RUNNER_STREAM),
    shell: socketAt(SHELL_STREAM),
    ended: new Promise((resolve) => {
      child.once("error", () => resolve());
      child.once("exit", () => resolve());
    }),
  };
}
