/**
 * Runs the benchmarks one after the other, or the one that is named, with the words after its name. Prints one table,
 * or with `--json` its figures for machines. Fails when one fails or an aim is not met.
 */

import { join } from "node:path";
import { execa } from "execa";
import { type Line, machine, tableOf } from "./line.ts";

/** Benchmarks that give lines of the table, with the words that they run with when all are run. */
const OF_LINES: Readonly<Record<string, readonly string[]>> = {
  steady: ["250", "1000"],
  netstart: ["250", "1000"],
  takeover: ["250", "1000"],
  commands: ["1000"],
  failover: [],
  quiet: [],
  restarts: [],
  flood: [],
};
/** Benchmarks that print tables of their own. */
const SCRIPTS = ["engine-cost", "data-path"];

const isForMachines = process.argv.includes("--json");
const [named, ...words] = process.argv.slice(2).filter((word) => word !== "--json");
const names = [...Object.keys(OF_LINES), ...SCRIPTS];
if (named !== undefined && !names.includes(named)) {
  console.error(`bench ${named}: must be one of ${names.join(", ")}`);
  process.exit(2);
}

const lines: Line[] = [];
for (const name of named === undefined ? names : [named]) {
  const script = join(import.meta.dirname, `${name}.ts`);
  if (name in OF_LINES) {
    const { default: measure } = (await import(script)) as {
      default: (words: readonly string[]) => Promise<Line[]>;
    };
    lines.push(
      ...(await measure(named === undefined || words.length === 0 ? (OF_LINES[name] ?? []) : words)),
    );
    continue;
  }
  const stdout = isForMachines ? "ignore" : "inherit";
  const { exitCode = 1 } = await execa(process.execPath, [script, ...words], {
    stdin: "inherit",
    stdout,
    stderr: "inherit",
    reject: false,
  });
  process.exitCode = Math.max(Number(process.exitCode ?? 0), exitCode);
}
if (isForMachines) console.log(JSON.stringify({ machine: machine(), lines }, undefined, 2));
else if (lines.length > 0) console.log(`${machine()}\n\n${tableOf(lines)}`);
if (lines.some(({ isMet }) => !isMet)) process.exitCode = 1;
