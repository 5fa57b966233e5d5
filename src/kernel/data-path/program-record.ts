/**
 * The record of a run directory's programs on devices, by the kernel's ids: the next engine finds its predecessor's
 * programs even when their pins are gone, with a mount in the predecessor's namespace. Touches no program.
 */

import { readFileSync } from "node:fs";
import * as z from "zod";
import type { Document } from "../kernel.ts";

/** Ids are valid until the machine restarts. */
const Recorded = z.object({ boot: z.string(), ids: z.array(z.int().positive()) });

/** The ids of an earlier engine's programs. */
export function recordedPrograms({ saved }: Document): number[] {
  const recorded = Recorded.safeParse(saved);
  return recorded.success && recorded.data.boot === boot() ? recorded.data.ids : [];
}

/** Records these ids; none removes the record. Throws an ErrnoException. */
export function recordPrograms(record: Document, ids: Iterable<number>): void {
  const known = [...new Set(ids)];
  record.write(known.length === 0 ? undefined : { boot: boot(), ids: known });
}

function boot(): string {
  return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
}
