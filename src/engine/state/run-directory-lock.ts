/**
 * RunDirectoryLock: one engine for a run directory, from before the engine loads anything until it has ended, however
 * it ends. Two locks: on a file there (not on the directory, which every user may open), and on a name of the network
 * namespace, which is left when the directory is replaced.
 */

import { createHash } from "node:crypto";
import { closeSync, constants, fstatSync, openSync, realpathSync, statSync, unlinkSync } from "node:fs";
import { join } from "node:path";
import { errnoName } from "../../kernel/native.ts";
import { nativeProcess, type User } from "../../kernel/process/native-process.ts";
import { nativeUnixSockets } from "../../kernel/process/native-unix-sockets.ts";

const LOCK_NAME = "engine.lock";
const OWNER_ONLY = 0o600;
const EWOULDBLOCK = 11;

export class RunDirectoryLock {
  readonly path: string;
  #file: number;

  private constructor(path: string, file: number) {
    this.path = path;
    this.#file = file;
  }

  /**
   * @param user the engine's user
   * @returns undefined: another engine has it. Throws an Error with a message for a person.
   */
  static take(runDir: string, user: User | undefined): RunDirectoryLock | undefined {
    const path = join(runDir, LOCK_NAME);
    const file = lock(path);
    if (file === undefined) return undefined;
    if (isNameLocked(runDir, user)) {
      closeSync(file);
      return undefined;
    }
    return new RunDirectoryLock(path, file);
  }

  /**
   * Makes the file anew that another program has removed. Throws where that is not possible.
   *
   * @returns whether it was there
   */
  keep(): boolean {
    if (isAt(this.path, this.#file)) return true;
    const file = lock(this.path);
    if (file !== undefined) {
      closeSync(this.#file);
      this.#file = file;
    }
    return false;
  }

  /** Gives the file up and removes it. The name goes with the process. */
  release(): void {
    try {
      if (isAt(this.path, this.#file)) unlinkSync(this.path);
    } catch {
      // A file without a lock prevents nothing.
    }
    closeSync(this.#file);
  }
}

/** Locks the name. @returns whether an engine has it; another user that took it prevents nothing */
function isNameLocked(runDir: string, user: User | undefined): boolean {
  const identity = createHash("sha256").update(realpathSync(runDir)).digest("hex");
  const name = `\0carpctl ${identity}`;
  if (nativeUnixSockets.listenUnix(name, 1) >= 0) return false;
  const uid = nativeUnixSockets.listenerUid(name);
  return uid !== undefined && (uid === 0 || uid === user?.uid);
}

/** @returns the locked file; undefined: another process has locked it */
function lock(path: string): number | undefined {
  for (;;) {
    const file = open(path);
    const error = nativeProcess.lockFile(file);
    // Its last owner may have removed it just before.
    if (error === 0 && isAt(path, file)) return file;
    closeSync(file);
    if (error === EWOULDBLOCK) return undefined;
    if (error !== 0) throw new Error(`${path} cannot be locked: ${errnoName(error)}`);
  }
}

function open(path: string): number {
  try {
    return openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, OWNER_ONLY);
  } catch (error) {
    throw new Error(`${path} cannot be opened: ${(error as NodeJS.ErrnoException).code}`);
  }
}

/** Whether this open file is the one at the path. */
function isAt(path: string, file: number): boolean {
  const there = statSync(path, { throwIfNoEntry: false });
  const { dev, ino } = fstatSync(file);
  return there?.dev === dev && there.ino === ino;
}
