/**
 * The user that the engine becomes, `_carpd`, for one command and its children: in a mount namespace of theirs,
 * /etc/passwd and /etc/group name it. The machine's own users stay as they are.
 */

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export const ENGINE_UID = 64_987;
export const CARP_GID = 64_986;

const ENTER = 'mount --bind "$1" /etc/passwd && mount --bind "$2" /etc/group && shift 2 && exec "$@"';

/** A command that executes the one behind it where `_carpd` exists, and group `carp`. */
export function withEngineUser(directory: string): string[] {
  const without = (path: string) =>
    readFileSync(path, "utf8")
      .split("\n")
      .filter((line) => line !== "" && !/^_?carpd?:/.test(line));
  const entries = {
    passwd: [
      ...without("/etc/passwd"),
      `_carpd:x:${ENGINE_UID}:${ENGINE_UID}::/nonexistent:/usr/sbin/nologin`,
    ],
    group: [...without("/etc/group"), `_carpd:x:${ENGINE_UID}:`, `carp:x:${CARP_GID}:`],
  };
  const paths = Object.entries(entries).map(([name, lines]) => {
    const path = join(directory, name);
    writeFileSync(path, `${lines.join("\n")}\n`, { mode: 0o644 });
    return path;
  });
  return ["unshare", "--mount", "--", "sh", "-c", ENTER, "sh", ...paths];
}
