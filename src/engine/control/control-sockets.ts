/**
 * The two listening sockets of the control protocol in the run directory: engine.sock for every user, admin.sock for
 * root and group `carp`. Makes them, under the permissions that keep all others from admin.sock, and makes them anew
 * when they were removed. Knows nothing of what is said there.
 */

import { chmodSync, chownSync, readdirSync, renameSync, statSync, unlinkSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { ADMIN_SOCKET_NAME, SOCKET_NAME } from "../../control/client.ts";
import { errnoName } from "../../kernel/native.ts";
import { nativeProcess } from "../../kernel/process/native-process.ts";
import { nativeUnixSockets } from "../../kernel/process/native-unix-sockets.ts";

/** The kernel takes net.core.somaxconn where that is less. */
const BACKLOG = 4096;

/** Another engine answers in the run directory. */
export class AlreadyRunning extends Error {}

export interface ControlSocketsOptions {
  readonly runDir: string;
  /** The user that will own the sockets; default: the one that makes them. Another one needs privileges. */
  readonly uid?: number | undefined;
  /** The id of group `carp`. */
  readonly group?: (() => number | undefined) | undefined;
}

/** A socket that listens at a path. */
class Door {
  readonly path: string;
  readonly #permit: (path: string) => void;
  /** The listening descriptor. */
  listener: number;
  #inode: number;

  /** @param permit gives the socket its owner and mode */
  constructor(path: string, permit: (path: string) => void) {
    this.path = path;
    this.#permit = permit;
    [this.listener, this.#inode] = this.#open();
  }

  get isInPlace(): boolean {
    return statSync(this.path, { throwIfNoEntry: false })?.ino === this.#inode;
  }

  get isMissing(): boolean {
    return statSync(this.path, { throwIfNoEntry: false }) === undefined;
  }

  /** Makes it anew. */
  reopen(): void {
    const [listener, inode] = this.#open();
    nativeUnixSockets.closeSocket(this.listener);
    this.listener = listener;
    this.#inode = inode;
  }

  close(): void {
    const isOurs = this.isInPlace;
    nativeUnixSockets.closeSocket(this.listener);
    try {
      if (isOurs) unlinkSync(this.path);
    } catch {
      // Nobody listens at it, and the next engine replaces it.
    }
  }

  /** A rename puts it in place, so that a command finds a socket there at any moment. */
  #open(): [listener: number, inode: number] {
    const temporary = `${this.path}.${process.pid}`;
    const listener = nativeUnixSockets.listenUnix(temporary, BACKLOG);
    if (listener < 0) throw new Error(`cannot listen at ${temporary}: ${errnoName(-listener)}`);
    try {
      this.#permit(temporary);
      renameSync(temporary, this.path);
      return [listener, statSync(this.path).ino];
    } catch (error) {
      nativeUnixSockets.closeSocket(listener);
      unlinkSync(temporary);
      throw error;
    }
  }
}

export class ControlSockets {
  readonly everyone: Door;
  readonly admin: Door;

  /**
   * Listens on both. Sockets of an engine that was killed are replaced: see `isAnswered`.
   *
   * @throws Error with a message for a person
   */
  constructor({ runDir, uid, group = () => nativeProcess.groupId("carp") }: ControlSocketsOptions) {
    const own = (path: string) => void (uid === undefined || chownSync(path, uid, -1));
    this.everyone = new Door(join(runDir, SOCKET_NAME), (path) => {
      own(path);
      chmodSync(path, 0o666);
    });
    try {
      this.admin = new Door(join(runDir, ADMIN_SOCKET_NAME), (path) => {
        const isGroups = giveToGroup(path, group());
        own(path);
        chmodSync(path, isGroups ? 0o660 : 0o600);
      });
    } catch (error) {
      this.everyone.close();
      throw error;
    }
  }

  get paths(): string[] {
    return [this.everyone.path, this.admin.path];
  }

  /** Makes those anew that another program has removed. @returns whether one was removed */
  restore(): boolean {
    const missing = [
      ...(this.everyone.isMissing ? [this.everyone] : []),
      // When two engines start in the same moment, the one that gives up may have replaced it last.
      ...(this.admin.isInPlace ? [] : [this.admin]),
    ];
    for (const door of missing) door.reopen();
    return missing.length > 0;
  }

  /** Whether engine.sock is this engine's: another one may have replaced it in the same moment. */
  get areInPlace(): boolean {
    return this.everyone.isInPlace;
  }

  close(): void {
    this.everyone.close();
    this.admin.close();
  }
}

/** An engine without privileges can do so only while the group is one of its own. @returns whether it worked */
function giveToGroup(path: string, group: number | undefined): boolean {
  if (group === undefined) return false;
  try {
    chownSync(path, -1, group);
    return true;
  } catch {
    return false;
  }
}

/** Whether an engine listens in the run directory. */
export async function isAnswered(runDir: string): Promise<boolean> {
  return (await accepts(join(runDir, SOCKET_NAME))) || (await accepts(join(runDir, ADMIN_SOCKET_NAME)));
}

/** Whether a process listens at the path. */
function accepts(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(path);
    probe.once("connect", () => {
      probe.destroy();
      resolve(true);
    });
    // With EAGAIN so many connections wait that there is no room for another one.
    probe.once("error", ({ code }: NodeJS.ErrnoException) => resolve(code === "EAGAIN"));
  });
}

/**
 * Removes the sockets of engines that were killed before the rename. A starting engine answers on its own.
 */
export async function removeUnfinished(runDir: string): Promise<void> {
  const unfinished = readdirSync(runDir)
    .filter((name) => [SOCKET_NAME, ADMIN_SOCKET_NAME].some((each) => name.startsWith(`${each}.`)))
    .map((name) => join(runDir, name));
  for (const each of unfinished)
    if (!(await accepts(each)))
      try {
        unlinkSync(each);
      } catch {
        // Another engine has removed it, or it is a directory.
      }
}
