/**
 * `status`: every virtual host in a table for people, what keeps an interface from running and which groups are
 * demoted. The layout may change; programs read `--json`.
 */

import { Chalk, type ChalkInstance } from "chalk";
import { getBorderCharacters, table } from "table";
import type { GroupView, InterfaceView, NodeView } from "../control/messages.ts";
import { escaped } from "../control/shown.ts";
import { done, json, type Outcome } from "./outcome.ts";
import { type Setting, withEngine } from "./setting.ts";
import { groupJson, interfaceJson } from "./views.ts";

export function runStatus(setting: Setting): Promise<Outcome> {
  return withEngine(setting, async (engine) => {
    const [{ interfaces, nowUs }, groups] = await Promise.all([
      engine.call("interfaces", {}),
      engine.call("groups", {}),
    ]);
    if (setting.options.json) {
      const views = interfaces.map((view) => interfaceJson(view, nowUs));
      return json({ interfaces: views, groups: groups.map(groupJson) });
    }
    return done(statusText(interfaces, groups, { ...setting, nowUs }));
  });
}

export interface Page {
  readonly colour: boolean;
  readonly columns: number;
  readonly nowUs: number;
}

const HEADER = [
  "NAME",
  "VHID",
  "STATE",
  "SINCE",
  "ADDRESSES",
  "CARPDEV",
  "ADV",
  "MASTER",
  "CHANGES",
] as const;
/** Columns that give way when the table is wider than the terminal, and how far. */
const NARROWEST = { ADDRESSES: 15, MASTER: 9 } as const;

export function statusText(
  interfaces: readonly InterfaceView[],
  groups: readonly GroupView[],
  page: Page,
): string {
  if (interfaces.length === 0) return "no carp interfaces\n";
  const chalk = new Chalk({ level: page.colour ? 1 : 0 });
  const rows = interfaces.flatMap((view) => interfaceRows(view, page.nowUs));
  const notes = [
    ...interfaces
      .filter((view) => view.notRunning)
      .map((view) => `${view.name}: ${escaped(view.notRunning ?? "")}`),
    ...groups
      .filter((group) => group.carpDemoteCount > 0)
      .map((group) => `group ${group.name}: carp demote count ${group.carpDemoteCount}`),
  ];
  return [drawn(rows, chalk, page.columns), ...notes].map((line) => `${line}\n`).join("");
}

/** A row for every virtual host; what belongs to the whole interface only in the first. */
function interfaceRows(view: InterfaceView, nowUs: number): string[][] {
  const addresses = view.addresses
    .map(({ address, prefixLength }) => `${address}/${prefixLength}`)
    .join("\n");
  const carpdev = view.carpdev ?? "none";
  const nodes: readonly (NodeView | undefined)[] = view.nodes.length > 0 ? view.nodes : [undefined];
  return nodes.map((node, at) => [
    view.name,
    node ? String(node.vhid) : "-",
    node ? node.state : "INIT",
    node ? age(nowUs - node.sinceUs) : "-",
    at === 0 ? addresses || "-" : "",
    at === 0 ? carpdev : "",
    node ? advertised(view.advbase, node) : `${view.advbase}/-`,
    node ? heardText(node, nowUs) : "-",
    node ? String(node.transitions) : "-",
  ]);
}

/** advbase/advskew as configured; what is sent instead while demoted. */
function advertised(advbase: number, { advskew, effectiveAdvskew, demote }: NodeView): string {
  const lines = [`${advbase}/${advskew}`];
  if (effectiveAdvskew !== advskew) lines.push(`as ${advbase}/${effectiveAdvskew}`);
  if (demote !== 0) lines.push(`demote ${demote}`);
  return lines.join("\n");
}

function heardText({ state, heard }: NodeView, nowUs: number): string {
  const lines = state === "MASTER" ? ["this host"] : [];
  if (heard) lines.push(heard.source, `${age(nowUs - heard.atUs)} ago`);
  return lines.length > 0 ? lines.join("\n") : "-";
}

const UNITS = [
  ["d", 86_400],
  ["h", 3600],
  ["m", 60],
  ["s", 1],
] as const;

/** Two units at most: `3d4h`, `12m5s`, `0s`. */
export function age(us: number): string {
  const seconds = Math.max(0, Math.floor(us / 1_000_000));
  const first = UNITS.findIndex(([, size]) => seconds >= size);
  if (first < 0) return "0s";
  const [unit, size] = UNITS[first] ?? UNITS[3];
  const smaller = UNITS[first + 1];
  const rest = smaller === undefined ? 0 : Math.floor((seconds % size) / smaller[1]);
  return `${Math.floor(seconds / size)}${unit}${rest > 0 && smaller ? `${rest}${smaller[0]}` : ""}`;
}

function drawn(rows: readonly string[][], chalk: ChalkInstance, columns: number): string {
  const natural = HEADER.map((title, at) =>
    Math.max(title.length, ...rows.map((row) => widest(row[at] ?? ""))),
  );
  const total = natural.reduce((sum, width) => sum + width, 0);
  const gap = total + 2 * (HEADER.length - 1) <= columns ? 2 : 1;
  const widths = fitted(natural, columns - gap * (HEADER.length - 1));
  const cells = [HEADER.map((title) => chalk.bold(title)), ...rows.map((row) => coloured(row, chalk))];
  const last = HEADER.length - 1;
  const text = table(cells, {
    border: getBorderCharacters("void"),
    columnDefault: { paddingLeft: 0 },
    columns: widths.map((width, at) => ({ width, paddingRight: at === last ? 0 : gap, wrapWord: false })),
    drawHorizontalLine: () => false,
  });
  return text
    .split("\n")
    .map((line) => line.trimEnd())
    .filter((line) => line !== "")
    .join("\n");
}

function widest(cell: string): number {
  return Math.max(...cell.split("\n").map((line) => line.length));
}

/** The flexible columns shrink, the widest first, until everything fits or they are at their narrowest. */
function fitted(natural: readonly number[], columns: number): number[] {
  const widths = [...natural];
  let excess = widths.reduce((sum, width) => sum + width, 0) - columns;
  while (excess > 0) {
    const spare = HEADER.map((title, at) =>
      title === "ADDRESSES" || title === "MASTER" ? (widths[at] ?? 0) - NARROWEST[title] : 0,
    );
    const most = Math.max(...spare);
    if (most <= 0) break;
    const at = spare.indexOf(most);
    widths[at] = (widths[at] ?? 0) - 1;
    excess--;
  }
  return widths;
}

function coloured(row: readonly string[], chalk: ChalkInstance): string[] {
  const colours = { MASTER: chalk.green, BACKUP: chalk.yellow, INIT: chalk.red };
  return row.map((cell, at) =>
    HEADER[at] === "STATE" && cell in colours ? colours[cell as keyof typeof colours](cell) : cell,
  );
}
