/**
 * Tables for people, no wider than the terminal: a column without room is left out, and its text goes in
 * lines of its own below the row. No word is ever cut.
 */

import { getBorderCharacters, table } from "table";
import printed from "./printed-width.ts";

export interface Column<Of> {
  readonly title: string;
  /** May have several lines. */
  cell(of: Of): string;
  /** Text below the row, for a column that may be left out. */
  below?(of: Of): string | undefined;
}

const INDENT = "  ";

/** @param columns left out in their order, where they have text for below the row, until the rest fits */
export function drawn<Of>(columns: readonly Column<Of>[], rows: readonly Of[], width: number): string {
  const left: Column<Of>[] = [];
  let shown = columns;
  while (narrowest(shown, rows) > width) {
    const giving = shown.find((column) => column.below !== undefined);
    if (giving === undefined) break;
    left.push(giving);
    shown = shown.filter((column) => column !== giving);
  }
  const cells = rows.map((row) => shown.map((column) => column.cell(row)));
  const lines = laidOut([shown.map(({ title }) => title), ...cells], width);
  const body: string[] = lines.splice(0, 1);
  for (const [at, row] of rows.entries()) {
    body.push(...lines.splice(0, Math.max(...(cells[at] ?? []).map((cell) => cell.split("\n").length))));
    for (const column of left) {
      const words = column.below?.(row);
      if (words !== undefined) body.push(...wrapped(words, width, INDENT));
    }
  }
  return body.join("\n");
}

/** Lines of whole words, each no wider than `width` unless a word is; `indent` in front of every one. */
export function wrapped(text: string, width: number, indent = ""): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ").filter(Boolean)) {
    if (line !== "" && indent.length + printed(line) + 1 + printed(word) > width) {
      lines.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  if (line !== "") lines.push(line);
  return lines.map((each) => indent + each);
}

function widths<Of>(columns: readonly Column<Of>[], rows: readonly Of[]): number[] {
  return columns.map(({ title, cell }) => Math.max(title.length, ...rows.map((row) => widest(cell(row)))));
}

function narrowest<Of>(columns: readonly Column<Of>[], rows: readonly Of[]): number {
  return widths(columns, rows).reduce((sum, each) => sum + each + 1, -1);
}

/** With two blanks between columns where there is room, else one. */
function laidOut(cells: readonly (readonly string[])[], width: number): string[] {
  const [first = []] = cells;
  const natural = first.map((_, at) => Math.max(...cells.map((row) => widest(row[at] ?? ""))));
  const total = natural.reduce((sum, each) => sum + each, 0);
  const gap = total + 2 * (natural.length - 1) <= width ? 2 : 1;
  const text = table(
    cells.map((row) => [...row]),
    {
      border: getBorderCharacters("void"),
      columnDefault: { paddingLeft: 0 },
      columns: natural.map((each, at) => ({
        width: each,
        paddingRight: at === natural.length - 1 ? 0 : gap,
      })),
      drawHorizontalLine: () => false,
    },
  );
  const lines = text.split("\n").map((line) => line.trimEnd());
  return lines.at(-1) === "" ? lines.slice(0, -1) : lines;
}

function widest(cell: string): number {
  return Math.max(...cell.split("\n").map(printed));
}
