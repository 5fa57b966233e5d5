/**
 * The bpffs of a run directory, where programs and leases outlive the engine. Knows nothing of what is in it, and loads
 * nothing that takes long: an engine mounts it before anything else.
 */

import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { native } from "./native.ts";

export function bpfDirectory(runDir: string): string {
  return join(runDir, "bpf");
}

/** Mounts it, unless there is one. @returns 0 or an errno. */
export function mountBpffs(directory: string): number {
  if (native.isBpf(directory)) return 0;
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const error = native.mountBpf(directory);
  if (error !== 0) rmSync(directory, { recursive: true, force: true });
  return error;
}
