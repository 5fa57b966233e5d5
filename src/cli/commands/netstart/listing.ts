/** The output of `netstart -n`: the commands that netstart stands for. */

import { quotedWords } from "../../../config/shell-words.ts";
import type { SysctlFile } from "../../../config/sysctl-file.ts";
import type { Entry } from "../../grammar/ifconfig/change-words.ts";
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
  const isOmitted = ({ keyword }: Entry) => keyword?.name === "pass" && !secrets;
  const lines = steps.flatMap((step) => {
    // A form of $if that only a shell can expand.
    if (step.kind === "command")
      return [/\$\{#?if\b/.test(step.command) ? `if=${name}; ${step.command}` : step.command];
    const words = step.entries.filter((each) => !isOmitted(each)).flatMap((each) => each.words);
    return words.length > 0 ? [quotedWords(["carpctl", name, ...words])] : [];
  });
  const entries = steps.flatMap((step) => (step.kind === "parameters" ? step.entries : []));
  if (entries.length === 0) lines.unshift(`carpctl ${name} create`);
  if (entries.some(isOmitted)) lines.push(`# ${name}: pass omitted: only root may see it`);
  return lines;
}
