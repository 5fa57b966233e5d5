/**
 * Typed words and other foreign text as messages repeat them: on one line, at a readable length, with control
 * characters escaped so that a terminal does not act on them. A plain word is never changed.
 */

const LONGEST = 80;

/** Control characters, line separators and bidirectional controls. */
const CONTROL_CHARACTER = /[\p{Cc}\p{Zl}\p{Zp}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;

export function hasControlCharacter(text: string): boolean {
  return text.search(CONTROL_CHARACTER) >= 0;
}

/** Control characters as escapes. Safe to apply twice. */
export function escapeControls(text: string): string {
  return text.replace(CONTROL_CHARACTER, (character) => {
    if (character === "\n") return "\\n";
    if (character === "\t") return "\\t";
    const code = character.codePointAt(0) ?? 0;
    return code < 0x100
      ? `\\x${code.toString(16).padStart(2, "0")}`
      : `\\u${code.toString(16).padStart(4, "0")}`;
  });
}

/** Those of them that JSON text may hold: in its strings, those below a space are escapes already. */
const CONTROL_IN_JSON = /[\u007f-\u009f\p{Zl}\p{Zp}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;

/** JSON text, perhaps on several lines, with the control characters that JSON allows in strings as escapes of its own. */
export function escapeControlsInJson(text: string): string {
  return text.replace(
    CONTROL_IN_JSON,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** Commands for a shell: a tab is part of them, any other control character is shown as an escape. */
export function escapeControlsInCommand(text: string): string {
  return text.split("\t").map(escapeControls).join("\t");
}

/** A value as a message names it: a list or an object by its kind, the empty word as `''`. */
export function printable(value: unknown): string {
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object" && value !== null) return "an object";
  const text = String(value);
  if (text === "") return "''";
  return escapeControls(text.length > LONGEST ? `${text.slice(0, LONGEST)}...` : text);
}
