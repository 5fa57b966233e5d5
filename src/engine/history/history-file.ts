/**
 * HistoryFile: appends lines to one file of the history, in the background, and replaces the one before when it is
 * full. Nothing is synced: a crash of the host may lose the last lines or damage them. A file that another user could
 * have written, or that is none, is set aside. Opened for each write, so that a file that was removed is made anew.
 */

import { constants, type Stats } from "node:fs";
import { type FileHandle, mkdir, open, rename } from "node:fs/promises";
import { dirname } from "node:path";
import { FULL_SUFFIX, type HistoryFileName, MAX_RECORD_BYTES } from "../../control/history.ts";

/** A link is not followed, and a pipe without a reader is not waited for. */
const SAFELY = constants.O_NOFOLLOW | constants.O_NONBLOCK;
const APPENDING = constants.O_RDWR | constants.O_APPEND | constants.O_CREAT | SAFELY;
const READING = constants.O_RDONLY | SAFELY;
/** Every user may read what every user may ask the engine. */
const MODE = 0o644;
const OTHERS_MAY_WRITE = 0o022;
const CHUNK_BYTES = 65_536;
const NEWLINE = 0x0a;

/** What lies at the path is no file of the engine's. */
const NOT_A_FILE: ReadonlySet<string | undefined> = new Set(["ELOOP", "ENXIO", "EISDIR", "EACCES", "EPERM"]);

/** What the files of earlier engines hold. */
export interface Earlier {
  /** The greatest number of a record. */
  readonly greatestSeq: number;
  /** The last whole line; undefined: there is none. */
  readonly lastLine: string | undefined;
}

export class HistoryFile {
  readonly #path: string;
  readonly #most: number;
  #lines = 0;
  /** After this engine's last write, which ended with a newline. */
  #size: number | undefined;

  constructor(path: string, { most }: HistoryFileName) {
    this.#path = path;
    this.#most = most;
  }

  /** Reads what earlier engines left. Never fails: what cannot be read is not there. */
  async open(): Promise<Earlier> {
    const full = await scan(`${this.#path}${FULL_SUFFIX}`);
    const present = await scan(this.#path);
    this.#lines = present.lines;
    return {
      greatestSeq: Math.max(full.greatestSeq, present.greatestSeq),
      lastLine: present.lastLine ?? full.lastLine,
    };
  }

  /** Appends lines, each with its newline. Rejects with an ErrnoException; the lines may then be there in part. */
  async append(lines: readonly string[]): Promise<void> {
    let { file, size } = await this.#openOwn();
    try {
      if (size > 0 && (this.#lines >= this.#most || size >= this.#most * MAX_RECORD_BYTES)) {
        await this.#replaceFull();
        await file.close();
        ({ file, size } = await this.#openOwn());
      }
      if (size === 0) {
        this.#lines = 0;
        await file.chmod(MODE);
      }
      const endsWell = size === 0 || size === this.#size || (await lastByte(file, size)) === NEWLINE;
      const text = (endsWell ? "" : "\n") + lines.join("");
      await file.appendFile(text);
      this.#size = size + Buffer.byteLength(text);
      this.#lines += lines.length;
    } finally {
      await file.close();
    }
  }

  async #replaceFull(): Promise<void> {
    const full = `${this.#path}${FULL_SUFFIX}`;
    await rename(this.#path, full).catch(async (error: NodeJS.ErrnoException) => {
      if (error.code !== "EISDIR" && error.code !== "ENOTEMPTY") throw error;
      await rename(full, `${full}.unusable`);
      await rename(this.#path, full);
    });
  }

  /** Opens the file, and makes it when there is none that is this engine's own. */
  async #openOwn(): Promise<{ file: FileHandle; size: number }> {
    const file = await open(this.#path, APPENDING, MODE).catch(async ({ code }: NodeJS.ErrnoException) => {
      if (NOT_A_FILE.has(code)) return undefined;
      if (code === "ENOENT") await mkdir(dirname(this.#path), { recursive: true, mode: 0o755 });
      return open(this.#path, APPENDING, MODE);
    });
    if (file !== undefined) {
      const stats = await file.stat();
      if (isOwn(stats)) return { file, size: stats.size };
      await file.close();
    }
    await rename(this.#path, `${this.#path}.unusable`);
    return { file: await open(this.#path, APPENDING | constants.O_EXCL, MODE), size: 0 };
  }
}

function isOwn(stats: Stats): boolean {
  return (
    stats.isFile() &&
    stats.uid === process.geteuid?.() &&
    stats.nlink === 1 &&
    (stats.mode & OTHERS_MAY_WRITE) === 0
  );
}

async function lastByte(file: FileHandle, size: number): Promise<number | undefined> {
  const byte = Buffer.alloc(1);
  const { bytesRead } = await file.read(byte, 0, 1, size - 1);
  return bytesRead === 1 ? byte[0] : undefined;
}

/** Counts the lines of a file, a piece at a time: it may be long, and the engine has other work. */
async function scan(path: string): Promise<Earlier & { readonly lines: number }> {
  const found = { greatestSeq: 0, lastLine: undefined as string | undefined, lines: 0 };
  const file = await open(path, READING).catch(() => undefined);
  if (file === undefined) return found;
  try {
    if (!isOwn(await file.stat())) return found;
    const chunk = Buffer.alloc(CHUNK_BYTES);
    let begun = Buffer.alloc(0);
    for (;;) {
      const { bytesRead } = await file.read(chunk, 0, CHUNK_BYTES);
      if (bytesRead === 0) return found;
      const bytes = Buffer.concat([begun, chunk.subarray(0, bytesRead)]);
      let from = 0;
      for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE, from)) {
        const line = bytes.subarray(from, end);
        found.lines++;
        found.greatestSeq = Math.max(found.greatestSeq, seqOf(line));
        if (seqOf(line) > 0) found.lastLine = line.toString();
        from = end + 1;
      }
      // A longer line is none of an engine's.
      begun = bytes.subarray(Math.max(from, bytes.length - MAX_RECORD_BYTES));
    }
  } catch {
    return found;
  } finally {
    await file.close();
  }
}

/** The number of a record, with which its line begins; 0: it is no record. */
function seqOf(line: Buffer): number {
  const [, seq] = /^\{"seq":(\d{1,15}),/.exec(line.subarray(0, 32).toString("latin1")) ?? [];
  return Number(seq ?? 0);
}
