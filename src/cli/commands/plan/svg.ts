/**
 * The picture of a plan: an SVG document that needs nothing else, runs no script, and can be read on a light and on a dark
 * background.
 */

import type { Planned } from "../../../cluster/plan/plan.ts";
import { escapeControls } from "../../../control/printable.ts";
import { type Lane, lanesOf, markEveryS, scaleUs } from "./lanes.ts";
import {
  addressText,
  failureText,
  masterText,
  type Row,
  rowsOf,
  secondsText,
  sharesText,
  vhidsText,
  worstOf,
} from "./rows.ts";

const WIDTH = 960;
const MARGIN = 16;
const [NAMES_X, BARS_END_X] = [310, WIDTH - MARGIN];
/** Of the column of host names; a character of theirs takes no more. */
const [LEAST_NAMES, MOST_NAMES, CHARACTER] = [90, 400, 7];
const [HEAD, LANE, BAR, LINE, GAP] = [72, 18, 12, 16, 10];
const MARKS = 12;
/** A title names no more hosts. */
const MOST_HOSTS_NAMED = 8;
/** A line of the left column has no more. */
const MOST_CHARACTERS = 42;

/** Colours that people with any kind of colour vision tell apart; each lane has its host's name too. */
const COLOURS = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#999933", "#882255"];
const NONE_COLOUR = "#d32f2f";

const STYLE = `
:root { color-scheme: light dark; }
text { font: 13px system-ui, sans-serif; fill: #1b1b1b; }
.title { font-size: 18px; font-weight: 600; }
.failure { font-weight: 600; }
.small { font-size: 11px; fill: #555; }
.page { fill: #ffffff; }
.rule { stroke: #d0d0d0; stroke-width: 1; }
.empty { fill: #f0f0f0; }
@media (prefers-color-scheme: dark) {
  text { fill: #ececec; }
  .small { fill: #b0b0b0; }
  .page { fill: #16181c; }
  .rule { stroke: #3a3f47; }
  .empty { fill: #24282f; }
}`;

interface Page {
  readonly hosts: readonly string[];
  readonly untilUs: number;
  /** Where the bars begin, behind the names. */
  readonly barsX: number;
}

export function svgText(planned: readonly Planned[]): string {
  const hosts = [...new Set(planned.flatMap(({ shares }) => [...shares.keys()]))];
  const names = CHARACTER * Math.max(0, ...hosts.map((name) => name.length));
  const barsX = NAMES_X + Math.min(MOST_NAMES, Math.max(LEAST_NAMES, names));
  const page = { hosts, untilUs: scaleUs(planned), barsX };
  let y = HEAD;
  const drawn: string[] = [];
  for (const row of planned.flatMap(rowsOf)) {
    const { marks, height } = drawnRow(row, y, page);
    drawn.push(...marks);
    y += height;
  }
  const height = y + MARGIN;
  const named = hosts.length > MOST_HOSTS_NAMED ? `${hosts.length} hosts` : hosts.join(", ");
  const title = `Every single failure of ${named}`;
  return `${[
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img">`,
    `<title>${escaped(title)}</title>`,
    `<style>${STYLE}\n</style>`,
    `<rect class="page" width="${WIDTH}" height="${height}"/>`,
    text(MARGIN, 30, title, "title"),
    text(MARGIN, 50, "Which host answers, in seconds since the failure or its end", "small"),
    ...scale(page, height),
    ...drawn,
    "</svg>",
  ].join("\n")}\n`;
}

function scale(page: Page, height: number): string[] {
  const everyS = markEveryS(page.untilUs, MARKS);
  const marks: string[] = [];
  for (let seconds = 0; seconds * 1e6 < page.untilUs; seconds += everyS) {
    const x = xOf(seconds * 1e6, page);
    marks.push(`<line class="rule" x1="${x}" x2="${x}" y1="${HEAD - 6}" y2="${height - MARGIN}"/>`);
    marks.push(text(x, HEAD - 10, `${seconds} s`, "small", "middle"));
  }
  return marks;
}

function drawnRow(row: Row, y: number, page: Page): { readonly marks: string[]; readonly height: number } {
  const lanes = lanesOf(row, page.untilUs);
  const words = wordsOf(row);
  const marks = [
    ...(row.isFirst ? [`<line class="rule" x1="${MARGIN}" x2="${BARS_END_X}" y1="${y}" y2="${y}"/>`] : []),
    ...words.map((line, at) => text(MARGIN, y + (at + 1) * LINE + 2, line.words, line.kind)),
    ...lanes.flatMap((lane, at) => drawnLane(lane, y + 6 + at * LANE, page)),
  ];
  return { marks, height: Math.max(words.length * LINE, lanes.length * LANE) + GAP + 2 };
}

function wordsOf(row: Row): { readonly words: string; readonly kind: string }[] {
  const change = worstOf(row.changes);
  const lines = (words: string, kind: string) => cut(words).map((line) => ({ words: line, kind }));
  const silent =
    change !== undefined && change.silentUs > 0 ? `, none for ${secondsText(change.silentUs)}` : "";
  return [
    ...(row.isFirst ? lines(failureText(row.planned), "failure") : []),
    ...(change === undefined
      ? lines("unchanged", "small")
      : [
          ...lines(`${addressText(change)} vhid ${vhidsText(row.changes)}`, "small"),
          ...lines(`${masterText(change)}${silent}`, "small"),
        ]),
    ...(row.isLast ? lines(sharesText(row.planned), "small") : []),
  ];
}

/** Lines that fit into the left column, broken at blanks and commas. */
function cut(words: string): string[] {
  const lines: string[] = [];
  let line = "";
  for (const part of words.split(/(?<=[ ,|+])/)) {
    if (line !== "" && line.length + part.trimEnd().length > MOST_CHARACTERS) {
      lines.push(line.trimEnd());
      line = "";
    }
    line += part;
  }
  return [...lines, line.trimEnd()];
}

function drawnLane({ host, spans }: Lane, y: number, page: Page): string[] {
  const { hosts, barsX } = page;
  const colour = host === undefined ? NONE_COLOUR : COLOURS[hosts.indexOf(host) % COLOURS.length];
  return [
    text(NAMES_X, y + BAR - 2, host ?? "none", "small"),
    `<rect class="empty" x="${barsX}" y="${y}" width="${BARS_END_X - barsX}" height="${BAR}"/>`,
    ...spans.map(({ fromUs, untilUs }) => {
      const from = xOf(fromUs, page);
      // The shortest time is seen.
      const width = Math.max(1, round(xOf(untilUs, page) - from));
      return `<rect fill="${colour}" x="${from}" y="${y}" width="${width}" height="${BAR}"/>`;
    }),
  ];
}

function xOf(us: number, { untilUs, barsX }: Page): number {
  return round(barsX + (us / untilUs) * (BARS_END_X - barsX));
}

function round(number: number): number {
  return Math.round(number * 10) / 10;
}

function text(x: number, y: number, words: string, kind: string, anchor = "start"): string {
  return `<text class="${kind}" x="${x}" y="${y}" text-anchor="${anchor}">${escaped(words)}</text>`;
}

const ENTITIES: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;" };

function escaped(words: string): string {
  return escapeControls(words).replace(/[&<>]/g, (sign) => ENTITIES[sign] ?? sign);
}
