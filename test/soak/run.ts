/**
 * `npm run soak -- [--minutes N] [--seed N]`: faults on real hosts, for thirty minutes by default. Fails on a
 * violation.
 */

import { parseArgs } from "node:util";
import { soak } from "./soak.ts";

const { values } = parseArgs({ options: { minutes: { type: "string" }, seed: { type: "string" } } });
const minutes = Number(values.minutes ?? 30);
const seed = Number(values.seed ?? Date.now() % 2 ** 31);
if (!(minutes > 0) || !Number.isInteger(seed)) {
  console.error("soak: --minutes must be a number greater than 0, --seed a whole number");
  process.exit(2);
}
console.log(`seed ${seed}`);
const { violations, text } = await soak(minutes, seed, (line) => console.log(line));
console.log(text);
if (violations.length > 0) process.exitCode = 1;
