/**
 * `plan`: runs the files of several hosts through every single failure, in the simulator, and prints who is master of
 * what afterwards, how long none answered, and what share each host carries: as a table, JSON or a picture.
 */

import { writeFileSync } from "node:fs";
import { type Planned, plan, tooLarge } from "../../../cluster/plan/plan.ts";
import { escapeControls, printable } from "../../../control/printable.ts";
import type { CommandContext } from "../../context.ts";
import { done, json, misused, type Outcome, refused } from "../../outcome.ts";
import { type Column, drawn } from "../../show/table.ts";
import { compareNamed } from "../check/named-hosts.ts";
import {
  addressText,
  failureText,
  masterText,
  type Row,
  rowsOf,
  secondsText,
  sharesText,
  vhidsText,
} from "./rows.ts";
import { svgText } from "./svg.ts";
import { timelineText } from "./timeline.ts";

const PLAN_USAGE = "carpctl plan [--timeline] [--svg FILE] NAME=PATH NAME=PATH...";

export interface PlanOptions {
  readonly timeline: boolean;
  /** The file of the picture; `-`: standard output. */
  readonly svg: string | undefined;
}

/** @param words NAME=PATH of each host */
export async function runPlan(
  words: readonly string[],
  { timeline, svg }: PlanOptions,
  context: CommandContext,
): Promise<Outcome> {
  const printed = [context.options.json && "--json", timeline && "--timeline", svg === "-" && "--svg -"];
  const [first, second] = printed.filter((each) => each !== false);
  if (second !== undefined) return misused(PLAN_USAGE, `${first} and ${second}: one of them can be printed`);
  const comparison = await compareNamed(words, PLAN_USAGE);
  if ("kind" in comparison) return comparison;
  const errors = comparison.findings.filter(({ level }) => level === "error").length;
  if (errors > 0)
    return refused(`the files have ${errors} error${errors === 1 ? "" : "s"}: 'carpctl check' names them`);
  const limit = tooLarge(comparison);
  if (limit !== undefined) return refused(limit);
  const planned = plan(comparison);
  if (svg !== undefined) {
    const picture = svgText(planned);
    if (svg === "-") return done(picture);
    const refusal = refusalToWrite(svg, picture);
    if (refusal !== undefined) return refused(refusal);
  }
  if (context.options.json) return json({ failures: planned.map(plannedJson) });
  const text = timeline ? timelineText(planned, context) : tableText(planned, context.columns);
  return done(`${text}\n`);
}

function refusalToWrite(path: string, text: string): string | undefined {
  try {
    writeFileSync(path, text);
    return undefined;
  } catch (error) {
    return `--svg ${printable(path)}: cannot be written (${(error as NodeJS.ErrnoException).code})`;
  }
}

function tableText(planned: readonly Planned[], columns: number): string {
  return drawn(COLUMNS, planned.flatMap(rowsOf), columns);
}

const shares = ({ planned, isLast }: Row): string => (isLast ? sharesText(planned) : "");

const COLUMNS: readonly Column<Row>[] = [
  {
    title: "FAILURE",
    cell: ({ planned, isFirst }) => (isFirst ? escapeControls(failureText(planned)) : ""),
  },
  { title: "ADDRESS", cell: ({ changes: [first] }) => addressText(first) },
  { title: "VHID", cell: ({ changes }) => vhidsText(changes) },
  {
    title: "MASTER",
    cell: ({ changes: [first] }) => (first === undefined ? "unchanged" : masterText(first)),
  },
  { title: "NONE FOR", cell: ({ changes }) => longest(changes.map(({ silentUs }) => silentUs)) },
  { title: "SETTLED IN", cell: ({ changes }) => longest(changes.map(({ settledUs }) => settledUs)) },
  { title: "SHARES", cell: shares, below: (row) => shares(row) || undefined },
];

function longest(timesUs: readonly number[]): string {
  const mostUs = Math.max(0, ...timesUs);
  return mostUs === 0 ? "-" : secondsText(mostUs);
}

function plannedJson({ failure, isOver, changes, lastedUs, shares }: Planned) {
  return {
    failure: failure.kind,
    host: failure.kind === "split" ? null : failure.host,
    carpdev: "carpdev" in failure ? failure.carpdev : null,
    parts: failure.kind === "split" ? failure.parts : null,
    isOver,
    lastedSeconds: lastedUs / 1e6,
    virtualHosts: changes.map(({ virtualHost, before, after, silentUs, settledUs, answers }) => ({
      vhid: virtualHost.vhid,
      addresses: virtualHost.addresses,
      before,
      after,
      noneSeconds: silentUs / 1e6,
      settledSeconds: settledUs / 1e6,
      answers: answers.map(({ host, fromUs, untilUs }) => ({
        host,
        fromSeconds: fromUs / 1e6,
        untilSeconds: untilUs / 1e6,
      })),
    })),
    shares: Object.fromEntries(shares),
  };
}
