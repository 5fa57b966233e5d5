/**
 * From the words of a command line to its exit status: which command is meant, and what becomes of its outcome. The
 * only place that prints.
 */

import { ControlError } from "../control/client.ts";
import { escaped } from "../control/shown.ts";
import { defaultOptions, type GlobalOptions, takeGlobalOptions } from "./globals.ts";
import { done, isRefusal, misused, type Outcome, refused } from "./outcome.ts";
import { settingOf } from "./setting.ts";
import { VERB_NAMES } from "./verbs.ts";

/** Names that a link to this program may have, and the verb each stands for; ifconfig needs none. */
const VERB_OF_NAME: Readonly<Record<string, string | undefined>> = {
  ifconfig: undefined,
  carpd: "engine",
  sysctl: "sysctl",
};

const USAGE = "carpctl [OPTIONS] [INTERFACE [PARAMETERS...]]";

export interface Invocation {
  /** The name that this program was called by. */
  readonly name: string;
  readonly words: readonly string[];
  readonly environment: NodeJS.ProcessEnv;
  readonly version: string;
}

/** The exit status: 0, 1 when it was refused, 2 when the words make no command. */
export async function runProgram(invocation: Invocation): Promise<number> {
  return report(await outcomeOf(invocation), invocation.name in VERB_OF_NAME ? invocation.name : "carpctl");
}

async function outcomeOf(invocation: Invocation): Promise<Outcome> {
  try {
    return await run(invocation);
  } catch (error) {
    if (error instanceof ControlError) return refused(error.message);
    throw error;
  }
}

async function run(invocation: Invocation): Promise<Outcome> {
  const { name, environment, version } = invocation;
  const taken = takeGlobalOptions(defaultOptions(environment), invocation.words);
  if (isRefusal(taken)) return misused(USAGE, taken.refusal);
  const { options } = taken;
  const verb = VERB_OF_NAME[name];
  const words = verb === undefined ? taken.words : [verb, ...taken.words];
  if (options.version) return versionText(version);
  const namesVerb = verb !== undefined || (name !== "ifconfig" && VERB_NAMES.includes(words[0] ?? ""));
  if (namesVerb) return runVerb(options.help ? [...words, "--help"] : words, options, invocation);
  return options.help ? help() : runIfconfig(words, options, invocation);
}

async function runVerb(
  words: readonly string[],
  start: GlobalOptions,
  { environment, version }: Invocation,
): Promise<Outcome> {
  const { readVerb } = await import("./arguments.ts");
  const chosen = readVerb(words, start);
  if ("kind" in chosen) return chosen;
  const { verb, given, options } = chosen;
  return options.version ? versionText(version) : verb.run(given, settingOf(options, environment));
}

async function runIfconfig(
  words: readonly string[],
  start: GlobalOptions,
  { environment, version }: Invocation,
): Promise<Outcome> {
  const { readForm } = await import("./ifconfig/forms.ts");
  const read = await readForm(words, start);
  if (isRefusal(read)) return refused(read.refusal);
  const { form, options } = read;
  if (options.help) return help();
  if (options.version) return versionText(version);
  const { runForm } = await import("./ifconfig/command.ts");
  return runForm(form, settingOf(options, environment));
}

async function help(): Promise<Outcome> {
  return done(await (await import("./arguments.ts")).wholeHelp());
}

function versionText(version: string): Outcome {
  return done(`carpctl ${version}\n`);
}

function report(outcome: Outcome, name: string): number {
  switch (outcome.kind) {
    case "done":
      for (const warning of outcome.warnings ?? []) complain(name, `warning: ${warning}`);
      if (outcome.output !== "") process.stdout.write(outcome.output);
      return 0;
    case "exited":
      return process.exit(outcome.status);
    case "refused":
      complain(name, outcome.message);
      return 1;
    case "misused":
      if (outcome.message !== undefined) complain(name, outcome.message);
      process.stderr.write(`usage: ${calledAs(name, outcome.usage)}\n`);
      return 2;
  }
}

/** One line, whatever the words were. */
function complain(name: string, message: string): void {
  process.stderr.write(`${name}: ${escaped(message)}\n`);
}

function calledAs(name: string, usage: string): string {
  const verb = VERB_OF_NAME[name];
  return usage.replace(verb === undefined ? /^carpctl/ : `carpctl ${verb}`, name);
}
