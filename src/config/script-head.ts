/**
 * The head of a service check or hook: comment lines `# carp: every 5 timeout 2` before its first other line, which say
 * how it is run. Pure: the beginning of a file in, settings out, or the first thing that is wrong with a line of it.
 */

import { GROUP_NAME } from "../control/limits.ts";
import { printable } from "../control/printable.ts";

/** What a file says about how it is run; absent: it says nothing. */
export interface ScriptSettings {
  /** Seconds from the start of one run to the next; absent: it is run on request. */
  readonly every?: number | undefined;
  /** Seconds after which it is killed. */
  readonly timeout?: number | undefined;
  /** Failures in a row that demote. */
  readonly fall?: number | undefined;
  /** Passes in a row that promote. */
  readonly rise?: number | undefined;
  readonly demote?: number | undefined;
  /** The interface group that it demotes; absent: the host. */
  readonly group?: string | undefined;
  /** The user that it is run as; absent: root. */
  readonly user?: string | undefined;
}

export type ScriptHead =
  | {
      readonly settings: ScriptSettings;
      /** The line that names the user. */
      readonly userLine?: number | undefined;
    }
  | { readonly line: number; readonly message: string };

/** Bytes of a file that are looked at: longer heads are licences. */
export const HEAD_BYTES = 16_384;

/** The ranges of the numbers, also for what passes between the engine and its runner. */
export const RANGES = {
  every: [1, 86_400],
  timeout: [1, 60],
  fall: [1, 1000],
  rise: [1, 1000],
  demote: [1, 1_048_576],
} as const;
export const USER_NAME = /^[A-Za-z_][A-Za-z0-9_.-]{0,31}$/;

type Keyword = keyof ScriptSettings;

/** Reads the value of each word. @returns undefined: it is none */
const VALUES: { readonly [K in Keyword]-?: (text: string) => ScriptSettings[K] } = {
  every: (text) => numberIn(RANGES.every, text),
  timeout: (text) => numberIn(RANGES.timeout, text),
  fall: (text) => numberIn(RANGES.fall, text),
  rise: (text) => numberIn(RANGES.rise, text),
  demote: (text) => numberIn(RANGES.demote, text),
  group: (text) => (GROUP_NAME.test(text) ? text : undefined),
  user: (text) => (USER_NAME.test(text) ? text : undefined),
};

/** What each word accepts, for a refusal. */
const ACCEPTED: { readonly [K in Keyword]-?: string } = {
  every: `must be ${RANGES.every.join("..")} seconds`,
  timeout: `must be ${RANGES.timeout.join("..")} seconds`,
  fall: `must be ${RANGES.fall.join("..")}`,
  rise: `must be ${RANGES.rise.join("..")}`,
  demote: `must be ${RANGES.demote.join("..")}`,
  group: "must be 1..15 characters and not end in a digit",
  user: "must be the name of a user",
};

const KEYWORDS: { readonly checks: readonly Keyword[]; readonly hooks: readonly Keyword[] } = {
  checks: ["every", "timeout", "fall", "rise", "demote", "group", "user"],
  hooks: ["user"],
};

const HEAD_LINE = /^#[ \t]*carp:(.*)$/s;

/** @param bytes the first HEAD_BYTES of the file, or all of it */
export function parseScriptHead(bytes: Buffer, kind: keyof typeof KEYWORDS): ScriptHead {
  const lines = bytes.toString("latin1").split("\n");
  // It may go on behind the bytes that were read.
  if (bytes.length >= HEAD_BYTES) lines.pop();
  const settings: Partial<Record<Keyword, string | number>> = {};
  let userLine: number | undefined;
  for (const [at, text] of lines.entries()) {
    const line = at + 1;
    if (!/^\s*(#|$)/.test(text)) break;
    const given = HEAD_LINE.exec(text)?.[1]?.trim();
    if (given === undefined) continue;
    const words = given.split(/\s+/).filter((word) => word !== "");
    const accepted = KEYWORDS[kind].join(", ");
    if (words.length === 0) return { line, message: `carp: expected one of ${accepted}` };
    for (let next = words.shift(); next !== undefined; next = words.shift()) {
      const keyword = KEYWORDS[kind].find((each) => each === next);
      if (keyword === undefined) return { line, message: `${printable(next)}: unknown word (${accepted})` };
      if (settings[keyword] !== undefined) return { line, message: `${keyword}: given twice` };
      const word = words.shift() ?? "";
      const value = VALUES[keyword](word);
      if (value === undefined)
        return { line, message: `${keyword} ${printable(word)}: ${ACCEPTED[keyword]}` };
      settings[keyword] = value;
      if (keyword === "user") userLine = line;
    }
  }
  return { settings: settings as ScriptSettings, ...(userLine === undefined ? {} : { userLine }) };
}

function numberIn([min, max]: readonly [number, number], text: string): number | undefined {
  const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
  return value >= min && value <= max ? value : undefined;
}
