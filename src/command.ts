/**
 * The entry of every command but the engine, and of the single executable: runs what bin/precompile.ts made of
 * cli/quick, and loads main.ts for all that it leaves. Node's compile cache would be each user's own; this one is read
 * and never written. The single executable has its files in itself.
 */

import { readFileSync, writeSync } from "node:fs";
import { basename, join } from "node:path";
import { getRawAsset, isSea } from "node:sea";
import { Script } from "node:vm";
import type { quickOutput } from "./cli/quick/show.ts";
import { tellWriteErrors } from "./cli/write-errors.ts";

/** Verbs compiled in advance, besides the display of interfaces. */
const QUICK_VERBS = ["status", "netstart"] as const;
/** Words with which main.ts stays: they need nothing of cli/quick. */
const LASTING = ["engine", "runner"];

/**
 * Variables that would make Node or its libraries write files, read a channel, print, or load what they name. The
 * launcher of the tree removes them and others, which the single executable does not obey.
 */
const OBEYED =
  /^(NODE_(CHANNEL_FD|COMPILE_CACHE|DEBUG(_NATIVE)?|ICU_DATA|REDIRECT_WARNINGS|UNIQUE_ID|V8_COVERAGE)|OPENSSL_.*|UV_.*)$/;

const isExecutable = isSea();

if (isExecutable) removeObeyed();
void run();

/** Begins again without those variables: Node has read some of them by now. */
function removeObeyed(): void {
  const kept = Object.entries(process.env).filter(([name]) => !OBEYED.test(name));
  if (kept.length < Object.keys(process.env).length)
    process.execve?.(process.execPath, process.argv.slice(1), Object.fromEntries(kept) as NodeJS.ProcessEnv);
}

async function run(): Promise<void> {
  const words = process.argv.slice(2);
  const name = QUICK_VERBS.find((verb) => words.includes(verb)) ?? "show";
  // Behind the name of a system program some words are that program's.
  const isOurs = basename(process.env.CARPCTL_ARGV0 || process.argv[1] || "") === "carpctl";
  const isQuick = isOurs && !words.some((word) => LASTING.includes(word));
  const code = isQuick
    ? precompiled<{ readonly quickOutput: typeof quickOutput }>(`quick-${name}`)
    : undefined;
  const output = await code?.(require, { exports: {} }).quickOutput(words, process.env);
  if (output === undefined) await runMain();
  // Taking the runtime apart takes longer than what was done in it; but standard error may not have taken all yet.
  else if (isTaken(output) && name !== "netstart") process.exit();
}

async function runMain(): Promise<void> {
  if (isExecutable) precompiled("main")?.(require, { exports: {} });
  else await import("./main.js");
}

/** A CommonJS module as a function. */
type Load<Exports> = (required: NodeJS.Require, module: { readonly exports: object }) => Exports;

/** The code, from a file that holds the length of its source, the source and what V8 compiled from it. */
function precompiled<Exports>(name: string): Load<Exports> | undefined {
  try {
    const file = isExecutable ? asset(name) : readFileSync(join(__dirname, name));
    const start = file.indexOf("\n") + 1;
    const end = start + Number(file.toString("latin1", 0, start));
    const code = new Script(file.toString("latin1", start, end), {
      filename: name,
      cachedData: file.subarray(end),
    });
    return code.runInThisContext();
  } catch {
    return undefined;
  }
}

function asset(name: string): Buffer {
  return Buffer.from(getRawAsset(name) as ArrayBuffer);
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
