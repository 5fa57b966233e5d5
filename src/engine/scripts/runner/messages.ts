/**
 * The messages between the engine and its runner: one JSON object a line over a socket pair. Both ends check
 * every line against the schema and its longest length; a line that does not fit ends their conversation, never
 * the engine. An order names what kind of scripts to run, for which change, and which of the scripts found;
 * in which directories they are, and all else that root executes, the runner knows from its start.
 */

import type { Readable } from "node:stream";
import * as z from "zod";
import { RANGES, USER_NAME } from "../../../config/script-head.ts";
import { jsonIn, readLines } from "../../../control/framing.ts";
import { GROUP_NAME } from "../../../control/limits.ts";

/** The runner's end of the socket pair. */
export const RUNNER_FD = 3;
export const MAX_LINE_BYTES = 1024 * 1024;
/** Scripts of one directory. */
export const MAX_SCRIPTS = 128;
/** Kept of a script's output, and of the output of all scripts of a run together. */
export const MAX_OUTPUT_BYTES = 4096;
export const MAX_OUTPUTS_BYTES = 65_536;

/**
 * The kinds of scripts: whether all of a directory run together or one after the other, the limit for each, and the
 * longest that one may ask for.
 */
export const KINDS = {
  hooks: { together: false, limitMs: 30_000, longestMs: 30_000 },
  checks: { together: true, limitMs: 10_000, longestMs: RANGES.timeout[1] * 1000 },
} as const;

/** Longest value of CARP_ADDRESSES: the kernel takes no longer variable, its name and NUL included. */
export const MAX_ADDRESSES_TEXT = 128 * 1024 - "CARP_ADDRESSES=".length - 1;

/** The longest path that is taken, in characters. */
const MAX_PATH = 8192;

const State = z.enum(["INIT", "BACKUP", "MASTER"]);

/** A change of a virtual host's state, or a contest that it won, as the environment variables of a hook. */
export const Change = z.strictObject({
  CARP_INTERFACE: z.string().regex(/^carp\d{1,10}$/),
  CARP_VHID: z.string().regex(/^\d{1,3}$/),
  CARP_EVENT: z.enum(["transition", "contested"]).default("transition"),
  CARP_STATE: State,
  CARP_PREVIOUS_STATE: State,
  /** Addresses with prefix lengths, separated by blanks; absent when they are too many. */
  CARP_ADDRESSES: z
    .string()
    .max(MAX_ADDRESSES_TEXT)
    .regex(/^[0-9a-f.:/% ]*$/)
    .optional(),
});
export type Change = z.infer<typeof Change>;

/**
 * An order to run scripts of a kind: every hook; every check that is not scheduled, or `only` these files, which are
 * looked for among those of the runner's directories. The result has the other checks too, as `listed`; with `only`
 * it has these alone.
 */
export const Run = z.discriminatedUnion("kind", [
  z.strictObject({ id: z.int().positive(), kind: z.literal("hooks"), change: Change }),
  z.strictObject({
    id: z.int().positive(),
    kind: z.literal("checks"),
    only: z.array(z.string().max(MAX_PATH)).max(MAX_SCRIPTS).optional(),
    /** Runs none, and has them listed all. */
    list: z.literal(true).optional(),
  }),
]);
export type Run = z.infer<typeof Run>;

function among(range: readonly [number, number]) {
  return z.int().min(range[0]).max(range[1]).optional();
}

/** What a script's head says. */
const Settings = z.strictObject({
  every: among(RANGES.every),
  timeout: among(RANGES.timeout),
  fall: among(RANGES.fall),
  rise: among(RANGES.rise),
  demote: among(RANGES.demote),
  group: z.string().regex(GROUP_NAME).optional(),
  user: z.string().regex(USER_NAME).optional(),
});

/**
 * A script's result. `refused`: not run, because a user other than root could have written it, or because its head says
 * what is not understood; `listed`: it is there, and was not to be run.
 */
export const Result = z.strictObject({
  name: z.string().max(4096),
  /** Without symbolic links. */
  path: z.string().max(MAX_PATH),
  /** As it was found. */
  file: z.string().max(MAX_PATH).optional(),
  outcome: z.enum(["passed", "failed", "refused", "listed"]),
  durationMs: z.number().nonnegative().optional(),
  settings: Settings.optional(),
  why: z.string().max(1024).optional(),
  output: z.string().max(MAX_OUTPUT_BYTES),
});
export type Result = z.infer<typeof Result>;

const Pid = z.int().min(2);

export const RunnerMessage = z.discriminatedUnion("kind", [
  /** A script runs, as the leader of a process group. */
  z.strictObject({ kind: z.literal("began"), id: z.int(), pid: Pid }),
  z.strictObject({ kind: z.literal("ended"), id: z.int(), pid: Pid }),
  /** The whole run is over. */
  z.strictObject({ kind: z.literal("ran"), id: z.int(), results: z.array(Result).max(64 * MAX_SCRIPTS) }),
]);
export type RunnerMessage = z.infer<typeof RunnerMessage>;

/**
 * Calls `take` with each message; calls `garbled` once, and nothing after it, when a line is not a message.
 */
export function readMessages<T>(
  socket: Readable,
  schema: z.ZodType<T>,
  take: (message: T) => void,
  garbled: (why: string) => void,
): void {
  const stop = readLines(
    socket,
    MAX_LINE_BYTES,
    (line) => {
      const message = schema.safeParse(jsonIn(line));
      if (message.success) return take(message.data);
      stop();
      garbled("a line that is not a message");
    },
    () => garbled("a line that is too long"),
  );
}
