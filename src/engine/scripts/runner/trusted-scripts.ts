/**
 * Finds the scripts of a directory that may run as root: no user but root can have written them. Reads the
 * file system and runs nothing.
 */

import { readdirSync, realpathSync, type Stats, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { MAX_SCRIPTS } from "./messages.ts";

export interface Script {
  readonly name: string;
  /** Without symbolic links. */
  readonly path: string;
  /** Why it is not run; absent when it may be. */
  readonly refusal?: string | undefined;
}

/** Mode bits of a file that users other than root may change. */
const OTHERS_MAY_WRITE = 0o022;
const STICKY = 0o1000;

/**
 * The executable files of the directory by name, none when there is no such directory. Names that begin with a dot
 * belong to editors and package managers and are passed over.
 *
 * @param owner uid that files must have
 */
export function scriptsIn(directory: string, owner = 0): Script[] {
  let names: string[];
  let untrusted: string | undefined;
  try {
    names = readdirSync(directory).filter((name) => !name.startsWith("."));
    untrusted = distrust(realpathSync(directory), owner);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return [];
    return [{ name: basename(directory), path: directory, refusal: `cannot be read (${code})` }];
  }
  const scripts = names.sort().flatMap((name) => scriptAt(directory, name, owner) ?? []);
  if (scripts.length > MAX_SCRIPTS)
    return [
      {
        name: basename(directory),
        path: directory,
        refusal: `holds more than ${MAX_SCRIPTS} executable files`,
      },
    ];
  return untrusted === undefined ? scripts : scripts.map((script) => ({ ...script, refusal: untrusted }));
}

/** undefined: nothing to run. */
function scriptAt(directory: string, name: string, owner: number): Script | undefined {
  const given = join(directory, name);
  try {
    const path = realpathSync(given);
    const stats = statSync(path);
    if (!stats.isFile() || (stats.mode & 0o111) === 0) return undefined;
    const refusal = distrustOf("it", stats, owner) ?? distrust(dirname(path), owner);
    return { name, path, refusal };
  } catch (error) {
    return { name, path: given, refusal: `cannot be read (${(error as NodeJS.ErrnoException).code})` };
  }
}

/** Why a directory is not trusted: another user could replace its files, or a directory above it. */
function distrust(directory: string, owner: number): string | undefined {
  const its = distrustOf(`directory ${directory}`, statSync(directory), owner);
  if (its !== undefined || directory === "/") return its;
  for (let above = dirname(directory); ; above = dirname(above)) {
    const stats = statSync(above);
    // In a sticky directory like /tmp every user may make files, but not replace root's.
    const why = distrustOf(`directory ${above}`, stats, owner, (stats.mode & STICKY) !== 0);
    if (why !== undefined || above === "/") return why;
  }
}

function distrustOf(what: string, { uid, mode }: Stats, owner: number, isSticky = false): string | undefined {
  if (uid !== 0 && uid !== owner) return `${what} is not owned by root`;
  return (mode & OTHERS_MAY_WRITE) === 0 || isSticky
    ? undefined
    : `${what} can be written by others than root`;
}
