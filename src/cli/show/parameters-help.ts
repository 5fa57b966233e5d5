/** The forms and keywords of ifconfig as help text, from the keyword table. */

import { KEYWORDS, type Keyword } from "../grammar/ifconfig/keywords.ts";

const FORMS: readonly Row[] = [
  ["carpctl [-a]", "show every carp interface"],
  ["carpctl carp0", "show one; a group's name shows its members"],
  ["carpctl -C", "show what kinds of interface can be created"],
  ["carpctl [carp0] create", "create it; without a name the next free one"],
  ["carpctl carp0 destroy", "remove it"],
  ["carpctl carp0 [ADDRESS[/LEN]] PARAMETERS...", "change it, all of it or nothing"],
  ["carpctl eth0", "show the carp interfaces on a device"],
  ["carpctl eth0 PARAMETERS...", "change the one with the vhid given, or create it"],
  ["carpctl -g GROUP", "show a group's carp demote count"],
  ["carpctl -g GROUP carpdemote [N]", "add to it; -carpdemote takes from it"],
];

export type Row = readonly [word: string, help: string];

export const ROWS: readonly Row[] = [...FORMS, ...KEYWORDS.map(keywordRow)];

export function parametersHelp(): string {
  const [forms, keywords] = [ROWS.slice(0, FORMS.length), ROWS.slice(FORMS.length)];
  return ["Interfaces:", ...columns(forms), "", "Parameters:", ...columns(keywords)].join("\n");
}

function keywordRow({ name, synonyms = [], argument, accepts, help }: Keyword): Row {
  const left = [name, ...synonyms].join("|") + (argument ? ` ${argument}` : "");
  return [left, accepts ? `${help} (${accepts})` : help];
}

/** Two columns; help whose word is too long stands below it. */
export function columns(rows: readonly Row[]): string[] {
  const left = 26;
  return rows.flatMap(([word, help]) => {
    return word.length < left
      ? [`  ${word.padEnd(left)}${help}`]
      : [`  ${word}`, `  ${" ".repeat(left)}${help}`];
  });
}
