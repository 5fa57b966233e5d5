/**
 * Commands of the shell, each in a process group of its own. Output goes to where this process' own goes: nothing that
 * a command writes, and no process that it leaves behind, can keep this process waiting.
 */

import { spawn } from "node:child_process";

/** How a command ended: its exit status, or why it has none, in words. */
export type Ended = { readonly status: number } | { readonly why: string };

export interface ShellCommand {
  /** Undefined: it was not started. */
  readonly pid: number | undefined;
  /** Never rejects. */
  readonly ended: Promise<Ended>;
  /** Kills the command with its process group. */
  kill(): void;
}

/** Of this program's own, and of the service manager that started it. */
const NOT_PASSED_ON =
  /^(CARPCTL_ARGV0|NOTIFY_SOCKET|WATCHDOG_(PID|USEC)|LISTEN_\w+|INVOCATION_ID|JOURNAL_STREAM)$/;

export function startShellCommand(command: string): ShellCommand {
  const environment = Object.entries(process.env).filter(([name]) => !NOT_PASSED_ON.test(name));
  try {
    const child = spawn("/bin/sh", ["-c", command], {
      detached: true,
      stdio: ["ignore", "inherit", "inherit"],
      env: Object.fromEntries(environment),
    });
    const { pid } = child;
    const ended = new Promise<Ended>((resolve) => {
      child.once("error", ({ code }: NodeJS.ErrnoException) => resolve({ why: `cannot be run (${code})` }));
      child.once("exit", (status, signal) =>
        resolve(status === null ? { why: `killed by ${signal}` } : { status }),
      );
    });
    return { pid, ended, kill: () => killGroup(pid) };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return { pid: undefined, ended: Promise.resolve({ why: `cannot be run (${code})` }), kill: () => {} };
  }
}

function killGroup(pid: number | undefined): void {
  try {
    if (pid !== undefined) process.kill(-pid, "SIGKILL");
  } catch {
    // It has ended.
  }
}
