/**
 * Writes files that must be whole after a kill: under another name, synced and renamed, and readable by their
 * owner only. `writeDurably` works in the background, for the saved state; `writeDurablySync` returns when
 * the file is on disk, for records that must be there before the kernel is changed.
 */

import { closeSync, constants, fsyncSync, openSync, renameSync, unlinkSync, writeSync } from "node:fs";
import { open, rename, unlink } from "node:fs/promises";
import { dirname } from "node:path";

const OWNER_ONLY = 0o600;
/** A file of this writer's own: nothing that lies at the path is opened or followed. */
const ANEW = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;

/** Replaces a file in the background. Rejects with an ErrnoException. */
export async function writeDurably(path: string, text: string): Promise<void> {
  const unfinished = `${path}.new`;
  await unlink(unfinished).catch(unlessMissing);
  {
    await using file = await open(unfinished, ANEW, OWNER_ONLY);
    await file.writeFile(text);
    await file.sync();
  }
  await rename(unfinished, path);
  await using directory = await open(dirname(path), "r");
  await directory.sync();
}

/** Replaces a file before it returns. Throws an ErrnoException. */
export function writeDurablySync(path: string, text: string): void {
  const unfinished = `${path}.new`;
  try {
    unlinkSync(unfinished);
  } catch (error) {
    unlessMissing(error as NodeJS.ErrnoException);
  }
  const file = openSync(unfinished, ANEW, OWNER_ONLY);
  try {
    writeSync(file, text);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(unfinished, path);
  const directory = openSync(dirname(path), "r");
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}

function unlessMissing(error: NodeJS.ErrnoException): void {
  if (error.code !== "ENOENT") throw error;
}
