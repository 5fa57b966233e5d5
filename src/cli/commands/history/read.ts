/**
 * Reads the files of the history: the newest records, each once, in the order in which they happened. A damaged line
 * costs that line alone. The files are read here and not by the engine, which has better to do, and may have ended.
 */

import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import { join } from "node:path";
import { engineUid } from "../../../config/engine-user.ts";
import {
  FULL_SUFFIX,
  HISTORY_FILES,
  type HistoryFileName,
  HistoryRecord,
  MAX_RECORD_BYTES,
} from "../../../control/history.ts";

const SAFELY = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

export interface ReadHistory {
  readonly records: readonly HistoryRecord[];
  /** Whether there is any file. */
  readonly isThere: boolean;
  /** What could not be read. */
  readonly warnings: readonly string[];
}

/** @param unwritten records that the files may not have */
export function readHistory(directory: string, unwritten: readonly HistoryRecord[] = []): ReadHistory {
  const bySeq = new Map<number, HistoryRecord>();
  const warnings: string[] = [];
  let isThere = false;
  for (const file of HISTORY_FILES) {
    const read = readFile(directory, file, warnings);
    isThere ||= read !== undefined;
    for (const record of read ?? []) bySeq.set(record.seq, record);
  }
  for (const record of unwritten) bySeq.set(record.seq, record);
  return { records: [...bySeq.values()].sort((a, b) => a.seq - b.seq), isThere, warnings };
}

/** The newest records of one file and the full one before it; undefined: there is neither. */
function readFile(
  directory: string,
  { name, most }: HistoryFileName,
  warnings: string[],
): HistoryRecord[] | undefined {
  const path = join(directory, name);
  // The present one first: it may become the full one meanwhile, and is then read twice, but never missed.
  const [present, full] = [path, `${path}${FULL_SUFFIX}`].map((each) => {
    const text = textOf(each, most * MAX_RECORD_BYTES);
    if (text !== undefined && "problem" in text) warnings.push(text.problem);
    return text !== undefined && "text" in text ? text.text : undefined;
  });
  if (present === undefined && full === undefined) return undefined;
  const lines = `${full ?? ""}\n${present ?? ""}`.split("\n").filter((line) => line !== "");
  const read = lines.slice(-most).map(recordOf);
  const records = read.filter((each) => each !== undefined);
  const damaged = read.length - records.length;
  if (damaged > 0)
    warnings.push(`${path}: ${damaged} line${damaged === 1 ? " is" : "s are"} damaged and left out`);
  return records;
}

function recordOf(line: string): HistoryRecord | undefined {
  try {
    return HistoryRecord.safeParse(JSON.parse(line)).data;
  } catch {
    return undefined;
  }
}

/** The end of a file, at most so many bytes; undefined: there is none. */
function textOf(
  path: string,
  mostBytes: number,
): { readonly text: string } | { readonly problem: string } | undefined {
  let descriptor: number;
  try {
    descriptor = openSync(path, SAFELY);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code === "ENOENT" || code === "ENOTDIR"
      ? undefined
      : { problem: `${path}: cannot be read (${code})` };
  }
  try {
    const stats = fstatSync(descriptor);
    if (!stats.isFile()) return { problem: `${path}: not a file` };
    if (![0, engineUid(), process.geteuid?.()].includes(stats.uid))
      return { problem: `${path}: another user's file, not read` };
    const bytes = Buffer.alloc(Math.min(stats.size, mostBytes));
    let length = 0;
    for (let more = 1; more > 0 && length < bytes.length; length += more)
      more = readSync(descriptor, bytes, length, bytes.length - length, stats.size - bytes.length + length);
    return { text: bytes.subarray(0, length).toString() };
  } catch (error) {
    return { problem: `${path}: cannot be read (${(error as NodeJS.ErrnoException).code})` };
  } finally {
    closeSync(descriptor);
  }
}
