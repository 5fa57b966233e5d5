/** Verbs, their options and the help text through yargs. Reads and words; runs nothing and prints nothing. */

import yargs, { type Argv } from "yargs";
import { shown } from "../control/shown.ts";
import { GLOBAL_OPTIONS, type GlobalOptions } from "./globals.ts";
import { done, misused, type Outcome } from "./outcome.ts";
import { type Arguments, VERBS, type Verb } from "./verbs.ts";

export interface Chosen {
  readonly verb: Verb;
  readonly given: Arguments;
  readonly options: GlobalOptions;
}

/** The verb that `words` begin with, or the outcome when they ask for help or make no sense. */
export function readVerb(words: readonly string[], start: GlobalOptions): Chosen | Outcome {
  let chosen: Chosen | undefined;
  let result: Outcome = done();
  const choose = (verb: Verb, given: Arguments) => {
    chosen = { verb, given, options: withGlobals(start, given) };
  };
  const verb = VERBS.find((each) => each.names.includes(words[0] ?? ""));
  const usage = verb?.usage ?? "carpctl COMMAND";
  parser(choose).parse([...words], {}, (error, _given, output) => {
    if (error) result = misused(usage, plainer(error.message));
    else if (output !== "") result = done(`${output}\n`);
  });
  return chosen !== undefined && result.kind === "done" ? chosen : result;
}

export async function wholeHelp(): Promise<string> {
  const { parametersHelp } = await import("./ifconfig/help.ts");
  return `${await parser(() => undefined)
    .epilogue(parametersHelp())
    .getHelp()}\n`;
}

function parser(choose: (verb: Verb, given: Arguments) => void): Argv {
  // A directory that no longer exists has no name to ask for: yargs is told one.
  const start = yargs([], "/")
    .scriptName("carpctl")
    .locale("en")
    .usage("usage: carpctl [OPTIONS] [INTERFACE [PARAMETERS...] | COMMAND]")
    .parserConfiguration({
      "boolean-negation": false,
      "camel-case-expansion": false,
      "dot-notation": false,
      "parse-numbers": false,
      "parse-positional-numbers": false,
    })
    .exitProcess(false)
    .strict()
    .version(false)
    .help("help", optionHelp("help"))
    .wrap(80);
  const withOptions = GLOBAL_OPTIONS.filter(({ name }) => name !== "help").reduce<Argv>(
    (rest, { name, argument, help }) =>
      rest.option(name, {
        describe: help,
        ...(argument ? { type: "string", requiresArg: true } : { type: "boolean" }),
      }),
    start,
  );
  return VERBS.reduce((rest, verb) => withVerb(rest, verb, choose), withOptions);
}

function withVerb(rest: Argv, verb: Verb, choose: (verb: Verb, given: Arguments) => void): Argv {
  const [name = "", ...aliases] = verb.names;
  const command = verb.words === undefined ? name : `${name} ${verb.words}`;
  return rest.command(
    [command, ...aliases],
    verb.help,
    (builder) => verb.options(builder.usage(`usage: ${verb.usage}\n\n${verb.help}`)),
    (given) => choose(verb, given),
  );
}

/** yargs' complaints as one line in the form of all others: the word, then what is wrong with it. */
function plainer(message: string): string {
  const line = message.trim().replace(/\s*\n\s*/g, " ");
  return line
    .replace(
      /^Unknown (?:argument|command)s?: (.*)$/s,
      (_, words: string) => `${shown(words)}: unknown argument`,
    )
    .replace(/^Not enough non-option arguments: .*$/s, "a word is missing")
    .replace(/^Not enough arguments following: (.*)$/s, "--$1: needs a value")
    .replace(/^Invalid values: Argument: (.*), Given: "(.*)", Choices: (.*)$/s, "$1 $2: must be $3");
}

function optionHelp(wanted: string): string {
  return GLOBAL_OPTIONS.find(({ name }) => name === wanted)?.help ?? "";
}

function withGlobals(start: GlobalOptions, given: Arguments): GlobalOptions {
  return GLOBAL_OPTIONS.reduce((options, option) => {
    const values = [given[option.name]].flat();
    const value: unknown = values.at(-1);
    return value === undefined || value === false ? options : option.take(options, String(value));
  }, start);
}
