/**
 * The runner: a process of root that runs hooks and service checks for the engine, which is not root and is never
 * delayed by a script. It takes orders over the socket pair, and ends with everything it runs when that is closed.
 */

import { closeSync, fstatSync, readdirSync, readFileSync } from "node:fs";
import { Socket } from "node:net";
import { setPriority } from "node:os";
import { commonEnvironment } from "../directories.ts";
import { killLeftovers } from "./leftovers.ts";
import { RUNNER_FD } from "./messages.ts";
import { takeOrders } from "./orders.ts";

/** The engine's socket where the service manager starts the runner. */
const STANDARD_INPUT = 0;
const CLOSE_ON_EXEC = 0o2000000;

/** Runs until the socket pair is closed, then exits. @returns the exit status when no engine started it */
export async function runRunner(): Promise<number> {
  const fd = [RUNNER_FD, STANDARD_INPUT].find(isSocket);
  if (fd === undefined) {
    process.stderr.write("carpctl: runner: only the engine starts it\n");
    return 1;
  }
  resetPriority();
  closeInherited();
  process.chdir("/");
  killLeftovers(commonEnvironment(process.env));
  process.umask(0o022);
  // A signal to the engine's whole session or service must not end the hooks of its last changes.
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.on(signal, () => {});

  const engine = new Socket({ fd, readable: true, writable: true });
  takeOrders(engine, process.env, () => process.exit(0));
  return new Promise(() => {});
}

function isSocket(fd: number): boolean {
  try {
    return fstatSync(fd).isSocket();
  } catch {
    return false;
  }
}

/** Closes the descriptors that the engine inherited, so that no script inherits them. */
function closeInherited(): void {
  for (const fd of readdirSync("/proc/self/fd")
    .map(Number)
    .filter((each) => each > RUNNER_FD)) {
    try {
      const [, flags = ""] =
        /^flags:\s*(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, "latin1")) ?? [];
      if ((Number.parseInt(flags, 8) & CLOSE_ON_EXEC) === 0) closeSync(fd);
    } catch {
      // It was the descriptor of this very readdir.
    }
  }
}

/** Takes back the priority that was inherited from the engine. */
function resetPriority(): void {
  for (const thread of readdirSync("/proc/self/task"))
    try {
      setPriority(Number(thread), 0);
    } catch {
      // The thread has ended, or a container forbids it.
    }
}
