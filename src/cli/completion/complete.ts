/**
 * Command-line completion: `carpctl complete WORD...` gets the words behind the program's name up to the one
 * being typed, and prints a line for each candidate: the word, a tab, its meaning; or `:files`, `:named-files`
 * (NAME=FILE), `:directories`, `:hosts` for the shell to complete. Reads the tables that parse commands; never complains.
 */

import { INTERFACE_NAME } from "../../control/limits.ts";
import { KEYWORDS, type Keyword, keywordOf } from "../grammar/ifconfig/keywords.ts";
import {
  GLOBAL_OPTIONS,
  type GlobalOptions,
  isGlobalOption,
  takeScatteredOptions,
} from "../grammar/options.ts";
import { optionsOf, positionalsOf, type VerbOption } from "../grammar/verb-parser.ts";
import { VERBS, type Verb } from "../grammar/verbs.ts";
import { hasDevice } from "../network-device.ts";
import { isRefusal } from "../outcome.ts";
import {
  type Candidate,
  type CandidateKind,
  type CompletionContext,
  candidatesOf,
  isOfShell,
} from "./candidates.ts";

/** A list, something to look up, or both. */
type Answer = readonly (CandidateKind | Candidate)[];

export async function complete(words: readonly string[], start: GlobalOptions): Promise<string> {
  const before = words.slice(0, -1);
  const current = words.at(-1) ?? "";
  const taken = takeScatteredOptions(start, before);
  if (isRefusal(taken)) return isGlobalOption(before.at(-1) ?? "") ? ":directories\n" : "";
  const { options, words: rest } = taken;
  const answer = answerTo(rest, current);
  const place = { options, interface: rest.find((word) => INTERFACE_NAME.test(word)) ?? rest[0] };
  return linesOf(answer, current, place);
}

async function linesOf(answer: Answer, current: string, place: CompletionContext): Promise<string> {
  const shells = answer.find((each) => typeof each === "string" && isOfShell(each));
  if (shells !== undefined) return `:${shells}\n`;
  const found = await Promise.all(
    answer.map((each) => {
      if (typeof each !== "string") return [each];
      return isOfShell(each) ? [] : candidatesOf(each, place);
    }),
  );
  const candidates = found.flat().filter(({ word }) => word.startsWith(current));
  return candidates.map(({ word, help }) => (help === "" ? `${word}\n` : `${word}\t${help}\n`)).join("");
}

const GLOBALS: readonly Candidate[] = GLOBAL_OPTIONS.map(({ name, help }) => ({ word: `--${name}`, help }));

/** Options in the place of an interface's name. */
const FORM_OPTIONS: readonly Candidate[] = [
  { word: "-a", help: "every carp interface" },
  { word: "-A", help: "every carp interface" },
  { word: "-C", help: "kinds of interface that can be created" },
  { word: "-g", help: "carp demote count of a group" },
];

function answerTo(words: readonly string[], current: string): Answer {
  const [first, ...rest] = words;
  if (first === undefined) return firstWord(current);
  const verb = VERBS.find(({ names }) => names.includes(first));
  if (verb !== undefined) return verbWord(verb, rest, current);
  if (current.startsWith("--")) return GLOBALS;
  switch (first) {
    case "-a":
    case "-A":
      return rest.length === 0 ? ["interfaces", "groups"] : [];
    case "-g":
      return groupWord(rest);
    case "create":
      return rest.length === 0 ? [] : parameterWord(rest.slice(1));
    case "destroy":
      return rest.length === 0 ? ["interfaces"] : [];
    default:
      return INTERFACE_NAME.test(first) || hasDevice(first) ? parameterWord(rest) : [];
  }
}

function firstWord(current: string): Answer {
  if (current.startsWith("-")) return [...FORM_OPTIONS, ...GLOBALS];
  const verbs = VERBS.flatMap(({ names, help }) => names.map((word) => ({ word, help })));
  const cloners = KEYWORDS.filter(({ name }) => name === "create" || name === "destroy").map(candidate);
  // A list of everything is about carp interfaces; a device is for FreeBSD's form.
  return ["interfaces", "groups", ...cloners, ...verbs, ...(current === "" ? [] : (["devices"] as const))];
}

function groupWord(words: readonly string[]): Answer {
  if (words.length === 0) return ["groups"];
  if (words.length > 1) return [];
  return [
    { word: "carpdemote", help: "add to the carp demote count" },
    { word: "-carpdemote", help: "take from it" },
  ];
}

/** A keyword, or the argument of the one before. */
function parameterWord(words: readonly string[]): Answer {
  let open: Keyword | undefined;
  for (const word of words) open = open?.argument === undefined ? keywordOf(word) : undefined;
  if (open?.argument !== undefined) return argumentOf(open);
  const address: Answer = open?.completes === undefined ? [] : [open.completes];
  return [...address, ...KEYWORDS.map(candidate), ...KEYWORDS.flatMap(synonyms)];
}

function argumentOf({ completes, accepts = "", help }: Keyword): Answer {
  if (completes !== undefined) return [completes];
  return accepts.includes("|") ? accepts.split("|").map((word) => ({ word, help })) : [];
}

function candidate({ name, help }: Keyword): Candidate {
  return { word: name, help };
}

function synonyms({ synonyms: words = [], help }: Keyword): Candidate[] {
  return words.map((word) => ({ word, help }));
}

/** An option, the value of one, or the next of the words that the verb takes. */
function verbWord(verb: Verb, words: readonly string[], current: string): Answer {
  const options = optionsOf(verb);
  const optionOf = (word: string | undefined) => options.find((each) => each.word === word?.split("=")[0]);
  const taking = (word: string | undefined) => {
    const option = optionOf(word);
    return option?.takesValue === true && !word?.includes("=") ? option : undefined;
  };
  const open = taking(words.at(-1));
  if (open !== undefined) return valuesOf(open, verb);
  const [option, value] = [optionOf(current), current.includes("=")];
  if (option?.takesValue && value)
    return option.choices.map((choice) => ({ word: `${option.word}=${choice}`, help: option.help }));
  if (current.startsWith("-")) return [...options, ...GLOBALS];
  const given = words.filter((word, at) => !word.startsWith("-") && taking(words[at - 1]) === undefined);
  const positionals = positionalsOf(verb);
  const next = positionals[given.length] ?? positionals.findLast(({ repeats }) => repeats);
  return next === undefined ? [] : valuesOf(next, verb);
}

function valuesOf({ name, choices, help }: Omit<VerbOption, "word" | "takesValue">, verb: Verb): Answer {
  const kind = verb.completes?.[name];
  return kind === undefined ? choices.map((word) => ({ word, help })) : [kind];
}
