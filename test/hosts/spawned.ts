/**
 * Starts processes that run beside a test: output as a log, end as a promise. Each is registered as a
 * resource, so that none outlives the test process.
 */

import { execa } from "execa";
import { Log } from "./log.ts";
import { childIsGone, ownChild } from "./resources.ts";

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface Spawned {
  readonly pid: number;
  readonly log: Log;
  /** Never rejects. */
  readonly exited: Promise<Exit>;
  kill(signal: NodeJS.Signals): void;
}

export interface SpawnOptions {
  /** The name in messages. */
  readonly name: string;
  readonly environment?: Readonly<Record<string, string>>;
  /** The output that the log holds. With `stderr`, `stdout` goes to `onOutput`. */
  readonly logOf?: "stdout" | "stderr" | "all";
  readonly onOutput?: (bytes: Buffer) => void;
}

/**
 * Starts a process. A wrapper must exec the program, so that `pid` and signals are those of the program
 * itself.
 */
export function spawn(command: string, words: readonly string[], options: SpawnOptions): Spawned {
  const { name, environment = {}, logOf = "all", onOutput } = options;
  const log = new Log(name);
  const child = execa(command, words, {
    env: environment,
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    buffer: false,
    reject: false,
    cleanup: false,
    forceKillAfterDelay: false,
  });
  const pid = child.pid;
  if (pid === undefined) throw new Error(`${name}: cannot start ${command}`);
  ownChild(pid);

  const toLog = (stream: "stdout" | "stderr") =>
    child[stream].setEncoding("utf8").on("data", (text: string) => log.append(text, stream));
  if (logOf !== "stderr") toLog("stdout");
  else if (onOutput) child.stdout.on("data", onOutput);
  else child.stdout.resume();
  if (logOf !== "stdout") toLog("stderr");
  else child.stderr.resume();

  const exited = child.then((result): Exit => {
    childIsGone(pid);
    log.end();
    return { code: result.exitCode ?? null, signal: (result.signal as NodeJS.Signals | undefined) ?? null };
  });
  return { pid, log, exited, kill: (signal) => void child.kill(signal) };
}
