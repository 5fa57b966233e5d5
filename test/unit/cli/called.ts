/** carpctl as the tests of the commands call it: by its code in this process, or as a program of its own. */

import { spawn } from "node:child_process";
import { join } from "node:path";
import { command } from "../../hosts/command.ts";

export const MAIN = join(import.meta.dirname, "../../../src/main.ts");

export interface Result {
  readonly status: number | null;
  readonly out: string;
  readonly err: string;
}

/** Only the part of this process's environment that spares the command some compiling. */
const { NODE_COMPILE_CACHE } = process.env;
const NOWHERE = { CARP_RUN_DIR: "/nonexistent/run", NODE_COMPILE_CACHE };

/** Quick, and all but the printing itself. */
export async function called(words: readonly string[], environment: NodeJS.ProcessEnv = {}): Promise<Result> {
  const { stdout, stderr, exitCode } = await command(words, { ...NOWHERE, ...environment });
  return { status: exitCode, out: stdout, err: stderr };
}

/** The program as it is started. */
export function started(words: readonly string[], environment: NodeJS.ProcessEnv = {}): Promise<Result> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [MAIN, ...words], { env: { ...NOWHERE, ...environment } });
    let out = "";
    let err = "";
    child.stdout.on("data", (chunk) => (out += chunk));
    child.stderr.on("data", (chunk) => (err += chunk));
    child.on("close", (status) => resolve({ status, out, err }));
  });
}
