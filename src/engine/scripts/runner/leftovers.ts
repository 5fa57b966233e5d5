/**
 * Kills what a runner that was killed left running. A script's process group is found by its environment, which holds
 * what the runner gives it and nothing that a person's shell would; the engine, which is not root, has no say in it.
 */

import { readdirSync, readFileSync } from "node:fs";
import { killGroup } from "./run-script.ts";

/** What shells add to the environment of the commands that they execute. */
const OF_SHELLS = /^(CARP_\w+|PWD|OLDPWD|SHLVL|_)$/;

/** @param environment of every script */
export function killLeftovers(environment: Readonly<Record<string, string>>): void {
  const common = Object.entries(environment).map(([name, value]) => `${name}=${value}`);
  for (const entry of readdirSync("/proc")) {
    const pid = Number(entry);
    if (!Number.isInteger(pid) || !isLeader(pid)) continue;
    const variables = new Set(read(pid, "environ").split("\0").filter(Boolean));
    const isScript =
      common.every((variable) => variables.delete(variable)) &&
      [...variables].every((variable) => OF_SHELLS.test(variable.split("=")[0] ?? ""));
    if (isScript) killGroup(pid);
  }
}

/** Whether the process leads a session, as every script does. */
function isLeader(pid: number): boolean {
  // The name before the state is in parentheses and may hold any character.
  const [, , , session] = read(pid, "stat")
    .replace(/^.*\) /s, "")
    .split(" ");
  return Number(session) === pid;
}

function read(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, "utf8");
  } catch {
    // The process has ended.
    return "";
  }
}
