/**
 * How long commands take beside a bare start of the runtime: one interface, and `-a`, `status` and `status --json` of
 * many. Words: the number of interfaces (default 1000), and the runs of each command (default `15x`).
 */

import type { Host } from "../hosts/index.ts";
import { CARPCTL } from "../hosts/program.ts";
import type { Line } from "./line.ts";
import { configure, createPair, mastersOf, virtualHosts } from "./many-virtual-hosts.ts";
import { median } from "./samples.ts";

const BEYOND_LIMIT_MS = 60;
const TIMES_LIMIT = 1.3;

/** Medians of the wall-clock time of each command, run in turns. */
async function medians(
  host: Host,
  commands: readonly (readonly string[])[],
  runs: number,
): Promise<number[]> {
  const took = commands.map((): number[] => []);
  for (let run = 0; run <= runs; run++)
    for (const [n, [program = "", ...words]] of commands.entries()) {
      const beganMs = performance.now();
      const { exitCode, stderr } = await host.exec(program, words);
      if (exitCode !== 0) throw new Error(`${program} ${words.join(" ")}: exit ${exitCode}: ${stderr}`);
      // The first run of each reads files from the disk.
      if (run > 0) took[n]?.push(performance.now() - beganMs);
    }
  return took.map(median);
}

export default async function commands(words: readonly string[]): Promise<Line[]> {
  const runs = Number(words.find((word) => word.endsWith("x"))?.slice(0, -1) ?? 15);
  const count = Number(words.find((word) => /^\d+$/.test(word)) ?? 1000);
  const bare = [process.execPath, "--eval", ""];
  const lines: Line[] = [];

  const one = await createPair(1);
  try {
    await configure(one.preferred, virtualHosts(1), 0);
    await mastersOf(one.preferred, 1);
    const [runtime = 0, ours = 0] = await medians(one.preferred, [bare, [CARPCTL, "carp0"]], runs);
    lines.push({
      what: "carpctl carp0",
      ours: `${ours.toFixed(0)} ms, ${(ours / runtime).toFixed(2)} times the runtime`,
      beside: `bare runtime ${runtime.toFixed(0)} ms`,
      aim: `${TIMES_LIMIT} times`,
      isMet: ours <= TIMES_LIMIT * runtime,
      values: { ms: ours, runtimeMs: runtime },
    });
  } finally {
    one.destroy();
  }

  const many = await createPair(count);
  try {
    await configure(many.preferred, virtualHosts(count), 0);
    await mastersOf(many.preferred, count);
    const asked = [["-a"], ["status"], ["status", "--json"]];
    const all = [bare, ...asked.map((each) => [CARPCTL, ...each])];
    const [runtime = 0, ...took] = await medians(many.preferred, all, runs);
    for (const [n, ms] of took.entries())
      lines.push({
        what: `carpctl ${asked[n]?.join(" ")} with ${count}`,
        ours: `${ms.toFixed(0)} ms, ${(ms - runtime).toFixed(0)} ms beyond the runtime`,
        beside: `bare runtime ${runtime.toFixed(0)} ms`,
        aim: `${BEYOND_LIMIT_MS} ms beyond`,
        isMet: ms - runtime <= BEYOND_LIMIT_MS,
        values: { count, ms, runtimeMs: runtime },
      });
  } finally {
    many.destroy();
  }
  return lines;
}
