/**
 * Reading the words behind an interface's name, from left to right, into one change. Asks the keyword table what a
 * word is; knows no keyword by name.
 */

import type { InterfaceChange } from "../../control/messages.ts";
import { shown } from "../../control/shown.ts";
import { type GlobalOptions, takeGlobalOption } from "../globals.ts";
import { suggestion } from "../nearest.ts";
import { isRefusal, type Refusal, refuse } from "../outcome.ts";
import { type Draft, emptyDraft, finish, looksLikeAddress, takeAddress } from "./draft.ts";
import { everyWord, type Keyword, keywordOf } from "./keywords.ts";
import { machine, type Outside } from "./outside.ts";

export interface Words {
  readonly options: GlobalOptions;
  readonly change: InterfaceChange;
  readonly create: boolean;
  readonly destroy: boolean;
  readonly warnings: readonly string[];
}

/** Long options are taken where a keyword could stand: `carpctl carp0 vhid 1 --run-dir DIR`. */
export async function readWords(
  words: readonly string[],
  start: GlobalOptions,
  outside: Outside = machine,
): Promise<Words | Refusal> {
  const draft = emptyDraft();
  let options = start;
  for (let at = 0; at < words.length; at++) {
    const word = words[at] ?? "";
    if (word.startsWith("--") && word !== "--") {
      const taken = takeGlobalOption(options, words, at);
      if (isRefusal(taken)) return taken;
      options = taken.options;
      at = taken.last;
      continue;
    }
    const taken = await takeWord(draft, words, at, outside);
    if (typeof taken !== "number") return taken;
    at = taken;
  }
  const change = finish(draft);
  if (isRefusal(change)) return change;
  const { create, destroy, warnings } = draft;
  if (destroy && (create || Object.keys(change).length > 0))
    return refuse("destroy: takes no other parameters");
  return { options, change, create, destroy, warnings };
}

/** Words that stand by themselves, as a line of a file: no option is taken from among them. */
export async function readLine(
  words: readonly string[],
  outside: Outside = machine,
): Promise<Draft | Refusal> {
  const draft = emptyDraft();
  for (let at = 0; at < words.length; at++) {
    const taken = await takeWord(draft, words, at, outside);
    if (typeof taken !== "number") return taken;
    at = taken;
  }
  const change = finish(draft);
  return isRefusal(change) ? change : draft;
}

/** Takes the word at `at`, and its argument; the result is the place of the last word taken. */
async function takeWord(
  draft: Draft,
  words: readonly string[],
  at: number,
  outside: Outside,
): Promise<number | Refusal> {
  const word = words[at] ?? "";
  const keyword = keywordOf(word);
  if (keyword !== undefined) return takeKeyword(draft, keyword, words, at, outside);
  const addressMayStandHere = draft.expecting !== undefined || draft.addresses.length === 0;
  if (draft.expecting !== undefined || (addressMayStandHere && looksLikeAddress(word))) {
    return takeAddress(draft, word) ?? at;
  }
  return refuse(`${shown(word)}: unknown parameter${suggestion(word, everyWord())}`);
}

async function takeKeyword(
  draft: Draft,
  keyword: Keyword,
  words: readonly string[],
  at: number,
  outside: Outside,
): Promise<number | Refusal> {
  const word = words[at] ?? "";
  const last = keyword.argument === undefined ? at : at + 1;
  const argument = last === at ? "" : words[last];
  if (argument === undefined)
    return refuse(`${word}: needs a value (${keyword.accepts ?? keyword.argument})`);
  const refusal = await keyword.apply({ draft, argument, word, following: words[last + 1], outside });
  return refusal ?? last;
}
