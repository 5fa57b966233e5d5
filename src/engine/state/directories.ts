/**
 * Makes the engine's directories when they are missing: the run directory, with its sockets and saved state, and the
 * state directory, with what outlives a reboot. Any user may enter the run directory, because any user may query the
 * engine; none but root and the engine's user may have made them, or could replace them. Never makes the directories
 * above the run directory.
 */

import {
  chmodSync,
  chownSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  realpathSync,
  statSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { distrust } from "../../config/trusted-path.ts";
import { SOCKET_NAME } from "../../control/client.ts";
import type { User } from "../../kernel/process/native-process.ts";
import { ENGINE_USER } from "../../kernel/process/privileges.ts";

/** The longest path in a socket's address, without its final NUL. */
const MAX_SOCKET_PATH_BYTES = 107;
/** What engines make in their directories. */
const OWN_ENTRY =
  /^(maintenance|history(-provoked)?\.jsonl(\.old)?(\.unusable)?|engine\.lock|metrics\.sock|(engine|admin)\.sock(\.\d+)?|[a-z-]+\.json(\.new|\.unusable)?)$/;
/** The socket is made under a temporary name that ends in the process id. */
const LONGEST_PID = ".4194304";

/**
 * Makes the run directory.
 *
 * @param user the engine's user, which may own it; undefined: root alone
 * @param sockets further paths of the engine's, which may be in it
 * @returns why it cannot be used; undefined: it can
 */
export function makeRunDirectory(
  path: string,
  user: User | undefined,
  sockets: readonly string[] = [],
): string | undefined {
  const socket = join(path, SOCKET_NAME) + LONGEST_PID;
  if (Buffer.byteLength(socket) > MAX_SOCKET_PATH_BYTES) return "its name is too long for a socket";
  try {
    // Nothing is made in a directory where another user could replace it.
    const untrusted = distrust(dirname(path));
    if (untrusted !== undefined) return untrusted;
    const theirs = user && foreignEntry(user, path, sockets);
    if (theirs !== undefined)
      return `holds ${theirs}, which is not the engine's: give it a directory of its own`;
    const closed = user && closedTo(user, realpathSync(dirname(path)));
    if (closed !== undefined) return `user ${ENGINE_USER} cannot enter ${closed}`;
    mkdirSync(path, { mode: 0o755 });
    // The umask may have removed permissions.
    chmodSync(path, 0o755);
    return undefined;
  } catch (error) {
    return whyNot(path, user, (error as NodeJS.ErrnoException).code);
  }
}

/** A file in a directory that is to become the engine user's, and that no engine made. */
function foreignEntry(user: User, directory: string, sockets: readonly string[] = []): string | undefined {
  const found = statSync(directory, { throwIfNoEntry: false });
  if (found === undefined || !found.isDirectory() || found.uid === user.uid) return undefined;
  return readdirSync(directory).find(
    (name) => !OWN_ENTRY.test(name) && !sockets.includes(join(directory, name)),
  );
}

/** The first directory, from this one up, that the user may not enter. */
function closedTo(user: User, directory: string): string | undefined {
  const found = statSync(directory);
  if (!found.isDirectory()) return undefined;
  const { uid, gid, mode } = found;
  const bit = uid === user.uid ? 0o100 : gid === user.gid ? 0o010 : 0o001;
  if ((mode & bit) === 0) return directory;
  return dirname(directory) === directory ? undefined : closedTo(user, dirname(directory));
}

function whyNot(path: string, user: User | undefined, code: string | undefined): string | undefined {
  const isDirectory = (of: string) => statSync(of, { throwIfNoEntry: false })?.isDirectory() === true;
  switch (code) {
    case "EEXIST":
      return isDirectory(path) ? distrust(path, user?.uid) : "not a directory";
    case "ENOTDIR":
      return "not a directory";
    case "ENOENT":
      if (!isDirectory(dirname(path))) return `no such directory: ${dirname(path)}`;
      break;
  }
  return `cannot be made (${code ?? "unknown error"})`;
}

/**
 * Makes the state directory, for the engine's user.
 *
 * @returns why it cannot be used; undefined: it can
 */
export function makeStateDirectory(path: string, user: User | undefined): string | undefined {
  try {
    const theirs = user && foreignEntry(user, path);
    if (theirs !== undefined)
      return `holds ${theirs}, which is not the engine's: give it a directory of its own`;
    const made = mkdirSync(path, { recursive: true, mode: 0o755 });
    // The umask may have removed permissions: every user may read the history there.
    if (made !== undefined) chmodSync(path, 0o755);
    const untrusted = distrust(path, user?.uid);
    if (untrusted !== undefined) return untrusted;
    handOver(path, user);
    return undefined;
  } catch (error) {
    return `cannot be made (${(error as NodeJS.ErrnoException).code})`;
  }
}

/**
 * Gives a directory to the engine's user, with the files that engines of root left there. No link is followed, and a
 * file with a second name stays root's.
 */
export function handOver(directory: string, user: User | undefined): void {
  if (user === undefined) return;
  for (const name of readdirSync(directory)) {
    const path = join(directory, name);
    const found = lstatSync(path);
    if (found.uid === 0 && found.nlink === 1 && (found.isFile() || found.isSocket()))
      lchownSync(path, user.uid, user.gid);
  }
  chownSync(directory, user.uid, user.gid);
}
