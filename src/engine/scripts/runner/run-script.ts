/**
 * Runs one script to its end or to its time limit, in a process group of its own, which is killed at the
 * limit. No output and no process of the script can keep this from ending.
 */

import { spawn } from "node:child_process";
import { MAX_OUTPUT_BYTES, type Result } from "./messages.ts";
import type { Script } from "./trusted-scripts.ts";

/** A script that writes more is killed: reading its output costs time. */
const FLOOD_BYTES = 1024 * 1024;
/**
 * The last output may arrive after the script's end; a process left behind may keep the pipe open for ever.
 */
const LAST_OUTPUT_MS = 200;
/** A process that sleeps in the kernel cannot be killed. */
const DYING_MS = 1000;

export interface ScriptOptions {
  readonly limitMs: number;
  /** The user that it is run as; undefined: this process's. */
  readonly as?: { readonly uid: number; readonly gid: number } | undefined;
  readonly environment: Readonly<NodeJS.ProcessEnv>;
  readonly began: (pid: number) => void;
  readonly ended: (pid: number) => void;
}

/** Scripts whose process did not go when it was killed, by file. */
const undying = new Set<string>();

export function runScript(script: Script, options: ScriptOptions): Promise<Result> {
  const { name, file, path, refusal } = script;
  const own = { name, path, file };
  if (refusal !== undefined) return Promise.resolve({ ...own, outcome: "refused", why: refusal, output: "" });
  const cannotBeRun = ({ code }: NodeJS.ErrnoException): Result => {
    return { ...own, outcome: "failed", why: `cannot be run (${code})`, output: "" };
  };
  // Each further one would stay as well.
  if (undying.has(file))
    return Promise.resolve({ ...own, outcome: "failed", why: "cannot be killed", output: "" });
  const beganMs = performance.now();
  return new Promise((resolve) => {
    const child = started(path, options);
    if (child instanceof Error) return resolve(cannotBeRun(child));
    const { pid } = child;
    // Without room for another descriptor it has no pipes either.
    if (pid === undefined) return void child.once("error", (error) => resolve(cannotBeRun(error)));
    options.began(pid);
    const output = new OutputHead();
    let killedFor: string | undefined;
    let written = 0;
    const end = (why: string) => {
      killedFor ??= why;
      killGroup(pid);
      setTimeout(() => {
        if (!finished) undying.add(file);
        finish(killedFor);
      }, DYING_MS).unref();
    };
    const limit = setTimeout(
      () => end(`did not end within ${options.limitMs / 1000} seconds`),
      options.limitMs,
    );
    let finished = false;
    const finish = (why: string | undefined) => {
      if (finished) return;
      finished = true;
      clearTimeout(limit);
      child.stdout.destroy();
      child.stderr.destroy();
      options.ended(pid);
      const outcome = why === undefined ? "passed" : "failed";
      const durationMs = Math.round(performance.now() - beganMs);
      resolve({ ...own, outcome, durationMs, ...(why === undefined ? {} : { why }), output: output.text });
    };
    for (const stream of [child.stdout, child.stderr]) {
      stream.on("error", () => {});
      stream.on("data", (bytes: Buffer) => {
        output.add(bytes);
        written += bytes.length;
        if (written > FLOOD_BYTES) {
          stream.pause();
          end(`wrote more than ${FLOOD_BYTES} bytes`);
        }
      });
    }
    child.once("exit", (code, signal) => {
      undying.delete(file);
      const why =
        killedFor ??
        (signal !== null ? `killed by ${signal}` : code !== 0 ? `exit status ${code}` : undefined);
      child.once("close", () => finish(why));
      setTimeout(() => finish(why), LAST_OUTPUT_MS);
    });
  });
}

/** The script's process; an error of some kinds is thrown, any other is an event of a process without a pid. */
function started(path: string, { environment, as }: ScriptOptions) {
  try {
    // Detached: a session and a process group of its own. Not execa, which waits for the pipes to close.
    return spawn(path, [], {
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
      env: environment,
      cwd: "/",
      // With a user it has that user's group and no other.
      ...as,
    });
  } catch (error) {
    return error as NodeJS.ErrnoException;
  }
}

export function killGroup(pid: number): void {
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // The group is empty.
  }
}

/** The first bytes of a script's output. */
class OutputHead {
  #bytes = Buffer.alloc(0);

  add(bytes: Buffer): void {
    const room = MAX_OUTPUT_BYTES - this.#bytes.length;
    if (room > 0) this.#bytes = Buffer.concat([this.#bytes, bytes.subarray(0, room)]);
  }

  get text(): string {
    return this.#bytes.toString("utf8");
  }
}
