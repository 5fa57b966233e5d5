/**
 * A line into words and words into a line, by the quoting of sh: '...', "...", \ and the $'...' of POSIX.1-2024.
 * Nothing is expanded: a $ that quotes nothing is a $.
 */

import { isUtf8 } from "node:buffer";
import { shown, UNPRINTABLE } from "../control/shown.ts";
import { isRefusal, type Refusal, refuse } from "./outcome.ts";

/** What stands in one way or another for the rest of a word, up to where it stands for itself again. */
interface Piece {
  readonly bytes: Buffer;
  /** Behind it. */
  readonly end: number;
}

/** The words of a line; what is behind a # that begins a word is a comment. */
export function splitWords(line: string): string[] | Refusal {
  const words: string[] = [];
  for (let at = 0; at < line.length; ) {
    const character = line[at] ?? "";
    if (character === " " || character === "\t") at += 1;
    else if (character === "#") break;
    else {
      const word = wordAt(line, at);
      if (isRefusal(word)) return word;
      if (!isUtf8(word.bytes)) return refuse(`${shown(line.slice(at, word.end))}: not UTF-8`);
      words.push(word.bytes.toString());
      at = word.end;
    }
  }
  return words;
}

function wordAt(line: string, start: number): Piece | Refusal {
  const pieces: Buffer[] = [];
  let at = start;
  while (at < line.length && line[at] !== " " && line[at] !== "\t") {
    const piece = pieceAt(line, at);
    if (isRefusal(piece)) return piece;
    pieces.push(piece.bytes);
    at = piece.end;
  }
  return { bytes: Buffer.concat(pieces), end: at };
}

function pieceAt(line: string, at: number): Piece | Refusal {
  if (line[at] === "'") return singleQuoted(line, at);
  if (line[at] === '"') return doubleQuoted(line, at);
  if (line.startsWith("$'", at)) return dollarQuoted(line, at);
  const isEscaped = line[at] === "\\";
  const [character = ""] = line.slice(isEscaped ? at + 1 : at);
  if (character === "") return refuse("a backslash at the end of the line");
  return plain(character, at + character.length + (isEscaped ? 1 : 0));
}

function plain(text: string, end: number): Piece {
  return { bytes: Buffer.from(text), end };
}

const UNTERMINATED = "unterminated quote";

function singleQuoted(line: string, at: number): Piece | Refusal {
  const end = line.indexOf("'", at + 1);
  return end < 0 ? refuse(UNTERMINATED) : plain(line.slice(at + 1, end), end + 1);
}

function doubleQuoted(line: string, at: number): Piece | Refusal {
  const [quoted, inside] = /^"((?:[^"\\]|\\.)*)"/su.exec(line.slice(at)) ?? [];
  if (quoted === undefined || inside === undefined) return refuse(UNTERMINATED);
  return plain(inside.replace(/\\([\\"$`])/g, "$1"), at + quoted.length);
}

const ESCAPES: Readonly<Record<string, string>> = {
  a: "\x07",
  b: "\b",
  e: "\x1b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
  "\\": "\\",
  "'": "'",
  '"': '"',
};

/** Bytes by number make characters together: $'\xc3\xa4' is one letter. */
function dollarQuoted(line: string, at: number): Piece | Refusal {
  const [quoted, inside] = /^\$'((?:[^'\\]|\\.)*)'/su.exec(line.slice(at)) ?? [];
  if (quoted === undefined || inside === undefined) return refuse(UNTERMINATED);
  const pieces: Buffer[] = [];
  for (const [part] of inside.matchAll(/\\x[0-9a-f]{1,2}|\\[0-7]{1,3}|\\.|[^\\]+/gisu)) {
    const bytes = unescaped(part);
    if (isRefusal(bytes)) return bytes;
    pieces.push(bytes);
  }
  return { bytes: Buffer.concat(pieces), end: at + quoted.length };
}

function unescaped(piece: string): Buffer | Refusal {
  if (!piece.startsWith("\\")) return Buffer.from(piece);
  const [, hex, octal] = /^\\(?:x([0-9a-f]+)|([0-7]+))$/i.exec(piece) ?? [];
  if (hex !== undefined) return Buffer.of(Number.parseInt(hex, 16));
  if (octal !== undefined) return Buffer.of(Number.parseInt(octal, 8) & 0xff);
  const character = ESCAPES[piece.slice(1)];
  return character === undefined ? refuse(`${piece}: unknown escape`) : Buffer.from(character);
}

/** A word that `splitWords` and shells read as this text. */
export function quoted(word: string): string {
  if (/^[A-Za-z0-9_.,:/@%+=-]+$/.test(word)) return word;
  if (word.search(UNPRINTABLE) < 0) return `'${word.replaceAll("'", "'\\''")}'`;
  const inside = word
    .replace(/[\\']/g, "\\$&")
    .replace(UNPRINTABLE, (character) =>
      Array.from(Buffer.from(character), (byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join(""),
    );
  return `$'${inside}'`;
}

export function quotedWords(words: readonly string[]): string {
  return words.map(quoted).join(" ");
}
