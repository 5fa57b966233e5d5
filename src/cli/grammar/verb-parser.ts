/**
 * Verbs, their own options and their help through yargs. Options that every command takes are read before, in
 * options.ts. Nothing is run or printed here.
 */

import yargs, { type Argv } from "yargs";
import { printable } from "../../control/printable.ts";
import { done, isRefusal, misused, type Outcome } from "../outcome.ts";
import { GLOBAL_OPTIONS, type GlobalOptions, takeScatteredOptions } from "./options.ts";
import { type Arguments, VERBS, type Verb } from "./verbs.ts";

export interface Chosen {
  readonly verb: Verb;
  readonly given: Arguments;
  readonly options: GlobalOptions;
}

/** Reads the words behind a verb. @returns an outcome when they ask for help or make no sense */
export async function readVerb(
  verb: Verb,
  words: readonly string[],
  start: GlobalOptions,
): Promise<Chosen | Outcome> {
  const taken = takeScatteredOptions(start, words);
  if (isRefusal(taken)) return misused(verb.usage, taken.refusal);
  const { options } = taken;
  if (options.help) return done(verbHelp(verb));
  let given: Arguments | undefined;
  let complaint: string | undefined;
  const parser = verbParser((_, all) => {
    given = all;
  });
  const [name = ""] = verb.names;
  parser.parse([name, ...detached(taken.words, verb)], {}, (error) => {
    if (error) complaint = plainer(error.message, words);
  });
  if (complaint !== undefined) return misused(verb.usage, complaint);
  return given === undefined ? done() : { verb, given, options };
}

/** `-ffile` as two words, for options that may be written so. */
function detached(words: readonly string[], { attached }: Verb): string[] {
  if (attached === undefined) return [...words];
  const form = new RegExp(`^(-[A-Za-z]*?[${attached}])(.+)$`, "s");
  return words.flatMap((word) => form.exec(word)?.slice(1) ?? [word]);
}

export function verbHelp(verb: Verb): string {
  let help = "";
  const [name = ""] = verb.names;
  withGlobalOptions(verbParser(() => undefined)).parse([name, "--help"], {}, (_error, _given, output) => {
    help = output;
  });
  return `${help}\n`;
}

/** Commands and options; what comes below them is the caller's. */
export async function commandsHelp(epilogue: string): Promise<string> {
  return `${await withGlobalOptions(verbParser(() => undefined))
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

/** yargs' record of a verb's options and words, for which it has no types. */
interface Declared {
  getOptions(): {
    readonly key: object;
    readonly hiddenOptions: readonly string[];
    readonly boolean: readonly string[];
    readonly count: readonly string[];
    readonly choices: Readonly<Record<string, readonly string[] | undefined>>;
  };
  getInternalMethods(): {
    getUsageInstance(): { getDescriptions(): Readonly<Record<string, string | undefined>> };
  };
}

function declaredBy(verb: Verb) {
  const declared = verb.options(yargs([], "/").help(false).version(false)) as Argv & Declared;
  return {
    ...declared.getOptions(),
    descriptions: declared.getInternalMethods().getUsageInstance().getDescriptions(),
  };
}

/** A verb's own options. */
export function optionsOf(verb: Verb): VerbOption[] {
  const { key, hiddenOptions, boolean, count, choices, descriptions } = declaredBy(verb);
  const positionals = wordsOf(verb).map(({ name }) => name);
  return Object.keys(key)
    .filter((name) => !hiddenOptions.includes(name) && !positionals.includes(name))
    .map((name) => ({
      name,
      word: name.length === 1 ? `-${name}` : `--${name}`,
      help: descriptions[name] ?? "",
      takesValue: !boolean.includes(name) && !count.includes(name),
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
  const { choices, descriptions } = declaredBy(verb);
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

/** The verbs with their own options alone: what every command takes has been read before. */
function verbParser(choose: (verb: Verb, given: Arguments) => void): Argv {
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
  return VERBS.reduce((rest, verb) => withVerb(rest, verb, choose), start);
}

/** For help, which lists the options that every command takes. */
function withGlobalOptions(parser: Argv): Argv {
  const withOthers = GLOBAL_OPTIONS.filter(({ name }) => name !== "help").reduce<Argv>(
    (rest, { name, argument, help }) =>
      rest.option(name, { describe: help, type: argument === undefined ? "boolean" : "string" }),
    parser,
  );
  return withOthers.help("help", GLOBAL_OPTIONS.find(({ name }) => name === "help")?.help ?? "");
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
        ? `${printable(unknown)}: unknown argument`
        : `${printable(option)}: unknown option`;
    })
    .replace(/^Not enough non-option arguments: .*$/s, "a word is missing")
    .replace(/^Not enough arguments following: (.)$/s, "-$1: needs a value")
    .replace(/^Not enough arguments following: (.*)$/s, "--$1: needs a value")
    .replace(
      /^Invalid values: Argument: (.*), Given: "(.*)", Choices: (.*)$/s,
      (_, name: string, given: string, choices: string) => `${name} ${printable(given)}: must be ${choices}`,
    );
}
