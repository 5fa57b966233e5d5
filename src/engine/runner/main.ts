/**
 * The runner: a process of its own that runs hooks and service checks for the engine, so that nothing they do delays
 * the protocol. It does what comes over the socket pair and ends, with all that it runs, when that is closed.
 */

import { closeSync, fstatSync, readdirSync, readFileSync } from "node:fs";
import { Socket } from "node:net";
import { setPriority } from "node:os";
import { MAX_OUTPUTS_BYTES, type Report, type Result, RUNNER_FD, Run, readLines } from "./messages.ts";
import { killGroup, runScript } from "./script.ts";
import { scriptsIn } from "./scripts.ts";

const CLOSE_ON_EXEC = 0o2000000;

/** What every script gets; nothing of the engine's environment. */
const ENVIRONMENT = { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", LANG: "C" };

/** @returns the exit status when it was not started by an engine; else it ends the process itself */
export async function runRunner(): Promise<number> {
  if (!isSocket(RUNNER_FD)) {
    process.stderr.write("carpctl: runner: only the engine starts it\n");
    return 1;
  }
  standBack();
  closeStrangers();
  process.chdir("/");
  process.umask(0o022);
  // The engine is told to stop together with its whole session or service, and has hooks to be run until it has.
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.on(signal, () => {});

  const engine = new Socket({ fd: RUNNER_FD, readable: true, writable: true });
  const running = new Set<number>();
  const end = () => {
    for (const pid of running) killGroup(pid);
    process.exit(0);
  };
  const report = (message: Report) => void engine.write(`${JSON.stringify(message)}\n`);
  engine.on("error", end);
  engine.on("end", end);
  readLines(
    engine,
    Run,
    (run) => {
      const { id } = run;
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
  { directories, together, limitMs, environment }: Run,
  began: (pid: number) => void,
  ended: (pid: number) => void,
): Promise<Result[]> {
  const scripts = directories
    .flatMap((directory) => scriptsIn(directory))
    .sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  const options = { limitMs, environment: { ...ENVIRONMENT, ...environment }, began, ended };
  if (together) return Promise.all(scripts.map((script) => runScript(script, options)));
  const done: Result[] = [];
  for (const script of scripts) done.push(await runScript(script, options));
  return done;
}

/** A message has room for the output of some scripts, not of all that a directory could hold. */
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

/** Files that whoever started the engine left open, and that it would hand on to every script. */
function closeStrangers(): void {
  for (const fd of readdirSync("/proc/self/fd")
    .map(Number)
    .filter((each) => each > RUNNER_FD)) {
    try {
      const [, flags = ""] =
        /^flags:\s*(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, "latin1")) ?? [];
      if ((Number.parseInt(flags, 8) & CLOSE_ON_EXEC) === 0) closeSync(fd);
    } catch {
      // It was the one that the directory was read by.
    }
  }
}

/** The engine goes before everybody else on the machine, and what it starts inherits that. */
function standBack(): void {
  for (const thread of readdirSync("/proc/self/task"))
    try {
      setPriority(Number(thread), 0);
    } catch {
      // It has ended, or a container does not let us.
    }
}
