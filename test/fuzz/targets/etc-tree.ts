/**
 * A directory of configuration files from the bytes of an input: entries of every kind, owner and mode. Also the
 * verdict on each, written down anew here: whether only root could have written it.
 *
 * An entry begins with a line `=NAME KIND MODE OWNER`; the lines up to the next one are its contents, or where a
 * symbolic link leads. Nothing that is made here leads out of the tree.
 */

import { spawnSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  lchownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  type Stats,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer, type Server } from "node:net";
import { dirname, join } from "node:path";
import { makeDirectory, removeDirectory } from "../../hosts/resources.ts";

const MOST_ENTRIES = 12;
/** Each starts a process. */
const MOST_COMMANDS = 6;
const OWNERS = [0, 65534, 1000] as const;
/** Fits in no file that is read. */
const HUGE = `${"#".repeat(1023)}\n`.repeat(1100);

/** Kinds that are linked from a stock, since making them takes a process. */
const NODES: Readonly<Record<string, readonly string[]>> = {
  fifo: ["p"],
  null: ["c", "1", "3"],
  zero: ["c", "1", "5"],
  tty: ["c", "5", "0"],
  block: ["b", "7", "200"],
};

interface Entry {
  readonly name: string;
  readonly kind: string;
  readonly mode: number;
  readonly owner: number;
  readonly contents: Buffer;
}

export class EtcTree {
  readonly base = makeDirectory("etc");
  readonly etc = join(this.base, "etc");
  readonly #stock = join(this.base, "stock");
  readonly #server: Server;

  constructor() {
    mkdirSync(this.#stock);
    for (const [kind, words] of Object.entries(NODES))
      spawnSync("mknod", [join(this.#stock, kind), ...words], { stdio: "ignore" });
    this.#server = createServer().listen(join(this.#stock, "socket"));
  }

  close(): void {
    this.#server.close();
    removeDirectory(this.base);
  }

  /** Replaces the directory. Entries that cannot be made are left out. */
  make(input: Buffer): void {
    rmSync(this.etc, { recursive: true, force: true });
    mkdirSync(this.etc, { mode: 0o755 });
    let commands = 0;
    const isNoCommand = (line: string) => !line.trimStart().startsWith("!") || ++commands <= MOST_COMMANDS;
    const directories: (() => void)[] = [];
    for (const entry of entriesIn(input)) {
      const path = join(this.etc, entry.name);
      const text = entry.contents.toString("latin1").split("\n").filter(isNoCommand).join("\n");
      const contents = text.replaceAll("@ETC@", this.etc).replace("@HUGE@", HUGE);
      try {
        this.#make(path, { ...entry, contents: Buffer.from(contents, "latin1") });
      } catch {
        continue;
      }
      // Its own mode would not keep root from making entries in it, but shows what is meant.
      if (entry.kind === "d") directories.push(() => chmodSync(path, entry.mode));
    }
    for (const each of directories) each();
  }

  #make(path: string, { kind, mode, owner, contents }: Entry): void {
    if (kind === "l") {
      const [to = ""] = contents.toString().split("\n");
      symlinkSync(insideOnly(to), path);
      lchownSync(path, owner, owner);
      return;
    }
    if (kind === "d") mkdirSync(path, { recursive: true });
    else if (kind === "socket" || kind in NODES) linkSync(join(this.#stock, kind), path);
    else writeFileSync(path, contents, { flag: "wx" });
    chownSync(path, owner, owner);
    chmodSync(path, mode);
  }

  /** Everything below the directory by its path, with all that could be changed about it. */
  snapshot(): Map<string, { readonly mode: number; readonly others: string }> {
    const found = new Map<string, { readonly mode: number; readonly others: string }>();
    const visit = (path: string) => {
      const stats = lstatSync(path, { bigint: true });
      const { uid, gid, ino, size, mtimeNs } = stats;
      const others = [uid, gid, ino, ...(stats.isFile() ? [size, mtimeNs] : [])].join();
      found.set(path, { mode: Number(stats.mode), others });
      if (stats.isDirectory()) for (const name of readdirSync(path)) visit(join(path, name));
    };
    visit(this.etc);
    return found;
  }

  /** The contents of a regular file that the path leads to and that only root could have written. */
  trusted(path: string): { readonly real: string; readonly contents: Buffer } | undefined {
    const names = path.split("/").filter(Boolean);
    let at = "/";
    for (let links = 0; names.length > 0; ) {
      const name = names.shift() ?? "";
      if (name === "." || name === "") continue;
      if (name === "..") {
        at = dirname(at);
        continue;
      }
      const next = join(at, name);
      const stats = statusOf(next);
      if (stats === undefined || stats.uid !== 0) return undefined;
      if (stats.isSymbolicLink()) {
        if (++links > 40) return undefined;
        names.unshift(...readlinkSync(next).split("/"));
        continue;
      }
      at = next;
      const isWritable = (stats.mode & 0o022) !== 0;
      if (stats.isDirectory() && isWritable && (stats.mode & 0o1000) === 0) return undefined;
      if (stats.isDirectory()) continue;
      if (names.length > 0 || !stats.isFile() || isWritable) return undefined;
    }
    return lstatSync(at).isFile() ? { real: at, contents: readFileSync(at) } : undefined;
  }

  /** The contents of the regular files that are not trusted. */
  untrusted(): Buffer[] {
    return [...this.snapshot().keys()].flatMap((path) =>
      lstatSync(path).isFile() && this.trusted(path) === undefined ? [readFileSync(path)] : [],
    );
  }
}

/** undefined: there is nothing, or nothing can have such a name. */
function statusOf(path: string): Stats | undefined {
  try {
    return lstatSync(path);
  } catch {
    return undefined;
  }
}

function entriesIn(input: Buffer): Entry[] {
  const sections = input
    .toString("latin1")
    .split(/^=/m)
    .slice(1, MOST_ENTRIES + 1);
  return sections.map((section) => {
    const end = section.indexOf("\n");
    const head = end < 0 ? section : section.slice(0, end);
    const [name = "", kind = "", mode = "", owner = ""] = head.split(" ");
    return {
      name: insideOnly(name),
      kind,
      mode: Number.parseInt(mode, 8) & 0o7777 || 0,
      owner: OWNERS[Number(owner)] ?? 0,
      contents: Buffer.from(end < 0 ? "" : section.slice(end + 1), "latin1"),
    };
  });
}

/** A path that stays below the directory: at most one directory and a name. */
function insideOnly(path: string): string {
  const names = path
    .replaceAll("\0", "")
    .split("/")
    .filter((name) => !["", ".", ".."].includes(name));
  return (
    names
      .slice(0, 2)
      .map((name) => name.slice(0, 200))
      .join("/") || "."
  );
}
