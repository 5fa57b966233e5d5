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
export async function readVerb(words: readonly string[], start: GlobalOptions): Promise<Chosen | Outcome> {
  let chosen: Chosen | undefined;
  let result: Outcome = done();
  const choose = (verb: Verb, given: Arguments) => {
    chosen = { verb, given, options: withGlobals(start, given) };
  };
  const verb = VERBS.find((each) => each.names.includes(words[0] ?? ""));
  if (verb !== undefined && asksForHelp(words)) return done(verbHelp(verb));
  const usage = verb?.usage ?? "carpctl COMMAND";
  parser(choose).parse([...words], {}, (error) => {
    if (error) result = misused(usage, plainer(error.message, words));
  });
  return chosen !== undefined && result.kind === "done" ? chosen : result;
}

function asksForHelp(words: readonly string[]): boolean {
  const end = words.indexOf("--");
  return words.slice(0, end < 0 ? undefined : end).includes("--help");
}

export function verbHelp(verb: Verb): string {
  let help = "";
  const [name = ""] = verb.names;
  withHelp(parser(() => undefined)).parse([name, "--help"], {}, (_error, _given, output) => {
    help = output;
  });
  return `${help}\n`;
}

/** Commands and options; what comes below them is the caller's. */
export async function commandsHelp(epilogue: string): Promise<string> {
  return `${await withHelp(parser(() => undefined))
    .epilogue(epilogue)
    .getHelp()}\n`;
}

export interface VerbOption {
  readonly name: string;
  /** With its dashes. */
  readonly word: string;
  readonly help: string;
  readonly takesValue: boolean;
  readonly choices: readonly string[];
}

/** What a verb told yargs of its options and words; yargs knows, but has no types for it. */
interface Told {
  getOptions(): {
    readonly key: object;
    readonly hiddenOptions: readonly string[];
    readonly boolean: readonly string[];
    readonly choices: Readonly<Record<string, readonly string[] | undefined>>;
  };
  getInternalMethods(): {
    getUsageInstance(): { getDescriptions(): Readonly<Record<string, string | undefined>> };
  };
}

function toldBy(verb: Verb) {
  const told = verb.options(yargs([], "/").help(false).version(false)) as Argv & Told;
  return {
    ...told.getOptions(),
    descriptions: told.getInternalMethods().getUsageInstance().getDescriptions(),
  };
}

/** A verb's own options. */
export function optionsOf(verb: Verb): VerbOption[] {
  const { key, hiddenOptions, boolean, choices, descriptions } = toldBy(verb);
  const positionals = wordsOf(verb).map(({ name }) => name);
  return Object.keys(key)
    .filter((name) => !hiddenOptions.includes(name) && !positionals.includes(name))
    .map((name) => ({
      name,
      word: name.length === 1 ? `-${name}` : `--${name}`,
      help: descriptions[name] ?? "",
      takesValue: !boolean.includes(name),
      choices: choices[name] ?? [],
    }));
}

export interface VerbWord {
  readonly name: string;
  readonly help: string;
  readonly choices: readonly string[];
  /** Any number of it may follow. */
  readonly repeats: boolean;
}

/** The words that a verb takes, in their order. */
export function positionalsOf(verb: Verb): VerbWord[] {
  const { choices, descriptions } = toldBy(verb);
  return wordsOf(verb).map(({ name, repeats }) => ({
    name,
    repeats,
    help: descriptions[name] ?? "",
    choices: choices[name] ?? [],
  }));
}

function wordsOf({ words = "" }: Verb): { readonly name: string; readonly repeats: boolean }[] {
  return [...words.matchAll(/[<[]([\w-]+)(\.\.)?[>\]]/g)].map(([, name = "", repeats]) => ({
    name,
    repeats: repeats !== undefined,
  }));
}

/**
 * Without the option for help: yargs would take the word `help` at the end of any command line for it. It is read by
 * hand.
 */
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
    .help(false)
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

function withHelp(of: Argv): Argv {
  return of.help("help", GLOBAL_OPTIONS.find(({ name }) => name === "help")?.help ?? "");
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
function plainer(message: string, words: readonly string[]): string {
  const line = message.trim().replace(/\s*\n\s*/g, " ");
  return line
    .replace(/^Unknown (?:argument|command)s?: (.*)$/s, (_, unknown: string) => {
      const option = words.find((word) => /^--?([^=]+)/.exec(word)?.[1] === unknown);
      return option === undefined
        ? `${shown(unknown)}: unknown argument`
        : `${shown(option)}: unknown option`;
    })
    .replace(/^Not enough non-option arguments: .*$/s, "a word is missing")
    .replace(/^Not enough arguments following: (.)$/s, "-$1: needs a value")
    .replace(/^Not enough arguments following: (.*)$/s, "--$1: needs a value")
    .replace(
      /^Invalid values: Argument: (.*), Given: "(.*)", Choices: (.*)$/s,
      (_, name: string, given: string, choices: string) => `${name} ${shown(given)}: must be ${choices}`,
    );
}

function withGlobals(start: GlobalOptions, given: Arguments): GlobalOptions {
  return GLOBAL_OPTIONS.reduce((options, option) => {
    const values = [given[option.name]].flat();
    const value: unknown = values.at(-1);
    return value === undefined || value === false ? options : option.take(options, String(value));
  }, start);
}
