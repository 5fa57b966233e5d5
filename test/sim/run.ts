/**
 * Runs simulations from the command line: many (`npm run sim -- --hours 8`), or one again by its seed
 * (`--seed 42`). Prints how much was simulated, and a failing run shrunk to the steps that it needs to fail.
 * `--save` writes that plan to a file, and `--plan` runs such a file again.
 */

import { readFileSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { Figures } from "./figures.ts";
import { type Extent, generate } from "./generate.ts";
import type { Plan } from "./plan.ts";
import { shrink } from "./shrink.ts";
import { type Outcome, simulate } from "./simulation.ts";
import { describe, Trace } from "./trace.ts";

const { values } = parseArgs({
  options: {
    hours: { type: "string" },
    seed: { type: "string" },
    runs: { type: "string" },
    episodes: { type: "string", default: "20" },
    advbase: { type: "string" },
    quiet: { type: "string" },
    hosts: { type: "string" },
    lines: { type: "string", default: "40" },
    plan: { type: "string" },
    save: { type: "string" },
    "keep-going": { type: "boolean", default: false },
  },
});

const optional = (text: string | undefined) => (text === undefined ? undefined : Number(text));
const extent: Extent = {
  episodes: Number(values.episodes),
  advbase: optional(values.advbase),
  hosts: optional(values.hosts),
  quiet: optional(values.quiet),
};
const first = Number(values.seed ?? 1);
const isOne = values.seed !== undefined && values.hours === undefined;
const runs = Number(values.runs ?? (isOne ? 1 : Number.POSITIVE_INFINITY));
const untilMs =
  values.hours === undefined ? Number.POSITIVE_INFINITY : Date.now() + Number(values.hours) * 3_600_000;

if (values.plan !== undefined) {
  const { violation } = simulate(JSON.parse(readFileSync(values.plan, "utf8")));
  console.log(violation === undefined ? "nothing is violated" : `${violation.invariant}: ${violation.what}`);
  process.exit(violation === undefined ? 0 : 1);
}

let failures = 0;
const figures = new Figures(first);
let toldMs = Date.now();
for (let seed = first; seed < first + runs && Date.now() < untilMs; seed++) {
  const plan = generate(seed, extent);
  const outcome = figures.measure(plan, () => simulate(plan));
  if (outcome.violation !== undefined) {
    failures++;
    report(plan, outcome);
    if (!values["keep-going"]) break;
  }
  if (Date.now() - toldMs >= 60_000) {
    toldMs = Date.now();
    console.log(figures.whole);
  }
}
for (const line of figures.byAdvbase) console.log(line);
console.log(figures.whole);
process.exit(failures > 0 ? 1 : 0);

function report(plan: Plan, { violation }: Outcome): void {
  if (violation === undefined) return;
  console.log(`seed ${plan.seed}: ${violation.invariant}: ${violation.what}`);
  console.log(`repeat with: npm run sim -- --seed ${plan.seed}${otherOptions()}`);
  const small = shrink(plan, violation.invariant);
  const trace = new Trace(Number(values.lines));
  const again = simulate(small, trace);
  if (values.save !== undefined) writeFileSync(values.save, JSON.stringify(small));
  console.log(`shrunk from ${plan.steps.length} steps to ${small.steps.length}:`);
  for (const [i, host] of small.hosts.entries()) console.log(`  host${i} ${JSON.stringify(host)}`);
  for (const service of small.services) console.log(`  ${JSON.stringify(service)}`);
  for (const segment of small.segments) console.log(`  segment ${JSON.stringify(segment)}`);
  for (const step of small.steps) console.log(`  ${(step.atUs / 1e6).toFixed(6)} ${describe(step)}`);
  for (const line of trace.lines) console.log(line);
  console.log(`${again.violation?.invariant}: ${again.violation?.what}`);
}

/** The other options on which the plan of a seed depends. */
function otherOptions(): string {
  const { episodes, advbase, quiet, hosts } = values;
  const given = Object.entries({ episodes: episodes === "20" ? undefined : episodes, advbase, quiet, hosts });
  return given.map(([name, value]) => (value === undefined ? "" : ` --${name} ${value}`)).join("");
}
