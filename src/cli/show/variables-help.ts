/** The sysctl variables as help text: what `sysctl` reads and sets. */

import { SYSCTL_VARIABLES, type SysctlVariable } from "../../control/variables.ts";

export function variablesHelp(): string {
  return ["Variables:", ...SYSCTL_VARIABLES.flatMap((variable) => variableHelp(variable))].join("\n");
}

export function variableHelp({ name, initial, min, max, meaning }: SysctlVariable): string[] {
  return [`  ${name} (${min}..${max}, default ${initial})`, `      ${meaning}`];
}
