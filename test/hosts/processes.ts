/** Processes of the machine, as /proc shows them. */

import { readdirSync, readFileSync } from "node:fs";

/** Processes whose command line, words separated by blanks, contains the text; this process excepted. */
export function processesWith(text: string): number[] {
  return readdirSync("/proc")
    .map(Number)
    .filter((pid) => Number.isInteger(pid) && pid !== process.pid && commandOf(pid).includes(text));
}

/** Children of a process, of any session. */
export function childrenOf(parent: number): number[] {
  return readdirSync("/proc")
    .map(Number)
    .filter((pid) => Number.isInteger(pid) && parentOf(pid) === parent);
}

/** Children of a process, their children, and so on. */
export function descendantsOf(ancestor: number): number[] {
  return childrenOf(ancestor).flatMap((child) => [child, ...descendantsOf(child)]);
}

/** The lines of /proc about the capabilities of all threads of a process. */
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
  // The name before the state is in parentheses and may hold any character.
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
