/**
 * The tokens of an ifstated.conf(5) file as its grammar reads them: the present one, and the complaints about it. No
 * grammar but that of strings.
 */

import { printable } from "../../control/printable.ts";
import type { Complaint } from "../lines.ts";
import { Lexer, type Token, type TokenKind } from "./lexer.ts";

/** Blocks and expressions inside each other. */
const DEEPEST = 200;
/** Complaints about one file. */
export const MOST_ERRORS = 100;

export class Tokens {
  readonly #lexer: Lexer;
  #present: Token;
  #depth = 0;
  readonly #errors: Complaint[] = [];

  constructor(text: string, macro: (name: string) => string | undefined) {
    this.#lexer = new Lexer(text, macro, (line, message) => this.complain(line, message));
    this.#present = this.#lexer.next();
  }

  /** In the order of their lines. */
  get errors(): readonly Complaint[] {
    return this.#errors.toSorted((a, b) => (a.line ?? 0) - (b.line ?? 0));
  }

  get kind(): TokenKind {
    return this.#present.kind;
  }

  get text(): string {
    return this.#present.text;
  }

  get line(): number {
    return this.#present.line;
  }

  advance(): void {
    this.#present = this.#lexer.next();
  }

  accept(kind: TokenKind): boolean {
    if (this.kind !== kind) return false;
    this.advance();
    return true;
  }

  skipNewlines(): void {
    while (this.kind === "newline") this.advance();
  }

  get isString(): boolean {
    return this.kind === "string" || this.kind === "number";
  }

  /** A string; also a number. */
  string(complaint: string): Token | undefined {
    const token = this.#present;
    if (!this.isString) {
      const why = /^[a-z]/.test(token.text) ? `, and ${token.text} is a keyword: it needs quotes` : "";
      this.fail(`${complaint}${why}`);
      return undefined;
    }
    this.advance();
    return token;
  }

  /** Strings behind each other, which are one with blanks in between. */
  strings(complaint: string): string | undefined {
    const first = this.string(complaint);
    if (first === undefined) return undefined;
    const all = [first.text];
    for (; this.isString; this.advance()) all.push(this.text);
    return all.join(" ");
  }

  /** Reads something that can have the same in it. @returns undefined where that goes too deep */
  nested<T>(read: () => T): T | undefined {
    if (this.#depth >= DEEPEST) {
      this.fail(`more than ${DEEPEST} levels inside each other`);
      return undefined;
    }
    this.#depth++;
    const result = read();
    this.#depth--;
    return result;
  }

  /** Complains about the present token. */
  unexpected(expected: string): false {
    const { kind, text } = this.#present;
    const shown = { newline: "end of line", end: "end of file" }[kind as string] ?? printable(text);
    return this.fail(`${shown}: expected ${expected}`);
  }

  /** Complains where the present token is, unless the lexer has complained about it. */
  fail(message: string): false {
    if (this.kind !== "bad") this.complain(this.line, message);
    return false;
  }

  complain(line: number, message: string): void {
    if (this.#errors.length < MOST_ERRORS) this.#errors.push({ line, message });
  }
}
