/** Processes of the machine, as /proc shows them. */

import { readdirSync, readFileSync } from "node:fs";

/** Those whose command line has this in it, words parted by blanks; the asking process excepted. */
export function processesWith(text: string): number[] {
  return readdirSync("/proc")
    .map(Number)
    .filter((pid) => Number.isInteger(pid) && pid !== process.pid && commandOf(pid).includes(text));
}

/** Children of a process, whoever their leader is. */
export function childrenOf(parent: number): number[] {
  return readdirSync("/proc")
    .map(Number)
    .filter((pid) => Number.isInteger(pid) && parentOf(pid) === parent);
}

/** Its children, theirs, and so on. */
export function descendantsOf(ancestor: number): number[] {
  return childrenOf(ancestor).flatMap((child) => [child, ...descendantsOf(child)]);
}

/** What its threads may do beyond what their user may: each line of /proc that says so, of every thread. */
export function privilegesOf(pid: number): string[] {
  const lines = readdirSync(`/proc/${pid}/task`).flatMap((thread) =>
    read(pid, `task/${thread}/status`)
      .split("\n")
      .filter((line) => /^(Cap|NoNewPrivs)/.test(line)),
  );
  return [...new Set(lines)].map((line) => line.replace(/:\s+/, " ")).sort();
}

export function commandOf(pid: number): string {
  return read(pid, "cmdline").replaceAll("\0", " ").trim();
}

function parentOf(pid: number): number {
  // The name before it is in parentheses and may hold anything.
  return Number(
    read(pid, "stat")
      .replace(/^.*\) /s, "")
      .split(" ")[1],
  );
}

function read(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, "latin1");
  } catch {
    return "";
  }
}
