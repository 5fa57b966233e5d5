/**
 * Splits a configuration file into lines, and joins lines that a backslash continues. A line that is not text is
 * refused with its number.
 */

import { isUtf8 } from "node:buffer";
import { type Refusal, refuse } from "../control/refusal.ts";

/** A message about a file, with the number of the line that it is about, if any. */
export interface Complaint {
  readonly line?: number | undefined;
  readonly message: string;
}

export type Line = { readonly number: number } & ({ readonly text: string } | Refusal);

/** More than a control message holds. */
const MOST_BYTES = 65_536;
const NEWLINE = 10;

/** LF and CRLF end a line, and so does the end of the file; a byte order mark in front is not part of it. */
export function* linesOf(bytes: Buffer): Generator<Line> {
  let start = bytes.subarray(0, 3).toString("latin1") === "\xef\xbb\xbf" ? 3 : 0;
  for (let number = 1; start < bytes.length; number++) {
    const newline = bytes.indexOf(NEWLINE, start);
    const end = newline < 0 ? bytes.length : newline;
    yield { number, ...lineIn(bytes.subarray(start, end)) };
    start = end + 1;
  }
}

function lineIn(bytes: Buffer): { readonly text: string } | Refusal {
  if (bytes.length > MOST_BYTES) return refuse(`longer than ${MOST_BYTES} bytes`);
  if (bytes.includes(0)) return refuse("contains a NUL");
  if (!isUtf8(bytes)) return refuse("not UTF-8");
  return { text: bytes.toString().replace(/\r$/, "") };
}

/** A line, and the lines that continue it. */
export type JoinedLine = { readonly number: number } & (
  | {
      readonly text: string;
      /** The number of the line that the character at this place is on. */
      lineAt(at: number): number;
    }
  | Refusal
);

/** An odd number of backslashes: in a pair the second one is quoted. */
const CONTINUED = /(?<!\\)(?:\\\\)*\\$/;

/**
 * Joins continued lines: a backslash at the end of a line continues it on the next one, in comments and quotes as well,
 * as in OpenBSD's netstart.
 */
export function* joinedLinesOf(bytes: Buffer): Generator<JoinedLine> {
  let text = "";
  let starts: number[] = [];
  let last = 0;
  for (const line of linesOf(bytes)) {
    last = line.number;
    const isContinued = "text" in line && CONTINUED.test(line.text);
    starts.push(text.length);
    if ("text" in line) text += isContinued ? line.text.slice(0, -1) : line.text;
    if (isContinued) continue;
    yield "refusal" in line ? line : joined(text, last, starts);
    text = "";
    starts = [];
  }
  if (starts.length > 0) yield { number: last, ...refuse("a backslash at the end of the file") };
}

function joined(text: string, last: number, starts: readonly number[]): JoinedLine {
  const number = last - starts.length + 1;
  if (text.length > MOST_BYTES) return { number, ...refuse(`longer than ${MOST_BYTES} bytes`) };
  return { number, text, lineAt: (at) => number + starts.findLastIndex((start) => start <= at) };
}
