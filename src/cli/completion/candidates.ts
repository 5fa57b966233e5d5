/**
 * Completion candidates and their sources: the engine, the machine, the tables of this program, or the shell
 * itself. A source that is missing gives none; nothing here fails, waits long or changes anything.
 */

import { readdirSync } from "node:fs";
import { interfaceOf } from "../../config/hostname-file.ts";
import type { Connection } from "../../control/client.ts";
import { INTERFACE_NAME } from "../../control/limits.ts";
import { SYSCTL_VARIABLES } from "../../control/variables.ts";
import { connectToEngine } from "../engine-connection.ts";
import type { GlobalOptions } from "../grammar/options.ts";

export interface Candidate {
  readonly word: string;
  readonly help: string;
}

/** Candidates that the shell finds by itself. */
const OF_SHELL = ["files", "named-files", "directories", "hosts"] as const;
type OfShell = (typeof OF_SHELL)[number];

export function isOfShell(kind: CandidateKind): kind is OfShell {
  return OF_SHELL.some((each) => each === kind);
}

const SOURCES = {
  interfaces: async (from: CompletionContext) =>
    (await interfaces(from)).map(({ name, status, carpdev }) => ({
      word: name,
      help: `${status}${carpdev === undefined ? "" : ` on ${carpdev}`}`,
    })),
  groups: async (from: CompletionContext) =>
    ((await ask(from, (engine) => engine.call("groups", {}))) ?? []).map(({ name, interfaces: members }) => ({
      word: name,
      help: `group: ${members.join(" ") || "no members"}`,
    })),
  /** Addresses of the interface that the command is about, or of the interfaces on that device. */
  addresses: async (from: CompletionContext) =>
    (await interfaces(from))
      .filter(({ name, carpdev }) => name === from.interface || carpdev === from.interface)
      .flatMap(({ addresses }) => addresses.map(({ address }) => ({ word: address, help: "its address" }))),
  /** The vhids on a device, which name carp interfaces there. */
  vhids: async (from: CompletionContext) =>
    (await interfaces(from))
      .filter(({ carpdev }) => carpdev === from.interface)
      .flatMap(({ name, nodes }) =>
        nodes.map(({ vhid, state }) => ({ word: `${vhid}`, help: `${name}: ${state}` })),
      ),
  devices: async () =>
    list("/sys/class/net")
      .filter((name) => name !== "lo" && name !== "bonding_masters" && !INTERFACE_NAME.test(name))
      .map((word) => ({ word, help: "network device" })),
  variables: async () => SYSCTL_VARIABLES.map(({ name, meaning }) => ({ word: name, help: meaning })),
  reasons: async (from: CompletionContext) => {
    const { reasons = [], units = [] } = (await ask(from, (engine) => engine.call("demotion", {}))) ?? {};
    return [...reasons, ...units.map(({ unit, by }) => ({ reason: unit, by }))].map(({ reason, by }) => ({
      word: reason,
      help: `demotes by ${by}`,
    }));
  },
  /** Interfaces that have a file. */
  configured: async ({ options }: CompletionContext) =>
    list(options.etcDir).flatMap((file) => {
      const word = interfaceOf(file);
      return word === undefined ? [] : [{ word, help: `${options.etcDir}/${file}` }];
    }),
  topics: async () => {
    const { TOPICS } = await import("../commands/help.ts");
    const { TOPICS: findings } = await import("../../topics/topics.ts");
    return [...new Set(TOPICS)].map((word) => {
      const finding = findings.get(word);
      return { word, help: finding === undefined ? "" : `finding of ${finding.by}: ${finding.level}` };
    });
  },
} as const;

export type CandidateKind = OfShell | keyof typeof SOURCES;

/** The engine to ask, and the interface or device that the command is about. */
export interface CompletionContext {
  readonly options: GlobalOptions;
  readonly interface: string | undefined;
}

export function candidatesOf(
  kind: Exclude<CandidateKind, OfShell>,
  place: CompletionContext,
): Promise<readonly Candidate[]> {
  return SOURCES[kind](place);
}

/** A user waits at the keyboard. */
const ANSWER_TIMEOUT_MS = 500;

async function interfaces(from: CompletionContext) {
  return (await ask(from, (engine) => engine.call("interfaces", {})))?.interfaces ?? [];
}

async function ask<T>(
  { options }: CompletionContext,
  question: (engine: Connection) => Promise<T>,
): Promise<T | undefined> {
  const engine = await connectToEngine(options.runDir, { timeoutMs: ANSWER_TIMEOUT_MS }).catch(
    () => undefined,
  );
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
