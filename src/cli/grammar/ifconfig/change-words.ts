/**
 * Reads the words behind an interface's name, from left to right, into one change. It looks words up in the
 * keyword table and knows no keyword by name.
 */

import { looksLikeAddress } from "../../../config/address-word.ts";
import type { InterfaceChange } from "../../../control/messages.ts";
import { printable } from "../../../control/printable.ts";
import { isRefusal, type Refusal, refuse } from "../../outcome.ts";
import { type GlobalOptions, takeGlobalOption } from "../options.ts";
import { suggestion } from "../suggestion.ts";
import { type ChangeDraft, emptyDraft, finish, takeAddress, wordBehindAddress } from "./change-draft.ts";
import { everyWord, type Keyword, keywordOf } from "./keywords.ts";
import { type Lookups, systemLookups } from "./lookups.ts";

export interface Words {
  readonly options: GlobalOptions;
  readonly change: InterfaceChange;
  readonly create: boolean;
  readonly destroy: boolean;
  readonly warnings: readonly string[];
}

/** Long options are taken where a keyword could stand: `carpctl carp0 vhid 1 --run-dir DIR`. */
export async function readChange(
  name: string,
  words: readonly string[],
  start: GlobalOptions,
  lookups: Lookups = systemLookups,
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
    const taken = await takeWord(draft, words, at, lookups);
    if (typeof taken !== "number") return taken;
    at = taken;
  }
  const change = finish(draft, name);
  if (isRefusal(change)) return change;
  const { create, destroy, warnings } = draft;
  if (destroy && (create || Object.keys(change).length > 0))
    return refuse("destroy: takes no other parameters");
  return { options, change, create, destroy, warnings };
}

/**
 * Reads a line of a file: options of the command line are not known there. A refusal has the place of its word, where
 * it is about one.
 */
export async function readLine(
  name: string,
  words: readonly string[],
  lookups: Lookups = systemLookups,
): Promise<ChangeDraft | (Refusal & { readonly at?: number })> {
  const draft = emptyDraft();
  for (let at = 0; at < words.length; at++) {
    const taken = await takeWord(draft, words, at, lookups);
    if (typeof taken !== "number") return { ...taken, at };
    at = taken;
  }
  const change = finish(draft, name);
  return isRefusal(change) ? change : draft;
}

/** Takes the word at `at`, and its argument; the result is the place of the last word taken. */
async function takeWord(
  draft: ChangeDraft,
  words: readonly string[],
  at: number,
  lookups: Lookups,
): Promise<number | Refusal> {
  const word = words[at] ?? "";
  const keyword = keywordOf(word);
  if (keyword !== undefined) return takeKeyword(draft, keyword, words, at, lookups);
  const addressMayStandHere = draft.expecting !== undefined || draft.addresses.length === 0;
  if (draft.expecting !== undefined || (addressMayStandHere && looksLikeAddress(word))) {
    return takeAddress(draft, word) ?? at;
  }
  const guess = wordBehindAddress(draft, word);
  if (guess !== undefined) return refuse(`${printable(word)}: ${guess}`);
  return refuse(`${printable(word)}: unknown parameter${suggestion(word, everyWord())}`);
}

async function takeKeyword(
  draft: ChangeDraft,
  keyword: Keyword,
  words: readonly string[],
  at: number,
  lookups: Lookups,
): Promise<number | Refusal> {
  const word = words[at] ?? "";
  const last = keyword.argument === undefined ? at : at + 1;
  const argument = last === at ? "" : words[last];
  if (argument === undefined)
    return refuse(`${word}: needs a value (${keyword.accepts ?? keyword.argument})`);
  const refusal = await keyword.apply({ draft, argument, word, following: words[last + 1], lookups });
  return refusal ?? last;
}

/** A keyword with its argument, or any other word, as `readChange` divides them. */
export interface Entry {
  readonly keyword: Keyword | undefined;
  readonly words: readonly string[];
  /** Place of the first one. */
  readonly at: number;
}

/** Divides words into keywords with their arguments: an argument may read like a keyword. */
export function entriesOf(words: readonly string[]): Entry[] {
  const entries: Entry[] = [];
  for (let at = 0; at < words.length; ) {
    const keyword = keywordOf(words[at] ?? "");
    const length = keyword?.argument === undefined ? 1 : 2;
    entries.push({ keyword, words: words.slice(at, at + length), at });
    at += length;
  }
  return entries;
}
