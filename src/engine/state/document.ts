/**
 * Document: a small JSON file in the run directory, in which a kernel adapter records changes that the next
 * engine must know to undo them. Reads and writes it; the adapter checks what it holds.
 */

import { existsSync, readFileSync, unlinkSync } from "node:fs";
import type { Document } from "../../kernel/kernel.ts";
import { writeDurablySync } from "./durable-file.ts";

/** Opens the document at this path and reads what an earlier engine wrote. */
export function openDocument(path: string): Document {
  return {
    saved: read(path),
    write(value) {
      if (value !== undefined) writeDurablySync(path, `${JSON.stringify(value)}\n`);
      else if (existsSync(path)) unlinkSync(path);
    },
  };
}

/** Reads a JSON file; undefined: it does not exist, or is not JSON. */
function read(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch {
    return undefined;
  }
}
