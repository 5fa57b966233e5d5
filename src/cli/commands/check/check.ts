/** `check`: prints what does not fit together in the files of several hosts, and the virtual hosts that they form. */

import { Chalk } from "chalk";
import { type Comparison, compareHosts } from "../../../cluster/comparison.ts";
import { type Finding, type Level, placeText } from "../../../cluster/finding.ts";
import type { HostFiles } from "../../../cluster/host-files.ts";
import { escapeControls, printable } from "../../../control/printable.ts";
import type { CommandContext } from "../../context.ts";
import {
  done,
  isRefusal,
  jsonText,
  misused,
  type Outcome,
  type Refusal,
  refuse,
  refused,
} from "../../outcome.ts";
import { readHostFiles } from "./host-files.ts";
import { virtualHostsJson, virtualHostsText } from "./virtual-hosts.ts";

const USAGE = "carpctl check NAME=PATH NAME=PATH...";

/** @param words NAME=PATH of each host */
export async function runCheck(words: readonly string[], context: CommandContext): Promise<Outcome> {
  const named = hostsIn(words);
  if (isRefusal(named)) return misused(USAGE, named.refusal);
  const hosts: HostFiles[] = [];
  for (const { name, path } of named) {
    const host = await readHostFiles(name, path);
    if (isRefusal(host)) return refused(host.refusal);
    hosts.push(host);
  }
  return report(compareHosts(hosts), context);
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

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;

function hostsIn(words: readonly string[]): { name: string; path: string }[] | Refusal {
  const hosts: { name: string; path: string }[] = [];
  for (const word of words) {
    const [, name = "", path = ""] = /^([^=]*)=(.+)$/s.exec(word) ?? [];
    if (path === "") return refuse(`${printable(word)}: expected NAME=DIRECTORY or NAME=FILE`);
    if (!NAME.test(name))
      return refuse(`${printable(name)}: not a host's name (letters, digits, dots and dashes)`);
    if (hosts.some((each) => each.name === name)) return refuse(`${name}: two hosts have this name`);
    hosts.push({ name, path });
  }
  return hosts.length < 2 ? refuse("at least two hosts are compared") : hosts;
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
