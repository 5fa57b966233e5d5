/**
 * Finds the scripts of a directory that may run as root: no user but root can have written them. Reads the
 * file system and runs nothing.
 */

import { readdirSync, realpathSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { distrust } from "../../../config/trusted-path.ts";
import { MAX_SCRIPTS } from "./messages.ts";

export interface Script {
  readonly name: string;
  /** As it was found. */
  readonly file: string;
  /** Without symbolic links. */
  readonly path: string;
  /** Why it is not run; absent when it may be. */
  readonly refusal?: string | undefined;
}

/**
 * The executable files of the directory by name, none when there is no such directory. Names that begin with a dot
 * belong to editors and package managers and are passed over.
 *
 * @param owner uid that files must have
 * @param only these files; undefined: all
 */
export function scriptsIn(directory: string, owner = 0, only?: ReadonlySet<string>): Script[] {
  let names: string[];
  let untrusted: string | undefined;
  try {
    names = readdirSync(directory).filter(
      (name) => !name.startsWith(".") && (only === undefined || only.has(join(directory, name))),
    );
    untrusted = distrust(directory, owner);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return [];
    return [{ ...itself(directory), refusal: `cannot be read (${code})` }];
  }
  const scripts = names.sort().flatMap((name) => scriptAt(directory, name, owner) ?? []);
  if (scripts.length > MAX_SCRIPTS)
    return [
      {
        ...itself(directory),
        refusal: `holds more than ${MAX_SCRIPTS} executable files`,
      },
    ];
  return untrusted === undefined ? scripts : scripts.map((script) => ({ ...script, refusal: untrusted }));
}

/** A directory that is refused as a whole. */
function itself(directory: string): Script {
  return { name: basename(directory), file: directory, path: directory };
}

/** undefined: nothing to run. */
function scriptAt(directory: string, name: string, owner: number): Script | undefined {
  const given = join(directory, name);
  try {
    const path = realpathSync(given);
    const stats = statSync(path);
    if (!stats.isFile() || (stats.mode & 0o111) === 0) return undefined;
    return { name, file: given, path, refusal: distrust(given, owner) ?? distrust(dirname(path), owner) };
  } catch (error) {
    return {
      name,
      file: given,
      path: given,
      refusal: `cannot be read (${(error as NodeJS.ErrnoException).code})`,
    };
  }
}
