/** One line of the table of benchmarks: a figure of ours beside a peer's or a bound's, and the aim. */

import { cpus } from "node:os";
import { figures } from "./samples.ts";

export interface Line {
  /** What was measured. */
  readonly what: string;
  readonly ours: string;
  /** The peer's figure in the same run, or the bound; empty: neither. */
  readonly beside: string;
  /** Empty: none. */
  readonly aim: string;
  readonly isMet: boolean;
  /** The figures, for machines; units are in the names. */
  readonly values: Readonly<Record<string, number>>;
}

/** The machine that was measured on. */
export function machine(): string {
  const all = cpus();
  return `${all.length} processors, ${all[0]?.model ?? "unknown"}`;
}

/** The lines as one table for people. */
export function tableOf(lines: readonly Line[]): string {
  return figures([
    ["", "carpctl", "beside", "aim", ""],
    ...lines.map(({ what, ours, beside, aim, isMet }) => [
      what,
      ours,
      beside,
      aim,
      aim === "" ? "" : isMet ? "met" : "not met",
    ]),
  ]);
}
