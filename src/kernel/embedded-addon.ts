/**
 * Loads the native addon of the single executable. The system's loader takes files alone: a package has the addon as a
 * file as well, and without that it is written to a file without a name.
 */

import { closeSync, constants, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { getRawAsset } from "node:sea";

/** Missing from Node's constants. The kernel's O_TMPFILE has the bit of O_DIRECTORY, which differs by architecture. */
const O_TMPFILE = 0o20000000 | constants.O_DIRECTORY;

export function loadEmbeddedAddon(): unknown {
  const bytes = Buffer.from(getRawAsset("carp.node") as ArrayBuffer);
  const directory = dirname(process.execPath);
  const installed = join(directory, "../lib/carpctl/carp.node");
  if (holds(installed, bytes)) return load(installed);
  const errors: string[] = [];
  // Any of them may be read-only, or not allow its files to be executed.
  for (const each of ["/dev/shm", tmpdir(), "/var/tmp", directory])
    try {
      return loadFrom(each, bytes);
    } catch (error) {
      errors.push(`${each}: ${(error as Error).message}`);
    }
  throw new Error(`the addon cannot be loaded: ${errors.join("; ")}`);
}

function holds(path: string, bytes: Buffer): boolean {
  try {
    return readFileSync(path).equals(bytes);
  } catch {
    return false;
  }
}

function loadFrom(directory: string, bytes: Buffer): unknown {
  const file = readOnly(openUnnamed(directory), bytes);
  try {
    return load(`/proc/self/fd/${file}`);
  } finally {
    closeSync(file);
  }
}

function openUnnamed(directory: string): number {
  try {
    return openSync(directory, O_TMPFILE | constants.O_RDWR, 0o500);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOTSUP") throw error;
  }
  // The root file system of a container, an overlay, has no such files before Linux 6.3.
  const own = mkdtempSync(join(directory, "carpctl-"));
  try {
    return openSync(join(own, "carp.node"), constants.O_RDWR | constants.O_CREAT | constants.O_EXCL, 0o500);
  } finally {
    rmSync(own, { recursive: true });
  }
}

/** Writes the file, and closes it. @returns the same file, open for reading alone */
function readOnly(written: number, bytes: Buffer): number {
  try {
    writeFileSync(written, bytes);
    return openSync(`/proc/self/fd/${written}`, constants.O_RDONLY);
  } finally {
    closeSync(written);
  }
}

function load(path: string): unknown {
  const module = { exports: {} };
  process.dlopen(module, path);
  return module.exports;
}
