/**
 * How a word that somebody typed is repeated in a message: on one line, at a readable length, with nothing in it
 * that a terminal would act on. Never changes a word that is plain already.
 */

const LONGEST = 80;

/** Control characters, line separators and bidirectional controls. */
export const UNPRINTABLE = /[\p{Cc}\p{Zl}\p{Zp}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;

/** What a terminal would act on, as escapes. Safe to apply twice. */
export function escaped(text: string): string {
  return text.replace(UNPRINTABLE, (character) => {
    if (character === "\n") return "\\n";
    if (character === "\t") return "\\t";
    const code = character.codePointAt(0) ?? 0;
    return code < 0x100
      ? `\\x${code.toString(16).padStart(2, "0")}`
      : `\\u${code.toString(16).padStart(4, "0")}`;
  });
}

/** A value as a message names it; the empty word as `''`. */
export function shown(value: unknown): string {
  const text = typeof value === "object" ? (JSON.stringify(value) ?? "") : String(value);
  if (text === "") return "''";
  return escaped(text.length > LONGEST ? `${text.slice(0, LONGEST)}...` : text);
}
