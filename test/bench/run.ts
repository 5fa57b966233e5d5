/**
 * Runs the benchmarks one after the other, or the one that is named, with the words after its name. Fails
 * when one fails.
 */

import { join } from "node:path";
import { execa } from "execa";

const names = ["engine-cost", "data-path", "flood"];

const [named, ...words] = process.argv.slice(2);
if (named !== undefined && !names.includes(named)) {
  console.error(`bench ${named}: must be one of ${names.join(", ")}`);
  process.exit(2);
}
for (const name of named === undefined ? names : [named]) {
  const script = join(import.meta.dirname, `${name}.ts`);
  const { exitCode = 1 } = await execa(process.execPath, [script, ...words], {
    stdio: "inherit",
    reject: false,
  });
  process.exitCode = Math.max(Number(process.exitCode ?? 0), exitCode);
}
