/** Processor time and memory of processes and all their threads, as /proc tells them. */

import { readdirSync, readFileSync } from "node:fs";

/** The work of starting up is over by then, which V8's compilers are the last to end. */
export const SETTLING_MS = 90_000;

/** Finer than the hundredths of a second in /proc/PID/stat. */
export function processorNs(...pids: readonly number[]): number {
  return pids
    .flatMap((pid) => readdirSync(`/proc/${pid}/task`).map((task) => `/proc/${pid}/task/${task}/schedstat`))
    .map((path) => Number(readFileSync(path, "utf8").split(" ")[0]))
    .reduce((sum, ns) => sum + ns, 0);
}

export function residentMb(...pids: readonly number[]): number {
  return pids
    .map((pid) => /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1])
    .reduce((sum, kilobytes) => sum + (Number(kilobytes) * 1024) / 1e6, 0);
}
