/** `check`: prints what does not fit together in the files of several hosts, and the virtual hosts that they form. */

import { Chalk } from "chalk";
import type { Comparison } from "../../../cluster/comparison.ts";
import { type Finding, type Level, placeText } from "../../../cluster/finding.ts";
import { escapeControls } from "../../../control/printable.ts";
import type { CommandContext } from "../../context.ts";
import { done, jsonText, type Outcome } from "../../outcome.ts";
import { compareNamed } from "./named-hosts.ts";
import { virtualHostsJson, virtualHostsText } from "./virtual-hosts.ts";

/** @param words NAME=PATH of each host */
export async function runCheck(words: readonly string[], context: CommandContext): Promise<Outcome> {
  const comparison = await compareNamed(words, "carpctl check NAME=PATH NAME=PATH...");
  return "kind" in comparison ? comparison : report(comparison, context);
}

export function report(
  comparison: Comparison,
  context: Pick<CommandContext, "options" | "colour" | "columns">,
): Outcome {
  const fits = comparison.findings.every(({ level }) => level !== "error");
  const output = context.options.json
    ? jsonText({ ok: fits, findings: comparison.findings.map(findingJson), ...virtualHostsJson(comparison) })
    : comparisonText(comparison, context);
  return fits ? done(output) : { kind: "failed", output };
}

function findingJson({ kind, level, host, file, line, hosts, text }: Finding) {
  return { kind, level, host, file, line: line ?? null, hosts, text };
}

function comparisonText(
  comparison: Comparison,
  { colour, columns }: Pick<CommandContext, "colour" | "columns">,
): string {
  const chalk = new Chalk({ level: colour ? 1 : 0 });
  const paint = { warning: chalk.yellow, error: chalk.red };
  const lines = comparison.findings.map(
    (each) =>
      `${escapeControls(placeText(each))}: ${paint[each.level](each.level)}: ${escapeControls(each.text)} [${each.kind}]`,
  );
  if (lines.length > 0) lines.push("");
  const table = virtualHostsText(comparison, columns);
  if (table !== undefined) lines.push(table, "");
  const count = (level: Level) => comparison.findings.filter((each) => each.level === level).length;
  lines.push(`${counted(count("error"), "error")}, ${counted(count("warning"), "warning")}`);
  return lines.map((each) => `${each}\n`).join("");
}

function counted(number: number, what: string): string {
  return `${number === 0 ? "no" : number} ${what}${number === 1 ? "" : "s"}`;
}
