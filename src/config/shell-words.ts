/**
 * Splits a line into words and quotes words for a line, by the rules of sh: '...', "..." and \. Nothing is expanded:
 * a $ is a $. Control characters have no quoting: no setting that is written to a file may hold one.
 */

import { isRefusal, type Refusal, refuse } from "../control/refusal.ts";

/** A quoted part of a word, or one character. */
interface Piece {
  readonly text: string;
  /** Place of the character behind it. */
  readonly end: number;
}

/** A word, and its place in the line. */
export interface PlacedWord {
  readonly text: string;
  readonly at: number;
}

/** The words of a line; a # that begins a word begins a comment. */
export function splitWords(line: string): string[] | Refusal {
  const words = placedWords(line);
  return isRefusal(words) ? words : words.map(({ text }) => text);
}

/** The words of a line with their places. */
export function placedWords(line: string): PlacedWord[] | Refusal {
  const words: PlacedWord[] = [];
  let word: PlacedWord | undefined;
  for (let at = 0; at < line.length; ) {
    const isBlank = line[at] === " " || line[at] === "\t";
    if (word === undefined && line[at] === "#") break;
    if (isBlank) {
      if (word !== undefined) words.push(word);
      word = undefined;
      at += 1;
      continue;
    }
    const piece = pieceAt(line, at);
    if (isRefusal(piece)) return piece;
    word = { text: (word?.text ?? "") + piece.text, at: word?.at ?? at };
    at = piece.end;
  }
  return word === undefined ? words : [...words, word];
}

function pieceAt(line: string, at: number): Piece | Refusal {
  if (line[at] === "'") return singleQuoted(line, at);
  if (line[at] === '"') return doubleQuoted(line, at);
  const start = line[at] === "\\" ? at + 1 : at;
  if (start === line.length) return refuse("a backslash at the end of the line");
  return { text: line.charAt(start), end: start + 1 };
}

const UNTERMINATED = "unterminated quote";

function singleQuoted(line: string, at: number): Piece | Refusal {
  const end = line.indexOf("'", at + 1);
  return end < 0 ? refuse(UNTERMINATED) : { text: line.slice(at + 1, end), end: end + 1 };
}

function doubleQuoted(line: string, at: number): Piece | Refusal {
  const [quoted, inside] = /^"((?:[^"\\]|\\.)*)"/su.exec(line.slice(at)) ?? [];
  if (quoted === undefined || inside === undefined) return refuse(UNTERMINATED);
  return { text: inside.replace(/\\([\\"$`])/g, "$1"), end: at + quoted.length };
}

/** A word that `splitWords` and shells read as this text. */
export function quoted(word: string): string {
  return /^[A-Za-z0-9_.,:/@%+=-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

export function quotedWords(words: readonly string[]): string {
  return words.map(quoted).join(" ");
}
