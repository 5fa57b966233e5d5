/**
 * What the engine and its runner say to each other: one JSON object a line over a socket pair. Both ends hold every
 * line against the schema and against its longest length; whatever does not fit ends the runner, never the engine.
 */

import type { Socket } from "node:net";
import * as z from "zod";

/** The runner's end of the socket pair. */
export const RUNNER_FD = 3;
export const MAX_LINE_BYTES = 1024 * 1024;
/** Of one directory; what a person would call a lot is far less. */
export const MAX_SCRIPTS = 128;
/** The beginning of a script's output, and of that of all scripts of a run together. */
export const MAX_OUTPUT_BYTES = 4096;
export const MAX_OUTPUTS_BYTES = 65_536;

/** Every script of these directories, by name: all together, or one after the other. */
export const Run = z.strictObject({
  id: z.int().positive(),
  directories: z.array(z.string().max(4096)).max(64),
  together: z.boolean(),
  /** For each script. */
  limitMs: z.int().positive(),
  /** On top of what every script gets. */
  environment: z.record(z.string().max(64), z.string().max(65_536)),
});
export type Run = z.infer<typeof Run>;

/** `refused`: it was not run, since others than root could have written it. Why: not for one that passed. */
export const Result = z.strictObject({
  name: z.string().max(4096),
  path: z.string().max(8192),
  outcome: z.enum(["passed", "failed", "refused"]),
  why: z.string().max(1024).optional(),
  output: z.string().max(MAX_OUTPUT_BYTES),
});
export type Result = z.infer<typeof Result>;

const Pid = z.int().min(2);

export const Report = z.discriminatedUnion("kind", [
  /** A script runs, as the leader of a process group. */
  z.strictObject({ kind: z.literal("began"), id: z.int(), pid: Pid }),
  z.strictObject({ kind: z.literal("ended"), id: z.int(), pid: Pid }),
  /** The whole run is over. */
  z.strictObject({ kind: z.literal("ran"), id: z.int(), results: z.array(Result).max(64 * MAX_SCRIPTS) }),
]);
export type Report = z.infer<typeof Report>;

/** Calls `take` with each message; `garbled` once, and nothing after it, when a line is none. */
export function readLines<T>(
  socket: Socket,
  schema: z.ZodType<T>,
  take: (message: T) => void,
  garbled: (why: string) => void,
): void {
  let pieces: Buffer[] = [];
  let length = 0;
  const stop = (why: string) => {
    socket.removeAllListeners("data");
    socket.resume();
    garbled(why);
  };
  socket.on("data", (chunk: Buffer) => {
    let rest = chunk;
    for (let end = rest.indexOf(10); end >= 0; end = rest.indexOf(10)) {
      const line = Buffer.concat([...pieces, rest.subarray(0, end)]);
      pieces = [];
      length = 0;
      rest = rest.subarray(end + 1);
      const message = parsed(line, schema);
      if (message === undefined) return stop("not a message");
      take(message);
      if (socket.destroyed) return;
    }
    pieces.push(rest);
    length += rest.length;
    if (length > MAX_LINE_BYTES) stop("a line that is too long");
  });
}

function parsed<T>(line: Buffer, schema: z.ZodType<T>): T | undefined {
  try {
    return schema.parse(JSON.parse(line.toString("utf8")));
  } catch {
    return undefined;
  }
}
