/**
 * The runner: a process of root that runs hooks and service checks for the engine, which is not root and is never
 * delayed by a script. It takes orders over the socket pair, and ends with everything it runs when that is closed.
 */

import { closeSync, fstatSync, readdirSync, readFileSync } from "node:fs";
import { Socket } from "node:net";
import { setPriority } from "node:os";
import { jsonLine } from "../../../control/framing.ts";
import { commonEnvironment, directoriesOf } from "../directories.ts";
import { killLeftovers } from "./leftovers.ts";
import {
  KINDS,
  MAX_OUTPUTS_BYTES,
  type Result,
  RUNNER_FD,
  Run,
  type RunnerMessage,
  readMessages,
} from "./messages.ts";
import { killGroup, runScript } from "./run-script.ts";
import { scriptsIn } from "./trusted-scripts.ts";

const CLOSE_ON_EXEC = 0o2000000;

/** Runs until the socket pair is closed, then exits. @returns the exit status when no engine started it */
export async function runRunner(): Promise<number> {
  if (!isSocket(RUNNER_FD)) {
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

  const engine = new Socket({ fd: RUNNER_FD, readable: true, writable: true });
  // Earlier jobs were given to a runner that died.
  const firstJob = Number(process.env.CARP_FIRST_JOB);
  const running = new Set<number>();
  const end = () => {
    for (const pid of running) killGroup(pid);
    process.exit(0);
  };
  const report = (message: RunnerMessage) => void engine.write(jsonLine(message));
  engine.on("error", end);
  engine.on("end", end);
  readMessages(
    engine,
    Run,
    (run) => {
      const { id } = run;
      if (id < firstJob) return;
      const began = (pid: number) => {
        running.add(pid);
        report({ kind: "began", id, pid });
      };
      const ended = (pid: number) => {
        running.delete(pid);
        report({ kind: "ended", id, pid });
      };
      void results(run, began, ended).then((all) => report({ kind: "ran", id, results: shortened(all) }));
    },
    end,
  );
  return new Promise(() => {});
}

async function results(
  run: Run,
  began: (pid: number) => void,
  ended: (pid: number) => void,
): Promise<Result[]> {
  const { together, limitMs } = KINDS[run.kind];
  const scripts = directoriesOf(process.env)
    [run.kind].flatMap((directory) => scriptsIn(directory))
    .sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  const change = run.kind === "hooks" ? run.change : {};
  const environment = { ...commonEnvironment(process.env), ...change };
  const options = { limitMs, environment, began, ended };
  if (together) return Promise.all(scripts.map((script) => runScript(script, options)));
  const done: Result[] = [];
  for (const script of scripts) done.push(await runScript(script, options));
  return done;
}

/** Drops output beyond the room of one message. */
function shortened(all: readonly Result[]): Result[] {
  let room = MAX_OUTPUTS_BYTES;
  return all.map((result) => {
    const { output } = result;
    const kept = result.outcome === "passed" || output.length > room ? "" : output;
    room -= kept.length;
    return { ...result, output: kept };
  });
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
