/**
 * The history: its records and files, for the engine that appends them and the commands that read them. A file is JSON
 * lines, each of them one record; a record never holds a pass.
 */

import * as z from "zod";

/** A file of records in the state directory. When it is full it is renamed, in the place of the one before. */
export interface HistoryFileName {
  readonly name: string;
  /** The newest records that are kept; up to twice as many are on disk. */
  readonly most: number;
}

/** What happened to this host. */
export const OWN_FILE: HistoryFileName = { name: "history.jsonl", most: 10_000 };
/** What any host on the network can cause at will. Apart from the others, so that it displaces none of them. */
export const PROVOKED_FILE: HistoryFileName = { name: "history-provoked.jsonl", most: 2_000 };
export const HISTORY_FILES = [OWN_FILE, PROVOKED_FILE];

/** The suffix of the full file before the present one. */
export const FULL_SUFFIX = ".old";

/** A line, its newline included. */
export const MAX_RECORD_BYTES = 1024;

const virtualHost = { interface: z.string(), vhid: z.int() };
const State = z.enum(["INIT", "BACKUP", "MASTER"]);
const Advertised = { advbase: z.int(), advskew: z.int(), demote: z.int() };

const Cause = z.discriminatedUnion("kind", [
  z.object({
    kind: z.literal("advertisement"),
    source: z.string(),
    family: z.union([z.literal(4), z.literal(6)]),
    ...Advertised,
  }),
  z.object({
    kind: z.literal("timer"),
    timer: z.enum(["master-down", "leave", "lease"]),
    heard: z.object({ source: z.string(), seconds: z.number() }).optional(),
  }),
]);

/** The events of `monitor`, without addresses, and those of the engine's own. */
export const HistoryEvent = z.discriminatedUnion("kind", [
  z.object({
    kind: z.literal("transition"),
    ...virtualHost,
    from: State,
    to: State,
    reason: z.string(),
    cause: Cause.optional(),
  }),
  z.object({ kind: z.literal("contested"), ...virtualHost, source: z.string() }),
  z.object({
    kind: z.literal("demotion"),
    group: z.string().optional(),
    by: z.int(),
    to: z.int(),
    who: z.string().optional(),
    reason: z.string(),
  }),
  z.object({
    kind: z.literal("discarded"),
    counter: z.string(),
    interface: z.string().optional(),
    text: z.string(),
  }),
  z.object({
    kind: z.literal("wrong-digest"),
    ...virtualHost,
    source: z.string(),
    cause: z.string(),
    text: z.string(),
    todo: z.string(),
  }),
  z.object({ kind: z.literal("send-failed"), ...virtualHost, error: z.string() }),
  z.object({ kind: z.literal("peer-appeared"), ...virtualHost, source: z.string(), ...Advertised }),
  z.object({
    kind: z.literal("peer-gone"),
    ...virtualHost,
    source: z.string(),
    reason: z.enum(["left", "silent"]),
  }),
  z.object({ kind: z.literal("repaired"), interface: z.string(), what: z.string() }),
  z.object({ kind: z.literal("complaint"), text: z.string() }),
  z.object({ kind: z.literal("created"), interface: z.string() }),
  z.object({ kind: z.literal("destroyed"), interface: z.string() }),
  /** Events that are missing here: they could not be written. */
  z.object({ kind: z.literal("unwritten"), count: z.int() }),
  /** A command's change, as the log has it. */
  z.object({ kind: z.literal("changed"), interface: z.string().optional(), text: z.string() }),
  z.object({
    kind: z.literal("engine-started"),
    version: z.string(),
    pid: z.int(),
    /** The host booted since the event before, or the engine before ended without stopping in order. */
    after: z.enum(["boot", "end"]).optional(),
  }),
  /** `left`: everything stays in place for the next engine. */
  z.object({ kind: z.literal("engine-stopped"), how: z.enum(["stopped", "left", "failed"]) }),
]);
export type HistoryEvent = z.infer<typeof HistoryEvent>;

export const HistoryRecord = z.object({
  /** Counts events over restarts and boots, whatever the clock says. Events that are told together leave gaps. */
  seq: z.int().nonnegative(),
  /** The beginning of the kernel's boot id. */
  boot: z.string(),
  /** On CLOCK_BOOTTIME, which cannot be set. */
  upUs: z.number().nonnegative(),
  /** By the system clock, in milliseconds since the Unix epoch. */
  atMs: z.number().min(-8.64e15).max(8.64e15),
  /** Events that this record stands for; it has the last of them. */
  times: z.int().positive(),
  event: HistoryEvent,
});
export type HistoryRecord = z.infer<typeof HistoryRecord>;

/** What the history's files do not have yet. */
export interface UnwrittenHistory {
  readonly directory: string;
  readonly boot: string;
  readonly nowUs: number;
  readonly records: readonly HistoryRecord[];
  /** Why the last write failed; absent: it did not. */
  readonly failure?: string | undefined;
}
