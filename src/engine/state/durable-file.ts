/**
 * Writes files that must be whole after a kill: under another name, synced and renamed, and readable by their
 * owner only. `writeDurably` works in the background, for the saved state; `writeDurablySync` returns when
 * the file is on disk, for records that must be there before the kernel is changed.
 */

import { closeSync, fsyncSync, openSync, renameSync, writeSync } from "node:fs";
import { open, rename } from "node:fs/promises";
import { dirname } from "node:path";

const OWNER_ONLY = 0o600;

/** Replaces a file in the background. Rejects with an ErrnoException. */
export async function writeDurably(path: string, text: string): Promise<void> {
  const unfinished = `${path}.new`;
  {
    await using file = await open(unfinished, "w", OWNER_ONLY);
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
  const file = openSync(unfinished, "w", OWNER_ONLY);
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
