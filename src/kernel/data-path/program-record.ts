/**
 * The record of a run directory's programs on devices, by the kernel's ids, each with the version of its maps' layout:
 * the next engine finds its predecessor's programs, and through them the maps with the leases. Touches no program.
 */

import { readFileSync } from "node:fs";
import * as z from "zod";
import type { Document } from "../kernel.ts";

/** Ids are valid until the machine restarts. */
const Recorded = z.object({
  boot: z.string(),
  programs: z.array(z.object({ id: z.int().positive(), version: z.string() })),
});

/** Versions by id. */
export type Versions = ReadonlyMap<number, string>;

/** The earlier engines' programs. */
export function recordedPrograms({ saved }: Document): Versions {
  const recorded = Recorded.safeParse(saved);
  if (!recorded.success || recorded.data.boot !== boot()) return new Map();
  return new Map(recorded.data.programs.map(({ id, version }) => [id, version]));
}

/** Records these programs; none removes the record. Throws an ErrnoException. */
export function recordPrograms(record: Document, programs: Versions): void {
  const known = [...programs].map(([id, version]) => ({ id, version }));
  record.write(known.length === 0 ? undefined : { boot: boot(), programs: known });
}

function boot(): string {
  return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
}
