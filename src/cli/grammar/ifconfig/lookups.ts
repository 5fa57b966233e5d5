/**
 * The lookups that ifconfig words need from the system: addresses of host names, and the first line of a pass
 * file.
 */

import { lookup } from "node:dns/promises";
import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { fileError } from "../../../config/configuration-file.ts";
import { distrust } from "../../../config/trusted-path.ts";
import { isRefusal, type Refusal, refuse } from "../../outcome.ts";
import type { Family } from "./change-draft.ts";

export interface Lookups {
  /** The host's first address of that family; undefined when it has none. */
  resolve(host: string, family: Family): Promise<string | undefined>;
  /** Without its newline. A refusal says why not, without naming the file. */
  firstLine(path: string): Promise<string | Refusal>;
}

/** For typed words: a pass may come from a pipe. */
export const systemLookups: Lookups = { resolve, firstLine: (path) => firstLine(path, constants.O_RDONLY) };

/** For the words of a file: nothing at the path of a pass file can keep the reader waiting. */
export const fileLookups: Lookups = {
  resolve,
  firstLine: (path) => firstLine(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY),
};

async function resolve(host: string, family: Family): Promise<string | undefined> {
  try {
    return (await lookup(host, { family })).address;
  } catch {
    return undefined;
  }
}

/** Longer than any pass; the rest of a file is not read. */
const MOST_BYTES = 4096;

async function firstLine(path: string, flags: number): Promise<string | Refusal> {
  const bytes = await firstBytes(path, flags);
  return isRefusal(bytes) ? bytes : firstLineOf(bytes);
}

export function firstLineOf(bytes: Uint8Array): string | Refusal {
  const end = bytes.indexOf(10);
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(
      end < 0 ? bytes : bytes.subarray(0, end),
    );
  } catch {
    return refuse("its first line is not UTF-8");
  }
}

async function firstBytes(path: string, flags: number): Promise<Buffer | Refusal> {
  try {
    await using file = await open(path, flags);
    const status = await file.stat();
    const untrusted = status.isFile() ? distrust(path, process.geteuid?.()) : undefined;
    if (untrusted !== undefined) return refuse(untrusted);
    if (!status.isFile() && !status.isDirectory() && (flags & constants.O_NONBLOCK) !== 0)
      return refuse("not a regular file");
    const bytes = Buffer.alloc(MOST_BYTES);
    let length = 0;
    while (length < MOST_BYTES && !bytes.subarray(0, length).includes(10)) {
      const { bytesRead } = await file.read(bytes, length, MOST_BYTES - length, null);
      if (bytesRead === 0) break;
      length += bytesRead;
    }
    return bytes.subarray(0, length);
  } catch (error) {
    return refuse(fileError((error as NodeJS.ErrnoException).code));
  }
}
