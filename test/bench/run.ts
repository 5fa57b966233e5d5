/**
 * Runs the benchmarks one after the other, or the one that is named, with the words after its name. Prints one table,
 * or with `--json` its figures for machines. Fails when one fails or an aim is not met.
 */

import { join } from "node:path";
import { type Line, machine, tableOf } from "./line.ts";

/** The benchmarks, with the words that they run with when all are run. */
const BENCHMARKS: Readonly<Record<string, readonly string[]>> = {
  idle: [],
  steady: ["250", "1000"],
  curve: [],
  netstart: ["250", "1000", "4000"],
  takeover: ["250", "1000"],
  commands: ["1000"],
  metrics: ["100"],
  failover: [],
  quiet: [],
  restarts: [],
  firewall: [],
  flood: [],
  "data-path": [],
  simulator: [],
  plan: [],
};

/** Of an error: a command may complain of each of many virtual hosts. */
const MOST_TOLD = 2000;

const isForMachines = process.argv.includes("--json");
const [named, ...words] = process.argv.slice(2).filter((word) => word !== "--json");
if (named !== undefined && !(named in BENCHMARKS)) {
  console.error(`bench ${named}: must be one of ${Object.keys(BENCHMARKS).join(", ")}`);
  process.exit(2);
}

const lines: Line[] = [];
for (const [name, usual] of Object.entries(BENCHMARKS)) {
  if (named !== undefined && name !== named) continue;
  const { default: measure } = (await import(join(import.meta.dirname, `${name}.ts`))) as {
    default: (words: readonly string[]) => Promise<Line[]>;
  };
  try {
    lines.push(...(await measure(words.length > 0 ? words : usual)));
  } catch (error) {
    // The others are worth their time all the same.
    const told = error instanceof Error ? (error.stack ?? error.message) : String(error);
    console.error(`bench ${name}: ${told.slice(0, MOST_TOLD)}`);
    process.exitCode = 1;
  }
}
if (isForMachines) console.log(JSON.stringify({ machine: machine(), lines }, undefined, 2));
else if (lines.length > 0) console.log(`${machine()}\n\n${tableOf(lines)}`);
if (lines.some(({ isMet }) => !isMet)) process.exitCode = 1;
