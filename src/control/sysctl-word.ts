/** `NAME` and `NAME=VALUE`, as sysctl(8) and its file have them. Whether there is such a variable the engine knows. */

import { MAX_VARIABLE_NAME } from "./limits.ts";
import { type Refusal, refuse } from "./refusal.ts";
import { shown } from "./shown.ts";

export interface SysctlWord {
  readonly name: string;
  readonly value?: number | undefined;
}

export function readSysctlWord(word: string): SysctlWord | Refusal {
  const at = word.indexOf("=");
  const name = at < 0 ? word : word.slice(0, at);
  if (name === "" || name.length > MAX_VARIABLE_NAME)
    return refuse(`${shown(name || word)}: no such variable`);
  if (at < 0) return { name };
  const text = word.slice(at + 1);
  const value = /^[-+]?[0-9]+$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isNaN(value)) return refuse(`${shown(word)}: not a number`);
  return Number.isSafeInteger(value) ? { name, value } : refuse(`${shown(word)}: too large`);
}
