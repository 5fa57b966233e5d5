/**
 * Reads a configuration file: only a regular file that no user but root could have written. A mode that lets
 * others read it is corrected. Reading never blocks, whatever lies at the path.
 */

import { closeSync, constants, fchmodSync, fstatSync, openSync, readSync, type Stats } from "node:fs";
import { isRefusal, type Refusal, refuse } from "../control/refusal.ts";
import { distrust } from "./trusted-path.ts";

export interface ReadFile {
  readonly bytes: Buffer;
  /** A warning about its mode. */
  readonly warning?: string | undefined;
}

export interface ModePolicy {
  /** Bits of the mode that the file may have. */
  readonly mode: number;
  /** Whether a mode with other bits is corrected, or only reported. */
  readonly repair: boolean;
}

const MOST_BYTES = 1024 * 1024;

/** @param distrusts `distrust`, or one that remembers directories */
export function readConfigurationFile(
  path: string,
  policy: ModePolicy,
  distrusts = distrust,
): ReadFile | Refusal {
  return opened(path, (file) => readFrom(file, path, policy, distrusts));
}

/** Reads a copy of a configuration file, which configures nothing here: it may be any user's, with any mode. */
export function readCopiedFile(path: string): Buffer | Refusal {
  return opened(path, (file) => {
    const status = regularFile(file);
    return isRefusal(status) ? status : contents(file, status.size);
  });
}

function opened<Read>(path: string, read: (file: number) => Read): Read | Refusal {
  try {
    // A FIFO would keep the reader waiting.
    const file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
    try {
      return read(file);
    } finally {
      closeSync(file);
    }
  } catch (error) {
    return refuse(fileError((error as NodeJS.ErrnoException).code));
  }
}

function regularFile(file: number): Stats | Refusal {
  const status = fstatSync(file);
  if (status.isDirectory()) return refuse("is a directory");
  if (!status.isFile()) return refuse("not a regular file");
  return status.size > MOST_BYTES ? refuse(`larger than ${MOST_BYTES} bytes`) : status;
}

function readFrom(
  file: number,
  path: string,
  policy: ModePolicy,
  distrusts: typeof distrust,
): ReadFile | Refusal {
  const status = regularFile(file);
  if (isRefusal(status)) return status;
  if (status.uid !== 0 && status.uid !== process.geteuid?.())
    return refuse(`owned by user ${status.uid}: root must own it`);
  const untrusted = distrusts(path, process.geteuid?.());
  if (untrusted !== undefined) return refuse(untrusted);
  const warning = checkMode(file, status.mode & 0o7777, policy);
  const bytes = contents(file, status.size);
  return isRefusal(bytes) ? bytes : { bytes, warning };
}

function checkMode(file: number, mode: number, policy: ModePolicy): string | undefined {
  if ((mode & ~policy.mode & 0o044) === 0) return undefined;
  const found = `mode ${octal(mode)} lets others read it`;
  const right = mode & policy.mode;
  if (!policy.repair) return `${found}: it should be ${octal(right)}`;
  try {
    fchmodSync(file, right);
    return `${found}: set to ${octal(right)}`;
  } catch (error) {
    return `${found}, and cannot be set to ${octal(right)} (${(error as NodeJS.ErrnoException).code})`;
  }
}

/** A file may grow while it is read. @param size of the file, as it was */
function contents(file: number, size: number): Buffer | Refusal {
  let bytes = Buffer.allocUnsafe(size + 1);
  let length = 0;
  while (length <= MOST_BYTES) {
    if (length === bytes.length) bytes = Buffer.concat([bytes], Math.min(2 * length, MOST_BYTES + 1));
    const count = readSync(file, bytes, length, bytes.length - length, null);
    if (count === 0) return bytes.subarray(0, length);
    length += count;
  }
  return refuse(`larger than ${MOST_BYTES} bytes`);
}

function octal(mode: number): string {
  return mode.toString(8).padStart(4, "0");
}

/** Why a file cannot be read, without its name. */
export function fileError(code: string | undefined): string {
  switch (code) {
    case "ENOENT":
    case "ENOTDIR":
      return "no such file";
    case "EACCES":
    case "EPERM":
      return "permission denied";
    case "EISDIR":
      return "is a directory";
    default:
      return `cannot be read (${code ?? "unknown error"})`;
  }
}
