/**
 * The options that every command takes: one table for reading, help and completion. They are read here and nowhere
 * else: before yargs is loaded, and among ifconfig words, where a single dash (`-g`, `-inet`) is no option.
 */

import { printable } from "../../control/printable.ts";
import { isRefusal, type Refusal, refuse } from "../outcome.ts";

export interface GlobalOptions {
  readonly runDir: string;
  readonly etcDir: string;
  readonly json: boolean;
  readonly help: boolean;
  readonly version: boolean;
}

interface GlobalOption {
  readonly name: string;
  readonly argument?: "DIR";
  readonly help: string;
  take(options: GlobalOptions, argument: string): GlobalOptions;
}

export const GLOBAL_OPTIONS: readonly GlobalOption[] = [
  {
    name: "run-dir",
    argument: "DIR",
    help: "where the engine's socket and state are (CARP_RUN_DIR; /run/carp)",
    take: (options, runDir) => ({ ...options, runDir }),
  },
  {
    name: "etc-dir",
    argument: "DIR",
    help: "where the configuration is (CARP_ETC_DIR; /etc)",
    take: (options, etcDir) => ({ ...options, etcDir }),
  },
  { name: "json", help: "print JSON", take: (options) => ({ ...options, json: true }) },
  { name: "help", help: "print help", take: (options) => ({ ...options, help: true }) },
  { name: "version", help: "print the version", take: (options) => ({ ...options, version: true }) },
];

export function defaultOptions(environment: NodeJS.ProcessEnv): GlobalOptions {
  return {
    runDir: environment.CARP_RUN_DIR || "/run/carp",
    etcDir: environment.CARP_ETC_DIR || "/etc",
    json: false,
    help: false,
    version: false,
  };
}

export interface OptionsAndWords {
  readonly options: GlobalOptions;
  readonly words: readonly string[];
}

/** Takes the options at the front of `words`, up to the first word that is not a long option or is `--`. */
export function takeGlobalOptions(start: GlobalOptions, words: readonly string[]): OptionsAndWords | Refusal {
  let options = start;
  let at = 0;
  for (; words[at]?.startsWith("--"); at++) {
    if (words[at] === "--") return { options, words: words.slice(at + 1) };
    const taken = takeGlobalOption(options, words, at);
    if (isRefusal(taken)) return taken;
    options = taken.options;
    at = taken.last;
  }
  return { options, words: words.slice(at) };
}

/**
 * Takes the options of every command from among the words of a verb, up to `--`. Other options are left to
 * the verb.
 */
export function takeScatteredOptions(
  start: GlobalOptions,
  words: readonly string[],
): OptionsAndWords | Refusal {
  const others: string[] = [];
  let options = start;
  let at = 0;
  for (; at < words.length && words[at] !== "--"; at++) {
    const word = words[at] ?? "";
    if (!isGlobalOption(word)) {
      others.push(word);
      continue;
    }
    const taken = takeGlobalOption(options, words, at);
    if (isRefusal(taken)) return taken;
    options = taken.options;
    at = taken.last;
  }
  return { options, words: [...others, ...words.slice(at)] };
}

/** `--NAME` or `--NAME=VALUE` of an option that every command takes. */
export function isGlobalOption(word: string): boolean {
  return GLOBAL_OPTIONS.some(({ name }) => word.split("=")[0] === `--${name}`);
}

/** Takes the long option at `words[at]`; `last` is the place of the last word it consists of. */
export function takeGlobalOption(
  options: GlobalOptions,
  words: readonly string[],
  at: number,
): { readonly options: GlobalOptions; readonly last: number } | Refusal {
  const word = words[at] ?? "";
  const [name, ...value] = word.slice(2).split("=");
  const option = GLOBAL_OPTIONS.find((each) => each.name === name);
  if (option === undefined) return refuse(`${printable(word)}: unknown option`);
  if (option.argument === undefined) {
    if (value.length > 0) return refuse(`--${option.name}: takes no value`);
    return { options: option.take(options, ""), last: at };
  }
  const last = value.length > 0 ? at : at + 1;
  const argument = value.length > 0 ? value.join("=") : words[last];
  if (argument === undefined || argument === "")
    return refuse(`--${option.name}: needs a value (${option.argument})`);
  return { options: option.take(options, argument), last };
}
