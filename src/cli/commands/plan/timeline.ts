/**
 * The timeline of a plan for a terminal: below each failure a line for each host that answers, and one for the time in
 * which none does. No wider than the terminal, in ASCII where the terminal has nothing else.
 */

import { Chalk } from "chalk";
import type { Planned } from "../../../cluster/plan/plan.ts";
import { escapeControls } from "../../../control/printable.ts";
import type { CommandContext } from "../../context.ts";
import { wrapped } from "../../show/table.ts";
import { type Lane, lanesOf, markEveryS, scaleUs } from "./lanes.ts";
import {
  addressText,
  failureText,
  masterText,
  type Row,
  rowsOf,
  secondsText,
  vhidsText,
  worstOf,
} from "./rows.ts";

const SIGNS = {
  utf8: { answers: "━", none: "×", nothing: "·" },
  ascii: { answers: "=", none: "x", nothing: "." },
} as const;

const NONE = "none";
const INDENT = "  ";
/** Narrower bars tell nothing: a terminal that is narrower wraps them. */
const LEAST_CELLS = 10;
const CELLS_PER_MARK = 10;

interface Page {
  readonly width: number;
  readonly names: number;
  readonly cells: number;
  readonly untilUs: number;
  readonly signs: (typeof SIGNS)["utf8"] | (typeof SIGNS)["ascii"];
  readonly chalk: InstanceType<typeof Chalk>;
}

export function timelineText(
  planned: readonly Planned[],
  { columns, colour, isUtf8 }: Pick<CommandContext, "columns" | "colour" | "isUtf8">,
): string {
  const hosts = planned.flatMap(({ shares }) => [...shares.keys()]);
  const names = Math.max(NONE.length, ...hosts.map((name) => name.length));
  const page: Page = {
    width: columns,
    names,
    cells: Math.max(LEAST_CELLS, columns - names - INDENT.length - 1),
    untilUs: scaleUs(planned),
    signs: SIGNS[isUtf8 ? "utf8" : "ascii"],
    chalk: new Chalk({ level: colour ? 1 : 0 }),
  };
  return [scaleLine(page), ...planned.flatMap(rowsOf).flatMap((row) => rowLines(row, page))].join("\n");
}

function scaleLine({ names, cells, untilUs }: Page): string {
  const everyS = markEveryS(untilUs, cells / CELLS_PER_MARK);
  let line = "";
  for (let seconds = 0; seconds * 1e6 < untilUs; seconds += everyS) {
    const at = Math.round(((seconds * 1e6) / untilUs) * cells);
    const mark = `${seconds}s`;
    if (at + mark.length <= cells) line = line.padEnd(at) + mark;
  }
  return INDENT + " ".repeat(names + 1) + line;
}

function rowLines(row: Row, page: Page): string[] {
  const change = worstOf(row.changes);
  const silent =
    change !== undefined && change.silentUs > 0 ? `, none for ${secondsText(change.silentUs)}` : "";
  const what =
    change === undefined
      ? "unchanged"
      : `${addressText(change)} vhid ${vhidsText(row.changes)}: ${masterText(change)}${silent}`;
  const words = escapeControls(`${failureText(row.planned)}: ${what}`);
  return [
    ...wrapped(words, page.width).map((line) => page.chalk.bold(line)),
    ...lanesOf(row, page.untilUs).map((lane) => laneLine(lane, page)),
  ];
}

function laneLine({ host, spans }: Lane, { names, cells, untilUs, signs, chalk }: Page): string {
  const line = Array.from({ length: cells }, () => signs.nothing);
  const sign = host === undefined ? signs.none : signs.answers;
  for (const span of spans) {
    const from = Math.min(cells - 1, Math.round((span.fromUs / untilUs) * cells));
    // The shortest time is seen.
    const until = Math.max(from + 1, Math.round((span.untilUs / untilUs) * cells));
    line.fill(sign as typeof signs.nothing, from, until);
  }
  const colour = host === undefined ? chalk.red : chalk.green;
  return `${INDENT}${(host ?? NONE).padEnd(names)} ${colour(line.join(""))}`;
}
