/**
 * Tables for people, no wider than the terminal: a column without room is left out, and its text goes in
 * lines of its own below the row. No word is ever cut.
 */

import printed from "./printed-width.ts";

export interface Column<Of> {
  readonly title: string;
  /** May have several lines. */
  cell(of: Of): string;
  /** Text below the row, for a column that may be left out. */
  below?(of: Of): string | undefined;
}

const INDENT = "  ";

/** A column with what it prints. */
interface Laid<Of> {
  readonly column: Column<Of>;
  /** The lines of its cells, by row. */
  readonly cells: readonly (readonly string[])[];
  readonly width: number;
}

/** @param columns left out in their order, where they have text for below the row, until the rest fits */
export function drawn<Of>(columns: readonly Column<Of>[], rows: readonly Of[], width: number): string {
  const left: Column<Of>[] = [];
  let shown = columns.map((column) => laid(column, rows));
  while (tableWidth(shown, 1) > width) {
    const giving = shown.find(({ column }) => column.below !== undefined);
    if (giving === undefined) break;
    left.push(giving.column);
    shown = shown.filter((each) => each !== giving);
  }
  const gap = tableWidth(shown, 2) <= width ? 2 : 1;
  const lines = [line(shown, ({ column }) => column.title, gap)];
  for (const [at, row] of rows.entries()) {
    const height = shown.reduce((most, { cells }) => Math.max(most, cells[at]?.length ?? 1), 1);
    for (let n = 0; n < height; n++) lines.push(line(shown, ({ cells }) => cells[at]?.[n] ?? "", gap));
    for (const column of left) {
      const words = column.below?.(row);
      if (words !== undefined) lines.push(...wrapped(words, width, INDENT));
    }
  }
  return lines.join("\n");
}

/** Lines of whole words, each no wider than `width` unless a word is; `indent` in front of every one. */
export function wrapped(text: string, width: number, indent = ""): string[] {
  const lines: string[] = [];
  let line = "";
  let lineWidth = indent.length;
  for (const word of text.split(" ").filter(Boolean)) {
    const wordWidth = printed(word);
    if (line !== "" && lineWidth + 1 + wordWidth > width) {
      lines.push(line);
      line = word;
      lineWidth = indent.length + wordWidth;
    } else {
      lineWidth += wordWidth + (line === "" ? 0 : 1);
      line = line === "" ? word : `${line} ${word}`;
    }
  }
  if (line !== "") lines.push(line);
  return lines.map((each) => indent + each);
}

function laid<Of>(column: Column<Of>, rows: readonly Of[]): Laid<Of> {
  const cells = rows.map((row) => column.cell(row).split("\n"));
  const width = cells.reduce(
    (most, lines) => lines.reduce((wide, each) => Math.max(wide, printed(each)), most),
    printed(column.title),
  );
  return { column, cells, width };
}

/** @param gap blanks between two columns */
function tableWidth<Of>(shown: readonly Laid<Of>[], gap: number): number {
  return shown.reduce((sum, { width }) => sum + width + gap, -gap);
}

/** One line of the table: what each column has on it. */
function line<Of>(shown: readonly Laid<Of>[], text: (of: Laid<Of>) => string, gap: number): string {
  return shown
    .map((each) => {
      const cell = text(each);
      return cell + " ".repeat(each.width - printed(cell) + gap);
    })
    .join("")
    .trimEnd();
}
