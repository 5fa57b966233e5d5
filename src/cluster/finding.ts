/** Findings about a cluster. */

import { CHECK } from "../topics/check.ts";

export type Kind = keyof typeof CHECK;
export type Level = (typeof CHECK)[Kind]["level"];

/** A line of a host's file. */
export interface Place {
  readonly host: string;
  readonly file: string;
  readonly line?: number | undefined;
}

export interface Finding extends Place {
  readonly kind: Kind;
  readonly level: Level;
  /** Every host that it is about, in the order in which they were given. */
  readonly hosts: readonly string[];
  readonly text: string;
}

/** @param others the other hosts that it is about */
export function finding(
  kind: Kind,
  { host, file, line }: Place,
  text: string,
  others: readonly string[] = [],
): Finding {
  return { kind, level: CHECK[kind].level, host, file, line, hosts: [...new Set([host, ...others])], text };
}

/** `FILE:LINE`, or the file alone. */
export function placeText({ file, line }: Pick<Place, "file" | "line">): string {
  return line === undefined ? file : `${file}:${line}`;
}

const MOST_NAMED = 6;

/** Words as a sentence has them: `a, b and c`; of very many the first ones. */
export function listed(words: readonly string[]): string {
  if (words.length > MOST_NAMED) {
    const shown = words.slice(0, MOST_NAMED - 1);
    return `${shown.join(", ")} and ${words.length - shown.length} more`;
  }
  const [last = ""] = words.slice(-1);
  return words.length < 2 ? last : `${words.slice(0, -1).join(", ")} and ${last}`;
}
