/**
 * Which of the programs on this machine's devices are of this run directory, by the kernel's ids for them: the next
 * engine has to know its predecessor's even when their pins are gone, with a mount that only that one could see.
 * Touches no program.
 */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as z from "zod";
import { readDurable, writeDurably } from "./durable-file.ts";

/** Ids begin anew with the machine. */
const Recorded = z.object({ boot: z.string(), ids: z.array(z.int().positive()) });

export function recordedPrograms(runDir: string): number[] {
  const recorded = Recorded.safeParse(readDurable(pathIn(runDir)));
  return recorded.success && recorded.data.boot === boot() ? recorded.data.ids : [];
}

/** None removes the record. Throws an ErrnoException. */
export function recordPrograms(runDir: string, ids: Iterable<number>): void {
  const known = [...new Set(ids)];
  writeDurably(pathIn(runDir), known.length === 0 ? undefined : { boot: boot(), ids: known });
}

function pathIn(runDir: string): string {
  return join(runDir, "programs.json");
}

function boot(): string {
  return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
}
