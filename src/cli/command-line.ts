/**
 * From the words of a command line to its exit status: chooses the command and prints its outcome. The only
 * place that prints an outcome; a long-running command prints by itself.
 */

import { ControlError } from "../control/client.ts";
import { escapeControls } from "../control/printable.ts";
import { commandContext } from "./context.ts";
import { connectToEngine } from "./engine-connection.ts";
import { defaultOptions, type GlobalOptions, takeGlobalOptions } from "./grammar/options.ts";
import { NAMES, type Part } from "./grammar/program-names.ts";
import { VERB_NAMES, VERBS } from "./grammar/verbs.ts";
import { hasDevice } from "./network-device.ts";
import { done, isRefusal, misused, type Outcome, refused } from "./outcome.ts";
import { runSystemProgram, systemProgram } from "./system-program.ts";

const USAGE = "carpctl [OPTIONS] [INTERFACE [PARAMETERS...]]";

export interface Invocation {
  /** The name by which this program was called. */
  readonly name: string;
  readonly words: readonly string[];
  readonly environment: NodeJS.ProcessEnv;
  readonly version: string;
  /** Whether the pipe or socket of standard output still has a reader. */
  readonly outputIsRead: () => Promise<boolean>;
}

/**
 * @returns 0; 1 when the command was refused; 2 when the words are not a command; or the system program's
 * status
 */
export async function runCommandLine(invocation: Invocation): Promise<number> {
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

/** Divides the words into those for this program and those for the system's. */
async function partsOf({ name, words, environment }: Invocation): Promise<readonly Part[]> {
  const { runDir } = defaultOptions(environment);
  const known = {
    device: hasDevice,
    group: async (group: string) => {
      const engine = await connectToEngine(runDir).catch(() => undefined);
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
  const { stdout, stderr, status } = resultOf(outcome, shownName(invocation.name));
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
  // A system program behind a link has its own completion.
  if (invocation.words[0] === "complete" && !NAMES.get(name)?.parts) return completions(invocation);
  const { verb } = NAMES.get(name) ?? {};
  // A verb's own options come first behind the name that stands for it.
  if (verb !== undefined) return runVerb(verb, invocation.words, defaultOptions(environment), invocation);
  const taken = takeGlobalOptions(defaultOptions(environment), invocation.words);
  if (isRefusal(taken)) return misused(USAGE, taken.refusal);
  const { options, words } = taken;
  if (options.version) return versionText(invocation.version);
  const [first = "", ...others] = words;
  if (name !== "ifconfig" && VERB_NAMES.includes(first)) return runVerb(first, others, options, invocation);
  return options.help ? ifconfigHelp(name) : runIfconfig(words, options, invocation);
}

/** The hidden command `complete`, for the shells. It prints nothing when something is wrong. */
async function completions({ name, words, environment }: Invocation): Promise<Outcome> {
  const { complete } = await import("./completion/complete.ts");
  const verb = NAMES.get(name)?.verb;
  const line = [...(verb === undefined ? [] : [verb]), ...words.slice(1)];
  return done(await complete(line, defaultOptions(environment)).catch(() => ""));
}

async function runVerb(
  verbName: string,
  words: readonly string[],
  start: GlobalOptions,
  invocation: Invocation,
): Promise<Outcome> {
  const { name, version } = invocation;
  const { readVerb } = await import("./grammar/verb-parser.ts");
  const named = VERBS.find(({ names }) => names.includes(verbName));
  if (named === undefined) throw new Error(`${verbName}: not a verb`);
  const chosen = await readVerb(named, words, start);
  if ("kind" in chosen)
    return chosen.kind === "done"
      ? done(chosen.output.replace(/(?<=^usage: ).*/, (usage) => calledAs(shownName(name), usage)))
      : chosen;
  const { verb, given, options } = chosen;
  return options.version ? versionText(version) : verb.run(given, commandContext(options, invocation));
}

async function runIfconfig(
  words: readonly string[],
  start: GlobalOptions,
  invocation: Invocation,
): Promise<Outcome> {
  const { name, version } = invocation;
  const { readForm } = await import("./grammar/ifconfig/forms.ts");
  const read = await readForm(words, start);
  if (isRefusal(read)) return refused(read.refusal);
  const { form, options } = read;
  if (options.help) return ifconfigHelp(name);
  if (options.version) return versionText(version);
  const { runForm } = await import("./commands/ifconfig.ts");
  return runForm(form, commandContext(options, invocation));
}

/** `carpctl --help` lists every command, `ifconfig --help` the interface parameters. */
async function ifconfigHelp(name: string): Promise<Outcome> {
  const { helpOn } = await import("./commands/help.ts");
  return helpOn(name === "ifconfig" ? name : undefined);
}

function versionText(version: string): Outcome {
  return done(`carpctl ${version}\n`);
}

export interface ProgramResult {
  readonly stdout: string;
  readonly stderr: string;
  readonly status: number;
}

export function resultOf(outcome: Outcome, name: string): ProgramResult {
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

/** A message as one line. */
function complaint(name: string, message: string): string {
  return `${name}: ${escapeControls(message)}\n`;
}

function calledAs(name: string, usage: string): string {
  const verb = NAMES.get(name)?.verb;
  return usage.replace(verb === undefined ? /^carpctl/ : `carpctl ${verb}`, name);
}
