/**
 * Newline-delimited JSON: splits a byte stream into lines with a longest length, and writes a value as one line. It
 * frames the control socket and the sockets of runner and keeper; what a line means is for its reader to say.
 */

import type { Readable } from "node:stream";

const NEWLINE = 0x0a;
const NOTHING = Buffer.alloc(0);
/** A line in more pieces is put together: each costs many times the memory of a byte. */
const MOST_PIECES = 64;

/** Splits bytes into lines, one line at a time. Once a line is too long, no further line comes out. */
export class LineSplitter {
  readonly #maxBytes: number;
  /** Pieces of a line that has not ended yet; none of them holds a newline. */
  #pieces: Buffer[] = [];
  #pendingBytes = 0;
  #unread: Buffer = NOTHING;
  #isTooLong = false;

  /** @param maxBytes longest line, its newline not included */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get isTooLong(): boolean {
    return this.#isTooLong;
  }

  push(bytes: Buffer): void {
    if (this.#isTooLong) return;
    this.#unread = this.#unread.length === 0 ? bytes : Buffer.concat([this.#unread, bytes]);
  }

  /** @returns the next line without its newline; undefined when no whole line is left, or one is too long */
  next(): Buffer | undefined {
    const end = this.#unread.indexOf(NEWLINE);
    const piece = end < 0 ? this.#unread : this.#unread.subarray(0, end);
    if (piece.length > 0) this.#pieces.push(piece);
    if (this.#pieces.length > MOST_PIECES) this.#pieces = [Buffer.concat(this.#pieces)];
    this.#pendingBytes += piece.length;
    this.#unread = end < 0 ? NOTHING : this.#unread.subarray(end + 1);
    this.#isTooLong ||= this.#pendingBytes > this.#maxBytes;
    if (this.#isTooLong) this.#unread = NOTHING;
    else if (end < 0) return undefined;
    const line = this.#isTooLong ? undefined : Buffer.concat(this.#pieces);
    this.#pieces = [];
    this.#pendingBytes = 0;
    return line;
  }
}

/**
 * Calls `take` with each line that a stream brings until the stream is destroyed; calls `tooLong` once, and nothing
 * after it, when a line is longer than `maxBytes`.
 *
 * @returns a function that stops the calls; the bytes that still arrive are read and dropped
 */
export function readLines(
  stream: Readable,
  maxBytes: number,
  take: (line: Buffer) => void,
  tooLong: () => void,
): () => void {
  const lines = new LineSplitter(maxBytes);
  let stopped = false;
  const receive = (bytes: Buffer) => {
    lines.push(bytes);
    for (let line = lines.next(); line !== undefined; line = lines.next()) {
      take(line);
      if (stopped || stream.destroyed) return;
    }
    if (!lines.isTooLong) return;
    stop();
    tooLong();
  };
  const stop = () => {
    stopped = true;
    stream.off("data", receive);
    stream.resume();
  };
  stream.on("data", receive);
  return stop;
}

/** A value as one line. */
export function jsonLine(value: unknown): string {
  return `${JSON.stringify(value)}\n`;
}

/**
 * The value that a line holds; undefined when the line is not JSON. Bytes that are not UTF-8 become U+FFFD.
 */
export function jsonIn(line: Buffer): unknown {
  try {
    return JSON.parse(line.toString("utf8"));
  } catch {
    return undefined;
  }
}
