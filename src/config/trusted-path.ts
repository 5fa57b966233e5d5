/**
 * Trusted paths: whether a user other than root could change what lies at a path, by its owner and mode, by those of
 * the directories above it, and by symbolic links on the way. For everything that root executes, obeys or writes
 * secrets to. Reads the file system only.
 */

import { lstatSync, readlinkSync, realpathSync, type Stats } from "node:fs";
import { dirname, isAbsolute, join } from "node:path";

/** Mode bits with which users other than the owner may write. */
const OTHERS_MAY_WRITE = 0o022;
const STICKY = 0o1000;

/**
 * Why the path is not trusted; undefined: it is.
 *
 * @param owner uid that may own it besides root's
 * @throws ErrnoException when there is nothing at the path
 */
export function distrust(path: string, owner = 0): string | undefined {
  const [real = path, ...above] = wayTo(path);
  return distrustEach([real], owner, false) ?? distrustEach(above, owner, true);
}

/** `distrust` for many files: the way to their directory is looked at once. */
export function distrustOfFiles(): typeof distrust {
  const directories = new Map<string, string | undefined>();
  return (path, owner = 0) => {
    // A link's way is its own.
    if (!isAbsolute(path) || lstatSync(path).isSymbolicLink()) return distrust(path, owner);
    const why = distrustEach([path], owner, false);
    if (why !== undefined) return why;
    const directory = dirname(path);
    const known = `${owner} ${directory}`;
    if (!directories.has(known)) directories.set(known, distrustEach(wayTo(directory), owner, true));
    return directories.get(known);
  };
}

/** @param areAbove whether they are on the way to what is asked about */
function distrustEach(paths: readonly string[], owner: number, areAbove: boolean): string | undefined {
  for (const each of paths) {
    const stats = lstatSync(each);
    const why = distrustOf(stats, owner, areAbove);
    if (why !== undefined) return `${areAbove || stats.isDirectory() ? named(each, stats) : "it"} ${why}`;
  }
  return undefined;
}

function distrustOf(stats: Stats, owner: number, isAbove: boolean): string | undefined {
  if (stats.uid !== 0 && stats.uid !== owner) return "is not owned by root";
  // The mode of a symbolic link means nothing. In a sticky directory like /tmp every user may make files, but not
  // replace root's.
  if (stats.isSymbolicLink() || (isAbove && (stats.mode & STICKY) !== 0)) return undefined;
  return (stats.mode & OTHERS_MAY_WRITE) === 0 ? undefined : "can be written by others than root";
}

function named(path: string, stats: Stats): string {
  return `${stats.isSymbolicLink() ? "symbolic link" : "directory"} ${path}`;
}

/**
 * What lies at the path, without symbolic links, and then everything that led there, the nearest first: the directories
 * and each symbolic link. As the kernel does, `..` is taken where a symbolic link before it leads.
 */
function wayTo(path: string): string[] {
  // Fails for links that lead round in circles.
  realpathSync.native(path);
  const names = (isAbsolute(path) ? path : join(process.cwd(), path)).split("/");
  const way = ["/"];
  let at = "/";
  for (let name = names.shift(); name !== undefined; name = names.shift()) {
    const next = join(at, name);
    way.unshift(next);
    if (!lstatSync(next).isSymbolicLink()) {
      at = next;
      continue;
    }
    const target = readlinkSync(next);
    if (isAbsolute(target)) at = "/";
    names.unshift(...target.split("/"));
  }
  return [...new Set([at, ...way])];
}
