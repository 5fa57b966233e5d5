/**
 * A runner that runs: its socket, its end, and a way to bring that about. Here one that this process starts by itself,
 * with no more privileges than its own.
 */

import { spawn } from "node:child_process";
import type { Socket } from "node:net";
import { RUNNER_FD } from "./messages.ts";

export interface RunnerProcess {
  /** undefined when it could not be started. */
  readonly socket: Socket | undefined;
  /** At once, whatever it has still to say. */
  kill(): void;
  /** Resolves with how, in words. */
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
