/**
 * The names that a link to this program may have, and whose business their words are: ours, or that of the system's
 * program of the same name, which the link hides. Decides only; handover.ts finds and runs the other program.
 */

import { INTERFACE_NAME } from "../control/limits.ts";
import { SYSCTL_VARIABLES } from "../control/variables.ts";
import { GLOBAL_OPTIONS } from "./globals.ts";

interface Name {
  /** The verb it stands for; ifconfig is none. */
  readonly verb?: string;
  /** Why there is no such command here, and what does its work. */
  readonly refusal?: string;
  /** How the words fall apart, where the system may have a program of that name. */
  readonly parts?: (words: readonly string[], known: Known) => Part[] | Promise<Part[]>;
}

/** What has to be asked of the machine. */
export interface Known {
  /** Whether there is a network device of that name. */
  device(name: string): boolean;
  /** Whether the engine has an interface group of that name; without an engine there is none. */
  group(name: string): Promise<boolean>;
}

export interface Part {
  readonly whose: "ours" | "theirs";
  readonly words: readonly string[];
  /** It was asked of the system; what we have to add is left out when no engine runs. */
  readonly optional?: true;
}

export const NAMES: ReadonlyMap<string, Name> = new Map<string, Name>([
  ["ifconfig", { parts: ifconfigParts }],
  ["sysctl", { verb: "sysctl", parts: sysctlParts }],
  ["carpd", { verb: "engine" }],
  ["netstart", { verb: "netstart" }],
  // Its configuration is a language of its own; whatever was started by it must not take us for it.
  ["ifstated", { refusal: "not here: hooks do this, see carp-service-status(7)" }],
]);

const ours = (words: readonly string[]): Part => ({ whose: "ours", words });
const theirs = (words: readonly string[]): Part => ({ whose: "theirs", words });

/** An option of this program at the front says who is meant. */
function isOption(word: string | undefined): boolean {
  return GLOBAL_OPTIONS.some(({ name }) => word?.split("=")[0] === `--${name}`);
}

/** A carp interface, a group of them and the forms without a device are ours; a list of everything is of both. */
async function ifconfigParts(words: readonly string[], known: Known): Promise<Part[]> {
  const [first, second] = words;
  if (first === undefined || (words.length === 1 && (first === "-a" || first === "-A")))
    return [theirs(first === "-A" ? ["-a"] : words), { ...ours(words), optional: true }];
  if (isOption(first) || ["create", "destroy", "-g", "-C"].includes(first)) return [ours(words)];
  const name = first === "-a" || first === "-A" ? (second ?? "") : first;
  if (INTERFACE_NAME.test(name)) return [ours(words)];
  const isGroup = !name.startsWith("-") && !known.device(name) && (await known.group(name));
  return [isGroup ? ours(words) : theirs(words)];
}

/** The flags that both programs have; `-e` is theirs, and means nothing to ours. */
const SHARED_FLAG = /^-[aenqw]+$/;

/** Names are read in their order, by whoever has them. */
function sysctlParts(words: readonly string[]): Part[] {
  const flags = words.filter((word) => word.startsWith("-"));
  const names = words.filter((word) => !word.startsWith("-"));
  if (isOption(words[0]) || words.length === 0) return [ours(words)];
  if (!flags.every((flag) => SHARED_FLAG.test(flag)))
    return [names.some(isOurVariable) ? ours(words) : theirs(words)];
  const ourFlags = flags.map((flag) => flag.replace("e", "")).filter((flag) => flag !== "-");
  if (flags.some((flag) => flag.includes("a")))
    return [theirs(words), { ...ours([...ourFlags, ...names]), optional: true }];
  const parts: Part[] = [];
  for (const name of names) {
    if (name === "net") {
      parts.push(theirs([...flags, name]), { ...ours([...ourFlags, name]), optional: true });
      continue;
    }
    const mine = isOurVariable(name);
    const last = parts.at(-1);
    const joins = last !== undefined && !last.optional && (last.whose === "ours") === mine;
    if (joins) parts[parts.length - 1] = { ...last, words: [...last.words, name] };
    else parts.push(mine ? ours([...ourFlags, name]) : theirs([...flags, name]));
  }
  return parts.length > 0 ? parts : [ours(words)];
}

/** `net.inet`, `net.pfsync`: Linux has nothing below them, so that also what does not exist there is ours to refuse. */
const BRANCHES = new Set(SYSCTL_VARIABLES.map(({ name }) => branchOf(name)));

function isOurVariable(word: string): boolean {
  return BRANCHES.has(branchOf(word.split("=")[0] ?? ""));
}

function branchOf(name: string): string {
  return name.split(".").slice(0, 2).join(".");
}
