/**
 * A hostname.carpN file: the lines of hostname.if(5), read into what is to be done, in order. Parameters are
 * ifconfig's and are read by its keyword table. Every line that cannot be taken is named; nothing is done here.
 */

import { type Complaint, type Line, linesOf } from "../../control/files/lines.ts";
import type { InterfaceChange } from "../../control/messages.ts";
import { shown } from "../../control/shown.ts";
import { parseAddress } from "../../protocol/address.ts";
import { append, type Draft, emptyDraft, finish, looksLikeAddress } from "../ifconfig/draft.ts";
import { machine, type Outside } from "../ifconfig/outside.ts";
import { readLine } from "../ifconfig/words.ts";
import { isRefusal, type Refusal, refuse } from "../outcome.ts";
import { splitWords } from "../shell-words.ts";

export type Step =
  /** Lines that follow one another, together: as a change, and as words for ifconfig. */
  | { readonly kind: "parameters"; readonly change: InterfaceChange; readonly words: readonly string[] }
  /** For sh. */
  | { readonly kind: "command"; readonly line: number; readonly command: string };

export interface HostnameFile {
  readonly steps: readonly Step[];
  /** All parameters of the file together. */
  readonly whole: InterfaceChange;
  /** The words of each line, to find the one that a refusal speaks of. */
  readonly lines: readonly ParameterLine[];
  readonly warnings: readonly Complaint[];
}

export interface ParameterLine {
  readonly line: number;
  readonly words: readonly string[];
}

/** @param name of the interface: what a command gets for `\$if` */
export async function readHostnameFile(
  bytes: Buffer,
  name: string,
  outside: Outside = machine,
): Promise<HostnameFile | { readonly errors: readonly Complaint[] }> {
  const reader = new Reader(name, outside);
  for (const line of linesOf(bytes)) await reader.take(line);
  return reader.result();
}

class Reader {
  readonly #name: string;
  readonly #outside: Outside;
  readonly #steps: Step[] = [];
  readonly #whole = emptyDraft();
  #segment: { readonly draft: Draft; readonly words: string[] } | undefined;
  readonly #lines: ParameterLine[] = [];
  readonly #warnings: Complaint[] = [];
  readonly #errors: Complaint[] = [];

  constructor(name: string, outside: Outside) {
    this.#name = name;
    this.#outside = outside;
  }

  async take(line: Line): Promise<void> {
    const refusal = "refusal" in line ? line : await this.#takeText(line.number, line.text.trim());
    if (refusal !== undefined) this.#errors.push({ line: line.number, message: refusal.refusal });
  }

  result(): HostnameFile | { readonly errors: readonly Complaint[] } {
    this.#endSegment();
    const whole = finish(this.#whole);
    if (this.#errors.length > 0) return { errors: this.#errors };
    if (isRefusal(whole)) return { errors: [{ message: whole.refusal }] };
    return { steps: this.#steps, whole, lines: this.#lines, warnings: this.#warnings };
  }

  async #takeText(line: number, text: string): Promise<Refusal | undefined> {
    if (text.startsWith("!")) return this.#takeCommand(line, text.slice(1).trim());
    const words = splitWords(text);
    if (isRefusal(words)) return words;
    if (words.length === 0) return undefined;
    if (words[0] === "dest") return this.#takeDestination(line, words);
    return this.#takeParameters(line, asParameters(words));
  }

  #takeCommand(line: number, text: string): Refusal | undefined {
    if (text === "") return refuse("!: needs a command");
    this.#endSegment();
    this.#steps.push({ kind: "command", line, command: text.replaceAll("\\$if", this.#name) });
    return undefined;
  }

  async #takeParameters(line: number, words: readonly string[]): Promise<Refusal | undefined> {
    const draft = await readLine(words, this.#outside);
    if (isRefusal(draft)) return draft;
    if (draft.destroy) return refuse("destroy: not in a file");
    this.#segment ??= { draft: emptyDraft(), words: [] };
    append(this.#segment.draft, draft);
    append(this.#whole, draft);
    this.#segment.words.push(...words.filter((word) => word !== "create"));
    this.#lines.push({ line, words });
    this.#warnings.push(...draft.warnings.map((message) => ({ line, message })));
    return undefined;
  }

  /** For the far end of a point-to-point interface, which carp has none of. */
  #takeDestination(line: number, [, text, ...others]: readonly string[]): Refusal | undefined {
    if (text === undefined) return refuse("dest: needs an address");
    if (others.length > 0) return refuse(`${shown(others[0])}: dest takes one address`);
    if (parseAddress(text) === undefined) return refuse(`dest ${shown(text)}: not an address`);
    const message = `dest ${text}: ignored: a carp interface has no address at a far end`;
    this.#warnings.push({ line, message });
    return undefined;
  }

  #endSegment(): void {
    if (this.#segment === undefined) return;
    const { draft, words } = this.#segment;
    this.#segment = undefined;
    const change = finish(draft);
    if (isRefusal(change)) this.#errors.push({ message: change.refusal });
    else this.#steps.push({ kind: "parameters", change, words });
  }
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
 * Undefined where it speaks of no word of the file.
 */
export function lineOf(refusal: string, lines: readonly ParameterLine[]): number | undefined {
  const [word = ""] = refusal.split(/:? /);
  const speaksOf = (each: string) => each === word || each.startsWith(`${word}/`);
  return lines.findLast(({ words }) => words.some(speaksOf))?.line;
}
