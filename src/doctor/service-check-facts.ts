/**
 * Finds programs in the directory of service checks that are not executable, which the engine passes over. In the
 * command's process: the engine reads no file that is not its own.
 */

import { closeSync, openSync, readdirSync, readSync, statSync } from "node:fs";
import { join } from "node:path";

/** What a script begins with. */
const INTERPRETER = "#!";

/** The paths; none where the directory cannot be read. */
export function passedOver(etcDir: string): string[] {
  const directory = join(etcDir, "carp/service_status.d");
  try {
    return readdirSync(directory)
      .filter((name) => !name.startsWith("."))
      .sort()
      .map((name) => join(directory, name))
      .filter((path) => {
        const stats = statSync(path, { throwIfNoEntry: false });
        return stats?.isFile() && (stats.mode & 0o111) === 0 && beginningOf(path) === INTERPRETER;
      });
  } catch {
    return [];
  }
}

function beginningOf(path: string): string {
  const fd = openSync(path, "r");
  try {
    const bytes = Buffer.alloc(INTERPRETER.length);
    return bytes.toString("latin1", 0, readSync(fd, bytes));
  } finally {
    closeSync(fd);
  }
}
