/** Manual pages as tests read them: the source text of a page, of a section, and the entries of its lists. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";

export const tree = join(import.meta.dirname, "../..");

export function readPage(name: string): string {
  return readFileSync(join(tree, "man", name), "utf8");
}

/** The lines of a section or subsection, without its heading. */
export function section(page: string, title: string): string {
  const [, text] = page.split(new RegExp(`^\\.S[hs] ${title}\\n`, "m"));
  assert.ok(text !== undefined, `no section ${title}`);
  return text.split(/^\.S[hs] /m)[0] ?? "";
}

/** The words after `.It`, for each entry of a section's lists. */
export function heads(page: string, title: string): string[] {
  return [...section(page, title).matchAll(/^\.It (.*)$/gm)].map(([, head = ""]) => head);
}

/** The literal displays whose text contains `sign`. */
export function displays(page: string, sign: string): string[] {
  const blocks = [...page.matchAll(/^\.Bd -literal[^\n]*\n(.*?)^\.Ed$/gms)].map(([, text = ""]) => text);
  return blocks.filter((text) => text.includes(sign));
}

/** A log message as a list entry of DIAGNOSTICS describes it. */
export interface Diagnostic {
  readonly head: string;
  readonly pattern: RegExp;
  /** The priorities that the entry names; empty: the text around the list does. */
  readonly priorities: readonly number[];
}

/** Words of an entry that stand for something else in the log line. */
const PLACEHOLDERS: readonly (readonly [RegExp, string])[] = [
  [/\bwho\b/g, "\\S+"],
  [/\bname\b/g, "\\S+"],
  [/\bN\b/g, "[^ ,]+"],
  [/\bfrom -> to\b/g, "\\S+ -> \\S+"],
  [/: (what|why)$/g, ": .+"],
  [/\bchange\b/g, "\\S+ vhid \\d+: \\S+ -> \\S+"],
];

export function diagnostics(page: string): Diagnostic[] {
  return heads(page, "DIAGNOSTICS").map((head) => {
    const [, , text = "", note = ""] = /^(Em \w+ : )?(.*?)(?: Pq (.*))?$/.exec(head) ?? [];
    const escaped = text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
    const pattern = PLACEHOLDERS.reduce((all, [word, stands]) => all.replace(word, stands), escaped);
    return {
      head,
      pattern: new RegExp(`(^|: )${pattern}`),
      priorities: (note.match(/\d/g) ?? []).map(Number),
    };
  });
}

export interface Logged {
  readonly priority: number;
  readonly text: string;
}

/**
 * Every entry describes one of the lines, and every line has an entry, with its priority.
 *
 * @param otherwise the priority of entries that name none; undefined: it is not checked
 */
export function assertDescribed(
  lines: readonly Logged[],
  entries: readonly Diagnostic[],
  otherwise?: number,
): void {
  for (const { head, pattern } of entries)
    assert.ok(
      lines.some(({ text }) => pattern.test(text)),
      `no log line is like: ${head}`,
    );
  for (const { priority, text } of lines) {
    const matching = entries.filter(({ pattern }) => pattern.test(text));
    assert.ok(matching.length > 0, `not in DIAGNOSTICS: ${text}`);
    const named = matching.flatMap(({ priorities }) =>
      priorities.length > 0 ? priorities : [otherwise ?? priority],
    );
    assert.ok(named.includes(priority), `DIAGNOSTICS has other priorities than ${priority}: ${text}`);
  }
}
