/**
 * Reads `NAME` and `NAME=VALUE`, as sysctl(8) and its file have them. Whether the variable exists is for the
 * engine to say.
 */

import { MAX_VARIABLE_NAME } from "../control/limits.ts";
import { printable } from "../control/printable.ts";
import { type Refusal, refuse } from "../control/refusal.ts";

export interface SysctlWord {
  readonly name: string;
  readonly value?: number | undefined;
}

export function readSysctlWord(word: string): SysctlWord | Refusal {
  const at = word.indexOf("=");
  const name = at < 0 ? word : word.slice(0, at);
  if (name === "" || name.length > MAX_VARIABLE_NAME)
    return refuse(`${printable(name || word)}: no such variable`);
  if (at < 0) return { name };
  const text = word.slice(at + 1);
  const value = /^[-+]?[0-9]+$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isNaN(value)) return refuse(`${printable(word)}: not a number`);
  return Number.isSafeInteger(value) ? { name, value } : refuse(`${printable(word)}: too large`);
}
