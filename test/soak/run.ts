/**
 * `npm run soak -- [--minutes N] [--seed N] [--only PATTERN]`: faults on real hosts, those whose name matches the
 * pattern, for thirty minutes by default. Fails on a violation.
 */

import { parseArgs } from "node:util";
import { FAULTS } from "./faults.ts";
import { soak } from "./soak.ts";

const { values } = parseArgs({
  options: { minutes: { type: "string" }, seed: { type: "string" }, only: { type: "string" } },
});
const minutes = Number(values.minutes ?? 30);
const seed = Number(values.seed ?? Date.now() % 2 ** 31);
const faults = FAULTS.filter(({ name }) => new RegExp(values.only ?? "").test(name));
if (!(minutes > 0) || !Number.isInteger(seed) || faults.length === 0) {
  console.error(
    "soak: --minutes must be a number greater than 0, --seed a whole number, --only match a fault",
  );
  process.exit(2);
}
console.log(`seed ${seed}`);
const { violations, text } = await soak(minutes, seed, (line) => console.log(line), { faults });
console.log(text);
if (violations.length > 0) process.exitCode = 1;
