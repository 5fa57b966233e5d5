/**
 * What a word may be, and where candidates for it come from: the engine, the machine, the tables, or the shell that
 * asks. Whoever is not there gives none; nothing here fails, waits long or changes anything.
 */

import { readdirSync } from "node:fs";
import { type Connection, connect } from "../../control/client.ts";
import { SYSCTL_VARIABLES } from "../../control/variables.ts";
import type { GlobalOptions } from "../globals.ts";

export interface Candidate {
  readonly word: string;
  readonly help: string;
}

/** The shell knows these better; it is told in one line. */
const OF_SHELL = ["files", "directories", "hosts"] as const;
type OfShell = (typeof OF_SHELL)[number];

export function isOfShell(kind: Kind): kind is OfShell {
  return OF_SHELL.some((each) => each === kind);
}

const SOURCES = {
  interfaces: async (from: Place) =>
    (await interfaces(from)).map(({ name, status, carpdev }) => ({
      word: name,
      help: `${status}${carpdev === undefined ? "" : ` on ${carpdev}`}`,
    })),
  groups: async (from: Place) =>
    ((await ask(from, (engine) => engine.call("groups", {}))) ?? []).map(({ name, interfaces: members }) => ({
      word: name,
      help: `group: ${members.join(" ") || "no members"}`,
    })),
  /** Those of the interface that the command is about. */
  addresses: async (from: Place) =>
    (await interfaces(from))
      .filter(({ name }) => name === from.interface)
      .flatMap(({ addresses }) => addresses.map(({ address }) => ({ word: address, help: "its address" }))),
  devices: async () =>
    list("/sys/class/net")
      .filter((name) => name !== "lo" && name !== "bonding_masters" && !/^carp\d+$/.test(name))
      .map((word) => ({ word, help: "network device" })),
  variables: async () => SYSCTL_VARIABLES.map(({ name, meaning }) => ({ word: name, help: meaning })),
  reasons: async (from: Place) =>
    ((await ask(from, (engine) => engine.call("demotion", {})))?.reasons ?? []).map(({ reason, by }) => ({
      word: reason,
      help: `demotes by ${by}`,
    })),
  /** Interfaces that have a file. */
  configured: async ({ options }: Place) =>
    list(options.etcDir)
      .filter((name) => /^hostname\.carp\d+$/.test(name))
      .map((name) => ({ word: name.slice("hostname.".length), help: `${options.etcDir}/${name}` })),
  topics: async () => {
    const { TOPICS } = await import("../help.ts");
    return [...new Set(TOPICS)].map((word) => ({ word, help: "" }));
  },
} as const;

export type Kind = OfShell | keyof typeof SOURCES;

/** Whom to ask, and about which interface. */
export interface Place {
  readonly options: GlobalOptions;
  readonly interface: string | undefined;
}

export function candidatesOf(kind: Exclude<Kind, OfShell>, place: Place): Promise<readonly Candidate[]> {
  return SOURCES[kind](place);
}

/** Somebody waits at a keyboard. */
const ANSWER_TIMEOUT_MS = 500;

async function interfaces(from: Place) {
  return (await ask(from, (engine) => engine.call("interfaces", {})))?.interfaces ?? [];
}

async function ask<T>(
  { options }: Place,
  question: (engine: Connection) => Promise<T>,
): Promise<T | undefined> {
  const engine = await connect(options.runDir, { timeoutMs: ANSWER_TIMEOUT_MS }).catch(() => undefined);
  const answer = engine && (await question(engine).catch(() => undefined));
  engine?.close();
  return answer;
}

function list(directory: string): string[] {
  try {
    return readdirSync(directory).sort();
  } catch {
    return [];
  }
}
