/** The output of `netstart -n`: the commands that netstart stands for. */

import { quotedWords } from "../../../config/shell-words.ts";
import type { SysctlFile } from "../../../config/sysctl-file.ts";
import { keywordOf } from "../../grammar/ifconfig/keywords.ts";
import type { Interface } from "./apply.ts";

export function variableCommands({ settings }: SysctlFile): string[] {
  if (settings.length === 0) return [];
  return [quotedWords(["carpctl", "sysctl", "-q", ...settings.map(({ name, value }) => `${name}=${value}`)])];
}

/** @param secrets whether a pass is shown */
export function interfaceCommands(
  { name, file: { steps } }: Pick<Interface, "name" | "file">,
  secrets: boolean,
): string[] {
  const words = steps.flatMap((step) => (step.kind === "parameters" ? step.words : []));
  const printed = (all: readonly string[]) => (secrets ? all : withoutPass(all));
  const lines = steps.flatMap((step) => {
    if (step.kind === "command") return [step.command];
    const some = printed(step.words);
    return some.length > 0 ? [quotedWords(["carpctl", name, ...some])] : [];
  });
  if (words.length === 0) lines.unshift(`carpctl ${name} create`);
  if (printed(words).length < words.length) lines.push(`# ${name}: pass omitted: only root may see it`);
  return lines;
}

function withoutPass(words: readonly string[]): string[] {
  const kept: string[] = [];
  for (let at = 0; at < words.length; at++) {
    const keyword = keywordOf(words[at] ?? "");
    const last = keyword?.argument === undefined ? at : at + 1;
    if (keyword?.name !== "pass") kept.push(...words.slice(at, last + 1));
    at = last;
  }
  return kept;
}
