/**
 * The messages between the engine and its runner: one JSON object a line over a socket pair. Both ends check
 * every line against the schema and its longest length; a line that does not fit ends their conversation, never
 * the engine. An order names what kind of scripts to run and for which change; which directories those are, and all
 * else that root executes, the runner knows from its start.
 */

import type { Readable } from "node:stream";
import * as z from "zod";
import { jsonIn, readLines } from "../../../control/framing.ts";

/** The runner's end of the socket pair. */
export const RUNNER_FD = 3;
export const MAX_LINE_BYTES = 1024 * 1024;
/** Scripts of one directory. */
export const MAX_SCRIPTS = 128;
/** Kept of a script's output, and of the output of all scripts of a run together. */
export const MAX_OUTPUT_BYTES = 4096;
export const MAX_OUTPUTS_BYTES = 65_536;

/** The kinds of scripts: whether all of a directory run together or one after the other, and the limit for each. */
export const KINDS = {
  hooks: { together: false, limitMs: 30_000 },
  checks: { together: true, limitMs: 10_000 },
} as const;

/** Longest value of CARP_ADDRESSES: the kernel takes no longer variable, its name and NUL included. */
export const MAX_ADDRESSES_TEXT = 128 * 1024 - "CARP_ADDRESSES=".length - 1;

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

/** An order to run every script of a kind, by name. */
export const Run = z.discriminatedUnion("kind", [
  z.strictObject({ id: z.int().positive(), kind: z.literal("hooks"), change: Change }),
  z.strictObject({ id: z.int().positive(), kind: z.literal("checks") }),
]);
export type Run = z.infer<typeof Run>;

/** A script's result. `refused`: not run, because a user other than root could have written it. */
export const Result = z.strictObject({
  name: z.string().max(4096),
  path: z.string().max(8192),
  outcome: z.enum(["passed", "failed", "refused"]),
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
