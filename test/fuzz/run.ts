/**
 * Fuzzes every target, or the named ones, one after the other: `[--minutes N] [--seed N] [TARGET...]`, N
 * minutes each. A finding is written to test/fuzz/corpus, where the tests feed it from then on, and fails the
 * run.
 */

import { createHash } from "node:crypto";
import { parseArgs } from "node:util";
import { fuzz } from "./campaign.ts";
import { addToCorpus, corpusOf } from "./inputs.ts";
import type { Target } from "./target.ts";
import { targets } from "./targets/index.ts";

/** Shrinking begins anew with each round, and so does what a target holds on to. */
const EXECUTIONS_A_ROUND = 20_000;

const { values, positionals } = parseArgs({
  options: {
    minutes: { type: "string", default: "1" },
    seed: { type: "string", default: String(Math.trunc(Math.random() * 0x7fff_ffff)) },
  },
  allowPositionals: true,
});
const minutes = Number(values.minutes);
if (!(minutes > 0)) refuse(`--minutes ${values.minutes}: must be a number greater than 0`);
const seed = Number(values.seed);
if (!Number.isInteger(seed)) refuse(`--seed ${values.seed}: must be a whole number`);
const names = targets.map(({ name }) => name);
const unknown = positionals.find((word) => !names.includes(word));
if (unknown !== undefined) refuse(`${unknown}: must be one of ${names.join(", ")}`);

for (const target of targets) {
  if (positionals.length > 0 && !positionals.includes(target.name)) continue;
  const found = (await replay(target)) ?? (await explore(target));
  if (found) process.exitCode = 1;
}

function refuse(why: string): never {
  console.error(`fuzz: ${why}`);
  process.exit(2);
}

/** The corpus as it is. */
async function replay(target: Target): Promise<true | undefined> {
  const trial = await target.open();
  try {
    for (const [file, input] of corpusOf(target)) {
      try {
        await trial.feed(input);
      } catch (error) {
        console.log(`${target.name}: ${file} of its corpus:`, error);
        return true;
      }
    }
    return undefined;
  } finally {
    await trial.close?.();
  }
}

async function explore(target: Target): Promise<boolean> {
  const beganMs = performance.now();
  const untilMs = beganMs + minutes * 60_000;
  let executions = 0;
  for (let round = 0; performance.now() < untilMs; round++) {
    const ms = untilMs - performance.now();
    const done = await fuzz(target, { seed: seed + round, executions: EXECUTIONS_A_ROUND, ms });
    executions += done.executions;
    if (done.finding === undefined) continue;
    const { input, error } = done.finding;
    const hash = createHash("sha256").update(input).digest("hex").slice(0, 12);
    const file = addToCorpus(target, `found-${hash}`, input);
    console.log(`${target.name}: seed ${seed + round}, ${file}:`, error);
    report(target, executions, beganMs);
    return true;
  }
  report(target, executions, beganMs);
  return false;
}

function report({ name }: Target, executions: number, beganMs: number): void {
  const seconds = (performance.now() - beganMs) / 1000;
  const rate = Math.round(executions / seconds);
  console.log(`${name}: ${executions} executions in ${seconds.toFixed(0)} s (${rate}/s), first seed ${seed}`);
}
