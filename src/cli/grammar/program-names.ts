/**
 * The names that a link to this program may have, and the division of the words behind them between this
 * program and the system's program of the same name. Decides only; system-program.ts finds and runs the other
 * program.
 */

import { INTERFACE_NAME } from "../../control/limits.ts";
import { SYSCTL_VARIABLES } from "../../control/variables.ts";
import { isGlobalOption } from "./options.ts";

interface Name {
  /** The verb it stands for; ifconfig is none. */
  readonly verb?: string;
  /** Divides the words, where the system may have a program of that name. */
  readonly parts?: (words: readonly string[], known: Known) => Part[] | Promise<Part[]>;
}

/** Questions to the machine. */
export interface Known {
  /** Whether there is a network device of that name. */
  device(name: string): boolean;
  /** Whether the engine has an interface group of that name; without an engine there is none. */
  group(name: string): Promise<boolean>;
}

export interface Part {
  readonly whose: "ours" | "theirs";
  readonly words: readonly string[];
  /** Left out without an error when no engine runs: the words are for the system's program first. */
  readonly optional?: true;
}

export const NAMES: ReadonlyMap<string, Name> = new Map<string, Name>([
  ["ifconfig", { parts: ifconfigParts }],
  ["sysctl", { verb: "sysctl", parts: sysctlParts }],
  ["carpd", { verb: "engine" }],
  ["netstart", { verb: "netstart" }],
  ["ifstated", { verb: "ifstated" }],
]);

const ours = (words: readonly string[]): Part => ({ whose: "ours", words });
const theirs = (words: readonly string[]): Part => ({ whose: "theirs", words });

/** FreeBSD's words about a shared address on another device; the system's program has none of them. */
const CARP_WORDS: ReadonlySet<string> = new Set(["vhid", "advbase", "advskew", "-alias"]);

/**
 * Carp interfaces, their groups, forms without a device and FreeBSD's words behind one are ours; a list of all
 * interfaces is of both programs.
 */
async function ifconfigParts(words: readonly string[], known: Known): Promise<Part[]> {
  const [first, second] = words;
  if (first === undefined || (words.length === 1 && (first === "-a" || first === "-A")))
    return [theirs(first === "-A" ? ["-a"] : words), { ...ours(words), optional: true }];
  if (isGlobalOption(first) || ["create", "destroy", "-g", "-C"].includes(first)) return [ours(words)];
  const name = first === "-a" || first === "-A" ? (second ?? "") : first;
  if (INTERFACE_NAME.test(name) || words.slice(1).some((word) => CARP_WORDS.has(word))) return [ours(words)];
  const isGroup = !name.startsWith("-") && !known.device(name) && (await known.group(name));
  return [isGroup ? ours(words) : theirs(words)];
}

/** The flags that both programs have; `-e` is the system's and changes nothing here. */
const SHARED_FLAG = /^-[aenqw]+$/;

/** Each variable is read by the program that has it, in the order of the words. */
function sysctlParts(words: readonly string[]): Part[] {
  const flags = words.filter((word) => word.startsWith("-"));
  const names = words.filter((word) => !word.startsWith("-"));
  if (words[0] === undefined || isGlobalOption(words[0])) return [ours(words)];
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

/**
 * `net.inet`, `net.pfsync`: Linux has no variables below them, so this program also refuses unknown ones
 * there.
 */
const BRANCHES = new Set(SYSCTL_VARIABLES.map(({ name }) => branchOf(name)));

function isOurVariable(word: string): boolean {
  return BRANCHES.has(branchOf(word.split("=")[0] ?? ""));
}

function branchOf(name: string): string {
  return name.split(".").slice(0, 2).join(".");
}
