/**
 * Makes the run directory, which holds the engine's socket and saved state, when it is missing. Any user may
 * enter it, because any user may query the engine; none but root may have made it, or could replace it. Never
 * makes the directories above it.
 */

import { chmod, mkdir, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { distrust } from "../../config/trusted-path.ts";
import { SOCKET_NAME } from "../../control/client.ts";

/** The longest path in a socket's address, without its final NUL. */
const MAX_SOCKET_PATH_BYTES = 107;
/** The socket is made under a temporary name that ends in the process id. */
const LONGEST_PID = ".4194304";

/** Makes the run directory. @returns why it cannot be used; undefined: it can */
export async function makeRunDirectory(path: string): Promise<string | undefined> {
  const socket = join(path, SOCKET_NAME) + LONGEST_PID;
  if (Buffer.byteLength(socket) > MAX_SOCKET_PATH_BYTES) return "its name is too long for a socket";
  try {
    // Nothing is made in a directory where another user could replace it.
    const untrusted = distrust(dirname(path));
    if (untrusted !== undefined) return untrusted;
    await mkdir(path, { mode: 0o755 });
    // The umask may have removed permissions.
    await chmod(path, 0o755);
    return undefined;
  } catch (error) {
    return whyNot(path, (error as NodeJS.ErrnoException).code);
  }
}

async function whyNot(path: string, code: string | undefined): Promise<string | undefined> {
  const isDirectory = async (of: string) => (await stat(of).catch(() => undefined))?.isDirectory() === true;
  switch (code) {
    case "EEXIST":
      return (await isDirectory(path)) ? distrust(path) : "not a directory";
    case "ENOTDIR":
      return "not a directory";
    case "ENOENT":
      if (!(await isDirectory(dirname(path)))) return `no such directory: ${dirname(path)}`;
      break;
  }
  return `cannot be made (${code ?? "unknown error"})`;
}
