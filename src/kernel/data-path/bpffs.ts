/**
 * The bpffs of a run directory, where programs and leases outlive the engine: its path, and mounting it. Must import
 * nothing that loads slowly: an engine mounts it before anything else.
 */

import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { nativeBpf } from "./native-bpf.ts";

export function bpfDirectory(runDir: string): string {
  return join(runDir, "bpf");
}

/** Mounts a bpffs there, unless one is mounted. @returns 0 or an errno. */
export function mountBpffs(directory: string): number {
  if (nativeBpf.isBpf(directory)) return 0;
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const error = nativeBpf.mountBpf(directory);
  if (error !== 0) rmSync(directory, { recursive: true, force: true });
  return error;
}
