/**
 * The syntax of hostname.carpN files, after hostname.if(5): lines, quoting, `!COMMAND`, `dest`, and the inet and inet6
 * forms rewritten as ifconfig words. It knows no parameter of ifconfig and runs nothing.
 */

import { INTERFACE_NAME } from "../control/limits.ts";
import { printable } from "../control/printable.ts";
import { isRefusal, type Refusal, refuse } from "../control/refusal.ts";
import { parseAddress, splitScope } from "../protocol/address.ts";
import { looksLikeAddress } from "./address-word.ts";
import { type Complaint, type JoinedLine, joinedLinesOf } from "./lines.ts";
import { type PlacedWord, placedWords } from "./shell-words.ts";

const PREFIX = "hostname.";

/** A line of parameters as ifconfig words. */
export interface ParameterLine {
  readonly words: readonly string[];
  /** For each word the number of its line: they differ where a line is continued. */
  readonly lines: readonly number[];
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

/** @param name the interface: it replaces `$if` in commands */
export function readHostnameFile(bytes: Buffer, name: string): HostnameFile {
  const steps: FileStep[] = [];
  const warnings: Complaint[] = [];
  const errors: Complaint[] = [];
  let lines: ParameterLine[] | undefined;
  for (const line of joinedLinesOf(bytes)) {
    const { number } = line;
    const read = "refusal" in line ? line : readLine(line);
    if (read === undefined) continue;
    if ("refusal" in read) errors.push({ line: number, message: read.refusal });
    else if ("warning" in read) warnings.push({ line: number, message: read.warning });
    else if ("command" in read) {
      steps.push({ kind: "command", line: number, command: withInterface(read.command, name) });
      lines = undefined;
    } else {
      if (lines === undefined) {
        lines = [];
        steps.push({ kind: "parameters", lines });
      }
      lines.push(read);
    }
  }
  return { steps, warnings, errors };
}

type ReadLine = ParameterLine | { readonly command: string } | { readonly warning: string };

/** undefined: the line is empty or a comment. */
function readLine({ number, text, lineAt }: Exclude<JoinedLine, Refusal>): ReadLine | Refusal | undefined {
  if (text.trimStart().startsWith("#")) {
    const isContinued = lineAt(text.length) > number;
    return isContinued
      ? { warning: "a backslash continues this comment: the next line is part of it" }
      : undefined;
  }
  if (text.trimStart().startsWith("!")) {
    const command = text.trim().slice(1).trim();
    return command === "" ? refuse("!: needs a command") : { command };
  }
  // Blanks at the end of a line are none of its words, also behind a backslash.
  const words = placedWords(text.trimEnd());
  if (isRefusal(words)) return words;
  if (words.length === 0) return undefined;
  if (words[0]?.text === "dest") return destination(words.map((word) => word.text));
  const parameters = asParameters(words);
  return { words: parameters.map((word) => word.text), lines: parameters.map(({ at }) => lineAt(at)) };
}

/** `$if` where sh would expand it, and `\$if` anywhere: OpenBSD's netstart takes the backslash off first. */
const WITH_IF = /\\?\$(?:if\b|\{if\})|\\.|\$\$|['"]/gs;

/** A command with the interface's name in place of `$if`, `${if}` and `\$if`. */
function withInterface(command: string, name: string): string {
  let quote = "";
  return command.replace(WITH_IF, (piece) => {
    if (/if\}?$/.test(piece)) return quote === "'" && !piece.startsWith("\\") ? piece : name;
    const closes = piece === quote || (quote === "'" && piece === "\\'");
    if (closes) quote = "";
    else if (quote === "" && (piece === "'" || piece === '"')) quote = piece;
    return piece;
  });
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
function asParameters(words: readonly PlacedWord[]): PlacedWord[] {
  const text = (index: number) => words[index]?.text ?? "";
  const before = (index: number, keyword: string) => ({ text: keyword, at: words[index]?.at ?? 0 });
  const family = text(0);
  // Behind other lines' words an address has to say that it is one.
  if (looksLikeAddress(family)) return [before(0, family.includes(":") ? "inet6" : "inet"), ...words];
  const at = text(1) === "alias" ? 2 : 1;
  if ((family !== "inet" && family !== "inet6") || !looksLikeAddress(text(at))) return [...words];
  const [length, broadcast] = [at + 1, at + 2];
  if (!/^[0-9]/.test(text(length))) return [...words];
  const head = [
    ...words.slice(0, length),
    before(length, family === "inet" ? "netmask" : "prefixlen"),
    ...words.slice(length, broadcast),
  ];
  if (family === "inet6") return [...head, ...words.slice(broadcast)];
  if (text(broadcast) === "NONE") return [...head, ...words.slice(broadcast + 1)];
  if (!looksLikeAddress(text(broadcast))) return [...head, ...words.slice(broadcast)];
  return [...head, before(broadcast, "broadcast"), ...words.slice(broadcast)];
}

/**
 * The line that the engine's refusal of the file is about: the last one with the word that the refusal begins with.
 * Undefined where it names no word of the file.
 */
export function lineOf(refusal: string, lines: readonly ParameterLine[]): number | undefined {
  const [word = ""] = refusal.split(/:? /);
  // An address may be written in another way, with another length, or with its scope.
  const bare = (text: string) => {
    const [address = ""] = text.split(/[/%]/, 1);
    return parseAddress(address)?.address ?? address;
  };
  const isNamed = (each: string) => [word, `-${word}`].includes(each) || bare(each) === bare(word);
  const line = lines.findLast(({ words }) => words.some(isNamed));
  return line?.lines[line.words.findLastIndex(isNamed)];
}
