/**
 * Splits the text of an ifstated.conf(5) file into tokens, as OpenBSD's ifstated does: quotes, comments, continued
 * lines, and macros, whose value is read in place of `$NAME`. Tokens are read one at a time, because a macro is known
 * from its definition on.
 */

import { printable } from "../../control/printable.ts";

const KEYWORDS = [
  ...[
    "&&",
    "||",
    "down",
    "every",
    "if",
    "init",
    "init-state",
    "link",
    "run",
    "set-state",
    "state",
    "unknown",
  ],
  "up",
] as const;
const SIGNS = ["=", "{", "}", "(", ")", "!", "."] as const;
export type TokenKind =
  | (typeof KEYWORDS)[number]
  | (typeof SIGNS)[number]
  | "string"
  | "number"
  | "newline"
  | "end"
  /** It was complained about. */
  | "bad";

export interface Token {
  readonly kind: TokenKind;
  readonly text: string;
  readonly line: number;
  readonly isQuoted: boolean;
}

/** The longest string that OpenBSD's takes. */
const MOST_CHARACTERS = 8095;
/** Macros have no macros in them, but one can stand in a file many times. */
const MOST_EXPANDED = 4 * 1024 * 1024;

const STARTS_WORD = /[A-Za-z0-9:_&|]/;
const IN_WORD = /[A-Za-z0-9"$%&'*+\-/:;<>?@[\\\]^_`|~]/;
const IN_MACRO_NAME = /\w/;

export class Lexer {
  readonly #text: string;
  readonly #macro: (name: string) => string | undefined;
  readonly #complain: (line: number, message: string) => void;
  #at = 0;
  #line = 1;
  /** The value of a macro, which is read before the rest of the text. */
  #value = "";
  #valueAt = 0;
  #expanded = 0;

  /** @param text lines that end with a newline, without NUL */
  constructor(
    text: string,
    macro: (name: string) => string | undefined,
    complain: (line: number, message: string) => void,
  ) {
    this.#text = text;
    this.#macro = macro;
    this.#complain = complain;
  }

  next(): Token {
    for (;;) {
      while (this.#peek() === " " || this.#peek() === "\t") this.#take();
      if (this.#peek() === "#") this.#skipComment();
      const line = this.#line;
      const first = this.#peek();
      if (first === "$" && !this.#isInMacro()) {
        if (this.#expand(line)) continue;
        return { kind: "bad", text: "$", line, isQuoted: false };
      }
      return { line, isQuoted: first === "'" || first === '"', ...this.#token(first, line) };
    }
  }

  #token(first: string, line: number): Pick<Token, "kind" | "text"> {
    if (first === "") return { kind: "end", text: "" };
    if (first === "'" || first === '"') return this.#string(line);
    if (first === "-" || STARTS_WORD.test(first)) return this.#word(line);
    const character = this.#isInMacro() ? first : String.fromCodePoint(this.#text.codePointAt(this.#at) ?? 0);
    for (let left = character.length; left > 0; left--) this.#take();
    if (first === "\n") return { kind: "newline", text: first };
    const sign = SIGNS.find((each) => each === first);
    if (sign !== undefined) return { kind: sign, text: sign };
    const inMacro = first === "$" ? ": the value of a macro has no macros" : "";
    this.#complain(line, `${printable(character)}: not expected outside of quotes${inMacro}`);
    return { kind: "bad", text: character };
  }

  /** Reads `$NAME`. @returns whether there is such a macro, and its value comes next */
  #expand(line: number): boolean {
    this.#take();
    let name = "";
    while (IN_MACRO_NAME.test(this.#peek())) name += this.#take();
    const value = this.#macro(name);
    this.#expanded += value?.length ?? 0;
    if (value !== undefined && this.#expanded <= MOST_EXPANDED) {
      this.#value = value;
      this.#valueAt = 0;
      return true;
    }
    const why =
      value === undefined
        ? "no such macro is defined above"
        : `all macros together have more than ${MOST_EXPANDED} characters`;
    this.#complain(line, `${printable(`$${name}`)}: ${why}`);
    return false;
  }

  #string(line: number): Pick<Token, "kind" | "text"> {
    const quote = this.#take(true);
    const parts: string[] = [];
    for (;;) {
      const character = this.#take(true);
      if (character === "") {
        this.#complain(line, `${quote}: the string that begins here does not end`);
        return { kind: "bad", text: "" };
      }
      if (character === quote) break;
      // A string goes on behind the end of a line, which is not part of it.
      if (character === "\n") continue;
      const escaped = character === "\\" ? this.#peek(true) : "";
      if (escaped === "\n") this.#take(true);
      else if (escaped !== "" && [quote, " ", "\t"].includes(escaped)) parts.push(this.#take(true));
      else parts.push(character);
    }
    return this.#bounded("string", parts.join(""), line);
  }

  #word(line: number): Pick<Token, "kind" | "text"> {
    const parts = [this.#take()];
    while (IN_WORD.test(this.#peek())) parts.push(this.#take());
    const text = parts.join("");
    const keyword = KEYWORDS.find((each) => each === text);
    if (keyword !== undefined) return { kind: keyword, text };
    return this.#bounded(/^-?\d+$/.test(text) ? "number" : "string", text, line);
  }

  #bounded(kind: "string" | "number", text: string, line: number): Pick<Token, "kind" | "text"> {
    if (text.length <= MOST_CHARACTERS) return { kind, text };
    this.#complain(line, `${printable(text)}: a string has at most ${MOST_CHARACTERS} characters`);
    return { kind: "bad", text };
  }

  /** Up to the end of the line, which a backslash continues here as well. */
  #skipComment(): void {
    while (this.#peek() !== "\n" && this.#peek() !== "") this.#take();
  }

  #isInMacro(): boolean {
    return this.#valueAt < this.#value.length;
  }

  /** The next character; '' at the end. */
  #peek(isInQuotes = false): string {
    if (this.#isInMacro()) return this.#value.charAt(this.#valueAt);
    if (isInQuotes) return this.#text.charAt(this.#at);
    while (this.#text.startsWith("\\\n", this.#at)) {
      this.#at += 2;
      this.#line++;
    }
    // Outside of quotes a backslash stands for nothing but the character behind it.
    return this.#text.charAt(this.#text.charAt(this.#at) === "\\" ? this.#at + 1 : this.#at);
  }

  #take(isInQuotes = false): string {
    const character = this.#peek(isInQuotes);
    if (this.#isInMacro()) {
      this.#valueAt++;
      return character;
    }
    this.#at += !isInQuotes && this.#text.charAt(this.#at) === "\\" ? 2 : 1;
    if (character === "\n") this.#line++;
    return character;
  }
}
