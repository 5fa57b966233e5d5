/**
 * Reads the files of one host for a comparison, with netstart's readers: a directory with copies of its configuration,
 * or a file of what `carpctl dump` printed there. Nothing is applied, no command of a file is run, and who owns a copy
 * does not matter.
 */

import { readdirSync, statSync } from "node:fs";
import { join, posix } from "node:path";
import type { HostFiles, InterfaceFile } from "../../../cluster/host-files.ts";
import { fileError, readCopiedFile } from "../../../config/configuration-file.ts";
import { fileOf, interfaceOf } from "../../../config/hostname-file.ts";
import { readSysctlFile } from "../../../config/sysctl-file.ts";
import { compareInterfaceNames } from "../../../control/limits.ts";
import { fileLookups, firstLineOf, type Lookups } from "../../grammar/ifconfig/lookups.ts";
import { isRefusal, type Refusal, refuse } from "../../outcome.ts";
import { PASS_OMITTED } from "../dump.ts";
import { readInterfaceFile } from "../netstart/interface-file.ts";

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

interface Gathered extends Mutable<Omit<HostFiles, "interfaces" | "complaints">> {
  interfaces: InterfaceFile[];
  complaints: HostFiles["complaints"][number][];
}

/** @returns a refusal where there is nothing to read at all, without the host's name */
export async function readHostFiles(
  name: string,
  path: string,
  resolve: Lookups["resolve"] = fileLookups.resolve,
): Promise<HostFiles | Refusal> {
  try {
    return statSync(path).isDirectory()
      ? await readDirectory(name, path, resolve)
      : await readDump(name, path, resolve);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    return refuse(`${path}: ${code === "ENOENT" ? "no such file or directory" : fileError(code)}`);
  }
}

async function readDirectory(name: string, path: string, resolve: Lookups["resolve"]): Promise<HostFiles> {
  const gathered = nothingOf(name, path, join(path, "carp/sysctl.conf"));
  const names = readdirSync(path).flatMap((file) => interfaceOf(file) ?? []);
  const lookups = { resolve, firstLine: async (file: string) => passIn(path, file) };
  for (const each of names.sort(compareInterfaceNames)) {
    const file = join(path, fileOf(each));
    const bytes = readCopiedFile(file);
    if (isRefusal(bytes)) gathered.complaints.push({ path: file, message: bytes.refusal, isError: true });
    else await addInterface(gathered, each, file, bytes, lookups);
  }
  const bytes = readCopiedFile(gathered.variablesPath);
  if (!isRefusal(bytes)) addVariables(gathered, bytes);
  else if (bytes.refusal !== "no such file") {
    gathered.settings = undefined;
    gathered.complaints.push({ path: gathered.variablesPath, message: bytes.refusal, isError: true });
  }
  return gathered;
}

/** Every line stays where it is, so that all have their numbers; what belongs to other parts is blank. */
async function readDump(
  name: string,
  path: string,
  resolve: Lookups["resolve"],
): Promise<HostFiles | Refusal> {
  const bytes = readCopiedFile(path);
  if (isRefusal(bytes)) return refuse(`${path}: ${bytes.refusal}`);
  const gathered = nothingOf(name, path, path);
  const lines = bytes.toString("latin1").split("\n");
  const ownerOf = partsOf(lines);
  const part = (owner: string) =>
    Buffer.from(lines.map((line, at) => (ownerOf[at] === owner ? line : "")).join("\n"), "latin1");
  const owners = [...new Set(ownerOf)].filter((owner) => owner !== VARIABLES && owner !== NONE);
  const lookups = { resolve, firstLine: async () => NOT_READ };
  for (const each of owners.sort(compareInterfaceNames))
    await addInterface(gathered, each, path, part(each), lookups);
  addVariables(gathered, part(VARIABLES));
  for (const [at, line] of lines.entries())
    if (ownerOf[at] === NONE && line.trim() !== "" && !line.trimStart().startsWith("#"))
      gathered.complaints.push({
        path,
        line: at + 1,
        message: "stands before the first '# hostname.carpN'",
        isError: true,
      });
  return gathered;
}

const VARIABLES = "variables";
const NONE = "none";

/** The interface whose file each line is of, by the `# hostname.carpN` before it; or that it sets a variable. */
function partsOf(lines: readonly string[]): string[] {
  let owner = NONE;
  return lines.map((line) => {
    const [, file] = /^# (hostname\.\S+)\s*$/.exec(line) ?? [];
    owner = interfaceOf(file ?? "") ?? owner;
    return /^\s*net\.[a-z0-9_.]+\s*=/.test(line) ? VARIABLES : owner;
  });
}

function nothingOf(name: string, path: string, variablesPath: string): Gathered {
  return { name, path, interfaces: [], variablesPath, settings: [], complaints: [] };
}

async function addInterface(
  gathered: Gathered,
  name: string,
  path: string,
  bytes: Buffer,
  lookups: Lookups,
): Promise<void> {
  const file = await readInterfaceFile(bytes, name, lookups);
  const add =
    (isError: boolean) => (complaint: { readonly line?: number | undefined; readonly message: string }) =>
      void gathered.complaints.push({ path, ...complaint, isError });
  if ("errors" in file) {
    file.errors.forEach(add(true));
    return;
  }
  file.warnings.forEach(add(false));
  const { pass } = file.whole;
  const isOmitted = pass === undefined && bytes.toString("latin1").split("\n").includes(PASS_OMITTED);
  const passIsKnown = !isOmitted && pass !== NOT_READ;
  const change = passIsKnown ? file.whole : { ...file.whole, pass: "" };
  gathered.interfaces.push({ interface: name, path, change, lines: file.lines, passIsKnown });
}

function addVariables(gathered: Gathered, bytes: Buffer): void {
  const file = readSysctlFile(bytes);
  if ("settings" in file) {
    gathered.settings = file.settings;
    return;
  }
  gathered.settings = undefined;
  for (const complaint of file.errors)
    gathered.complaints.push({ path: gathered.variablesPath, ...complaint, isError: true });
}

/** Stands for the pass in a file that is not among the copies. No longer than a pass. */
const NOT_READ = "(passfile not read)";
const ETC = "/etc/";

/** The pass in a file below /etc of the host, where there is a copy of it. */
function passIn(directory: string, path: string): string | Refusal {
  const within = posix.normalize(path);
  if (!within.startsWith(ETC)) return NOT_READ;
  const bytes = readCopiedFile(join(directory, within.slice(ETC.length)));
  return isRefusal(bytes) ? NOT_READ : firstLineOf(bytes);
}
