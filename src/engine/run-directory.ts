/**
 * The directory of the engine's socket and saved state: made when it is missing, for everybody to look into, since
 * anybody may read through the socket. Never makes the directories above it.
 */

import { chmod, mkdir, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { SOCKET_NAME } from "../control/client.ts";

/** What a socket's address holds, its final NUL not counted. */
const MAX_SOCKET_PATH_BYTES = 107;
/** The socket is made under a name with the process id behind it. */
const LONGEST_PID = ".4194304";

/** @returns why it cannot be used; undefined when it can */
export async function makeRunDirectory(path: string): Promise<string | undefined> {
  const socket = join(path, SOCKET_NAME) + LONGEST_PID;
  if (Buffer.byteLength(socket) > MAX_SOCKET_PATH_BYTES) return "its name is too long for a socket";
  try {
    await mkdir(path, { mode: 0o755 });
    // What the umask took.
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
      return (await isDirectory(path)) ? undefined : "not a directory";
    case "ENOTDIR":
      return "not a directory";
    case "ENOENT":
      if (!(await isDirectory(dirname(path)))) return `no such directory: ${dirname(path)}`;
      break;
  }
  return `cannot be made (${code ?? "unknown error"})`;
}
