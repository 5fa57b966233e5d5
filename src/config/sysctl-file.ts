/** Reads carp/sysctl.conf: variables and their values, one to a line. Sets nothing. */

import { printable } from "../control/printable.ts";
import { isRefusal, type Refusal, refuse } from "../control/refusal.ts";
import { type Complaint, linesOf } from "./lines.ts";
import { readSysctlWord } from "./sysctl-word.ts";

export interface SysctlSetting {
  readonly line: number;
  readonly name: string;
  readonly value: number;
}

export interface SysctlFile {
  /** Each variable once, with the last value it is given. */
  readonly settings: readonly SysctlSetting[];
}

export function readSysctlFile(bytes: Buffer): SysctlFile | { readonly errors: readonly Complaint[] } {
  const settings = new Map<string, SysctlSetting>();
  const errors: Complaint[] = [];
  for (const line of linesOf(bytes)) {
    const { number } = line;
    const setting = "refusal" in line ? line : settingIn(line.text.replace(/#.*$/, "").trim());
    if (isRefusal(setting)) errors.push({ line: number, message: setting.refusal });
    else if (setting !== undefined) settings.set(setting.name, { line: number, ...setting });
  }
  return errors.length > 0 ? { errors } : { settings: [...settings.values()] };
}

function settingIn(text: string): { name: string; value: number } | Refusal | undefined {
  if (text === "") return undefined;
  const step = readSysctlWord(text.replace(/\s*=\s*/, "="));
  if (isRefusal(step)) return step;
  const { name, value } = step;
  if (value === undefined) return refuse(`${printable(text)}: expected NAME=VALUE`);
  if (name === "net.inet.carp.demotion")
    return refuse(`${name}: a written value is added to it: use 'carpctl demote REASON N' instead`);
  return { name, value };
}

/** The line that the engine's refusal is about. */
export function lineOf(refusal: string, settings: readonly SysctlSetting[]): number | undefined {
  return settings.find(({ name }) => refusal.startsWith(`${name}=`) || refusal.startsWith(`${name}:`))?.line;
}
