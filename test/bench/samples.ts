/** Statistics of repeated measurements, and their tables. */

import { getBorderCharacters, table } from "table";

/** Median and range of one or more measurements. */
export interface Samples {
  readonly median: number;
  readonly lowest: number;
  readonly highest: number;
}

export function samples(all: readonly number[]): Samples {
  return { median: median(all), lowest: Math.min(...all), highest: Math.max(...all) };
}

export function median(all: readonly number[]): number {
  const sorted = all.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? upper) + upper) / 2;
}

/** "66 (65..67)". */
export function withSpread({ median, lowest, highest }: Samples, digits = 0): string {
  return `${median.toFixed(digits)} (${lowest.toFixed(digits)}..${highest.toFixed(digits)})`;
}

/** A table whose first column is words and whose others are figures. */
export function figures(rows: readonly (readonly string[])[]): string {
  return table(
    rows.map((row) => [...row]),
    {
      border: getBorderCharacters("void"),
      columns: (rows[0] ?? []).map((_, n) => ({ alignment: n === 0 ? "left" : "right" })),
      drawHorizontalLine: () => false,
    },
  );
}
