/**
 * The syntax of hostname.carpN files, after hostname.if(5): lines, quoting, `!COMMAND`, `dest`, and the inet and inet6
 * forms rewritten as ifconfig words. It knows no parameter of ifconfig and runs nothing.
 */

import { INTERFACE_NAME } from "../control/limits.ts";
import { printable } from "../control/printable.ts";
import { isRefusal, type Refusal, refuse } from "../control/refusal.ts";
import { parseAddress, splitScope } from "../protocol/address.ts";
import { looksLikeAddress } from "./address-word.ts";
import { type Complaint, linesOf } from "./lines.ts";
import { splitWords } from "./shell-words.ts";

const PREFIX = "hostname.";

/** A line of parameters as ifconfig words. */
export interface ParameterLine {
  readonly line: number;
  readonly words: readonly string[];
}

export type FileStep =
  /** Lines that follow one another without a command between them. */
  | { readonly kind: "parameters"; readonly lines: readonly ParameterLine[] }
  /** A command for sh. */
  | { readonly kind: "command"; readonly line: number; readonly command: string };

export interface HostnameFile {
  readonly steps: readonly FileStep[];
  readonly warnings: readonly Complaint[];
  readonly errors: readonly Complaint[];
}

/** The name of an interface's file. */
export function fileOf(name: string): string {
  return `${PREFIX}${name}`;
}

/** The interface that a file of this name configures; undefined for the backups of editors and packages. */
export function interfaceOf(file: string): string | undefined {
  const name = file.startsWith(PREFIX) ? file.slice(PREFIX.length) : "";
  return INTERFACE_NAME.test(name) ? name : undefined;
}

/** @param name the interface: it replaces `\$if` in commands */
export function readHostnameFile(bytes: Buffer, name: string): HostnameFile {
  const steps: FileStep[] = [];
  const warnings: Complaint[] = [];
  const errors: Complaint[] = [];
  let lines: ParameterLine[] | undefined;
  for (const line of linesOf(bytes)) {
    const { number } = line;
    const read = "refusal" in line ? line : readLine(line.text.trim());
    if (read === undefined) continue;
    if ("refusal" in read) errors.push({ line: number, message: read.refusal });
    else if ("warning" in read) warnings.push({ line: number, message: read.warning });
    else if ("command" in read) {
      steps.push({ kind: "command", line: number, command: read.command.replaceAll("\\$if", name) });
      lines = undefined;
    } else {
      if (lines === undefined) {
        lines = [];
        steps.push({ kind: "parameters", lines });
      }
      lines.push({ line: number, words: read.words });
    }
  }
  return { steps, warnings, errors };
}

type ReadLine =
  | { readonly words: readonly string[] }
  | { readonly command: string }
  | { readonly warning: string };

/** undefined: the line is empty or a comment. */
function readLine(text: string): ReadLine | Refusal | undefined {
  if (text.startsWith("!")) {
    const command = text.slice(1).trim();
    return command === "" ? refuse("!: needs a command") : { command };
  }
  const words = splitWords(text);
  if (isRefusal(words)) return words;
  if (words.length === 0) return undefined;
  return words[0] === "dest" ? destination(words) : { words: asParameters(words) };
}

/** `dest ADDRESS` is for point-to-point interfaces; a carp interface has no far end. */
function destination([, text, ...others]: readonly string[]): { readonly warning: string } | Refusal {
  if (text === undefined) return refuse("dest: needs an address");
  if (others.length > 0) return refuse(`${printable(others[0])}: dest takes one address`);
  if (parseAddress(splitScope(text).address) === undefined)
    return refuse(`dest ${printable(text)}: not an address`);
  return { warning: `dest ${text}: ignored: a carp interface has no address at a far end` };
}

/**
 * A line as ifconfig words: `inet [alias] ADDRESS [NETMASK [BROADCAST|NONE]]` and `inet6 [alias] ADDRESS [PREFIXLEN]`
 * name by their place what ifconfig has keywords for.
 */
function asParameters(words: readonly string[]): string[] {
  const [family = ""] = words;
  // Behind other lines' words an address has to say that it is one.
  if (looksLikeAddress(family)) return [family.includes(":") ? "inet6" : "inet", ...words];
  const at = words[1] === "alias" ? 2 : 1;
  if ((family !== "inet" && family !== "inet6") || !looksLikeAddress(words[at] ?? "")) return [...words];
  const head = words.slice(0, at + 1);
  const rest = words.slice(at + 1);
  const [length = "", broadcast = ""] = rest;
  if (!/^[0-9]/.test(length)) return [...words];
  if (family === "inet6") return [...head, "prefixlen", ...rest];
  head.push("netmask", length);
  if (broadcast === "NONE") return [...head, ...rest.slice(2)];
  if (looksLikeAddress(broadcast)) return [...head, "broadcast", ...rest.slice(1)];
  return [...head, ...rest.slice(1)];
}

/**
 * The line that the engine's refusal of the file is about: the last one with the word that the refusal begins with.
 * Undefined where it names no word of the file.
 */
export function lineOf(refusal: string, lines: readonly ParameterLine[]): number | undefined {
  const [word = ""] = refusal.split(/:? /);
  // An address may be written with another length, or with its scope.
  const bare = (text: string) => text.split(/[/%]/, 1)[0];
  const isNamed = (each: string) => each === word || bare(each) === bare(word);
  return lines.findLast(({ words }) => words.some(isNamed))?.line;
}
