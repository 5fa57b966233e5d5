/**
 * The entry of every command but the engine: runs what bin/precompile.ts made of cli/quick, and loads main.ts
 * for all that it leaves. Node's compile cache would be each user's own; this one is read and never written.
 */

import { readFileSync, writeSync } from "node:fs";
import { basename, join } from "node:path";
import { Script } from "node:vm";
import type { quickOutput } from "./cli/quick/show.ts";
import { tellWriteErrors } from "./cli/write-errors.ts";

/** Verbs compiled in advance, besides the display of interfaces. */
const QUICK_VERBS = ["status", "netstart"] as const;

void run();

async function run(): Promise<void> {
  const words = process.argv.slice(2);
  const name = QUICK_VERBS.find((verb) => words.includes(verb)) ?? "show";
  // Behind the name of a system program some words are that program's.
  const isOurs = basename(process.env.CARPCTL_ARGV0 || process.argv[1] || "") === "carpctl";
  const code = isOurs ? precompiled(name) : undefined;
  const output = await code?.(require, { exports: {} }).quickOutput(words, process.env);
  if (output === undefined) await import("./main.js");
  // Taking the runtime apart takes longer than what was done in it; but standard error may not have taken all yet.
  else if (isTaken(output) && name !== "netstart") process.exit();
}

/** A CommonJS module as a function. */
type Load = (
  required: NodeJS.Require,
  module: { readonly exports: object },
) => { readonly quickOutput: typeof quickOutput };

/** The code, from a file that holds the length of its source, the source and what V8 compiled from it. */
function precompiled(name: string): Load | undefined {
  try {
    const file = readFileSync(join(__dirname, `quick-${name}`));
    const start = file.indexOf("\n") + 1;
    const end = start + Number(file.toString("latin1", 0, start));
    const code = new Script(file.toString("latin1", start, end), {
      filename: `quick-${name}`,
      cachedData: file.subarray(end),
    });
    return code.runInThisContext();
  } catch {
    return undefined;
  }
}

/** Writes the output. @returns whether all of it is out; if not, the stream writes the rest, or says why it cannot */
function isTaken(output: string): boolean {
  let rest = Buffer.from(output);
  try {
    while (rest.length > 0) rest = rest.subarray(writeSync(1, rest));
    return true;
  } catch {
    tellWriteErrors();
    process.stdout.write(rest);
    return false;
  }
}
