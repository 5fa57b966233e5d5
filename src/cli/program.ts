/**
 * From the words of a command line to its exit status: which command is meant, and what becomes of its outcome. The
 * only place that prints what a command came to; one that goes on prints by itself meanwhile.
 */

import { existsSync } from "node:fs";
import { ControlError, connect } from "../control/client.ts";
import { escaped } from "../control/shown.ts";
import { defaultOptions, type GlobalOptions, takeGlobalOptions } from "./globals.ts";
import { runSystemProgram, systemProgram } from "./handover.ts";
import { NAMES, type Part } from "./names.ts";
import { done, isRefusal, misused, type Outcome, refused } from "./outcome.ts";
import { settingOf } from "./setting.ts";
import { VERB_NAMES } from "./verbs.ts";

const USAGE = "carpctl [OPTIONS] [INTERFACE [PARAMETERS...]]";

export interface Invocation {
  /** The name that this program was called by. */
  readonly name: string;
  readonly words: readonly string[];
  readonly environment: NodeJS.ProcessEnv;
  readonly version: string;
  /** Whether somebody still has the other end of the pipe or socket that we write to. */
  readonly outputIsRead: () => Promise<boolean>;
}

/** The exit status: 0, 1 when it was refused, 2 when the words make no command; or that of the system's program. */
export async function runProgram(invocation: Invocation): Promise<number> {
  const { name, environment } = invocation;
  const program = NAMES.get(name)?.parts && systemProgram(name, environment);
  const parts = program ? await partsOf(invocation) : [{ whose: "ours", words: invocation.words } as const];
  for (const part of parts) {
    const status =
      program && part.whose === "theirs"
        ? await runSystemProgram(program, part.words, environment)
        : await runOurs(part, invocation);
    if (status !== 0) return status;
  }
  return 0;
}

/** Which of the words are the system's. */
async function partsOf({ name, words, environment }: Invocation): Promise<readonly Part[]> {
  const { runDir } = defaultOptions(environment);
  const known = {
    device: (device: string) => !device.includes("/") && existsSync(`/sys/class/net/${device}`),
    group: async (group: string) => {
      const engine = await connect(runDir).catch(() => undefined);
      const groups = await engine?.call("groups", {}).catch(() => undefined);
      engine?.close();
      return groups?.some((each) => each.name === group) ?? false;
    },
  };
  return (await NAMES.get(name)?.parts?.(words, known)) ?? [];
}

async function runOurs({ words, optional }: Part, invocation: Invocation): Promise<number> {
  const outcome = await outcomeOf({ ...invocation, words });
  if (optional && outcome.kind === "refused") return 0;
  const { stdout, stderr, status } = reportOf(outcome, shownName(invocation.name));
  if (stderr !== "") process.stderr.write(stderr);
  if (stdout !== "") process.stdout.write(stdout);
  return outcome.kind === "exited" ? process.exit(status) : status;
}

function shownName(name: string): string {
  return NAMES.has(name) ? name : "carpctl";
}

export async function outcomeOf(invocation: Invocation): Promise<Outcome> {
  try {
    return await run(invocation);
  } catch (error) {
    if (error instanceof ControlError) return refused(error.message);
    throw error;
  }
}

async function run(invocation: Invocation): Promise<Outcome> {
  const { name, environment } = invocation;
  // What a link hides has its own completion.
  if (invocation.words[0] === "complete" && !NAMES.get(name)?.parts) return completions(invocation);
  const { refusal, verb } = NAMES.get(name) ?? {};
  if (refusal !== undefined) return refused(refusal);
  // A verb's own options come first behind the name that stands for it.
  if (verb !== undefined)
    return runVerb([verb, ...invocation.words], defaultOptions(environment), invocation);
  const taken = takeGlobalOptions(defaultOptions(environment), invocation.words);
  if (isRefusal(taken)) return misused(USAGE, taken.refusal);
  const { options, words } = taken;
  if (options.version) return versionText(invocation.version);
  const namesVerb = name !== "ifconfig" && VERB_NAMES.includes(words[0] ?? "");
  if (namesVerb) return runVerb(options.help ? [...words, "--help"] : words, options, invocation);
  return options.help ? ifconfigHelp(name) : runIfconfig(words, options, invocation);
}

/** For the shells, and so hidden: it has no use but theirs, and says nothing when something is wrong. */
async function completions({ name, words, environment }: Invocation): Promise<Outcome> {
  const { complete } = await import("./completion/complete.ts");
  const verb = NAMES.get(name)?.verb;
  const line = [...(verb === undefined ? [] : [verb]), ...words.slice(1)];
  return done(await complete(line, defaultOptions(environment)).catch(() => ""));
}

async function runVerb(
  words: readonly string[],
  start: GlobalOptions,
  invocation: Invocation,
): Promise<Outcome> {
  const { name, version } = invocation;
  const { readVerb } = await import("./arguments.ts");
  const chosen = await readVerb(words, start);
  if ("kind" in chosen)
    return chosen.kind === "done"
      ? done(chosen.output.replace(/(?<=^usage: ).*/, (usage) => calledAs(shownName(name), usage)))
      : chosen;
  const { verb, given, options } = chosen;
  return options.version ? versionText(version) : verb.run(given, settingOf(options, invocation));
}

async function runIfconfig(
  words: readonly string[],
  start: GlobalOptions,
  invocation: Invocation,
): Promise<Outcome> {
  const { name, version } = invocation;
  const { readForm } = await import("./ifconfig/forms.ts");
  const read = await readForm(words, start);
  if (isRefusal(read)) return refused(read.refusal);
  const { form, options } = read;
  if (options.help) return ifconfigHelp(name);
  if (options.version) return versionText(version);
  const { runForm } = await import("./ifconfig/command.ts");
  return runForm(form, settingOf(options, invocation));
}

/** `carpctl --help` tells of everything, `ifconfig --help` of what goes by that name. */
async function ifconfigHelp(name: string): Promise<Outcome> {
  const { helpOn } = await import("./help.ts");
  return helpOn(name === "ifconfig" ? name : undefined);
}

function versionText(version: string): Outcome {
  return done(`carpctl ${version}\n`);
}

export interface Report {
  readonly stdout: string;
  readonly stderr: string;
  readonly status: number;
}

export function reportOf(outcome: Outcome, name: string): Report {
  switch (outcome.kind) {
    case "done": {
      const warnings = (outcome.warnings ?? []).map((warning) => complaint(name, `warning: ${warning}`));
      return { stdout: outcome.output, stderr: warnings.join(""), status: 0 };
    }
    case "failed":
      return { stdout: outcome.output, stderr: "", status: 1 };
    case "exited":
      return { stdout: "", stderr: "", status: outcome.status };
    case "refused":
      return { stdout: "", stderr: complaint(name, outcome.message), status: 1 };
    case "misused": {
      const { message, usage } = outcome;
      const why = message === undefined ? "" : complaint(name, message);
      return { stdout: "", stderr: `${why}usage: ${calledAs(name, usage)}\n`, status: 2 };
    }
  }
}

/** One line, whatever the words were. */
function complaint(name: string, message: string): string {
  return `${name}: ${escaped(message)}\n`;
}

function calledAs(name: string, usage: string): string {
  const verb = NAMES.get(name)?.verb;
  return usage.replace(verb === undefined ? /^carpctl/ : `carpctl ${verb}`, name);
}
