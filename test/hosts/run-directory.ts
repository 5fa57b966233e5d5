/** Run directories that are full or read-only, and what is in them. */

import { readdirSync } from "node:fs";
import type { Host } from "./host.ts";

/** The files in a run directory, but for the history, which is there to outlive the engine. */
export function runFiles({ runDirectory }: Host): string[] {
  return readdirSync(runDirectory)
    .filter((name) => !/^history(-provoked)?\.jsonl$/.test(name))
    .sort();
}

/** Gives a host without an engine a run directory that can be filled up. It goes with the host. */
export async function limitRunDirectory(host: Host): Promise<void> {
  await host.run("mount", "-t", "tmpfs", "-o", "size=1m,mode=755", "limited", host.runDirectory);
}

/** Leaves no room in a limited run directory. */
export async function fillRunDirectory(host: Host): Promise<void> {
  await host.exec("sh", ["-c", 'cat /dev/zero >"$0"', filler(host)]);
}

export async function emptyRunDirectory(host: Host): Promise<void> {
  await host.run("rm", filler(host));
}

const filler = (host: Host) => `${host.runDirectory}/filler`;

export async function freezeRunDirectory(host: Host): Promise<void> {
  await host.run("mount", "--bind", host.runDirectory, host.runDirectory);
  await host.run("mount", "-o", "remount,bind,ro", host.runDirectory);
}

export async function thawRunDirectory(host: Host): Promise<void> {
  await host.run("umount", host.runDirectory);
}
