/**
 * A running runner as the engine sees it: its socket, its end, and how to kill it; and the spawning of one
 * with no more privileges than the engine's own.
 */

import { spawn } from "node:child_process";
import type { Socket } from "node:net";
import { RUNNER_FD } from "./messages.ts";

export interface RunnerProcess {
  /** undefined when it could not be started. */
  readonly socket: Socket | undefined;
  /** Kills it at once. */
  kill(): void;
  /** Resolves with the exit status or signal, in words. */
  readonly ended: Promise<string>;
}

export function spawnRunner([command = "", ...words]: readonly string[]): RunnerProcess {
  const child = spawn(command, [...words, "runner"], {
    detached: true,
    stdio: ["ignore", "ignore", "ignore", "pipe"],
    env: {},
    cwd: "/",
  });
  const socket = (child.stdio[RUNNER_FD] as Socket | undefined) ?? undefined;
  return {
    socket,
    kill: () => {
      child.kill("SIGKILL");
      socket?.destroy();
    },
    ended: new Promise((resolve) => {
      child.once("error", (error) => resolve(error.message));
      child.once("exit", (code, signal) => resolve(signal ?? `exit status ${code}`));
    }),
  };
}
