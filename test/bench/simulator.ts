/**
 * How much the simulator simulates in an hour of processor time: at advbase 1, and of plans as they are drawn. What costs
 * a simulated advertisement costs a real one. Word: the seconds of each (default `60s`).
 */

import { join } from "node:path";
import { execa } from "execa";
import type { Line } from "./line.ts";

const SIMULATE = join(import.meta.dirname, "../sim/run.ts");
const KINDS = [
  { what: "simulator, advbase 1", words: ["--advbase", "1"], aim: 50_000 },
  { what: "simulator, as drawn", words: [], aim: 1_000_000 },
] as const;

export default async function simulator(words: readonly string[]): Promise<Line[]> {
  const seconds = Number(words.find((word) => /^\d+s$/.test(word))?.slice(0, -1) ?? 60);
  const lines: Line[] = [];
  for (const { what, words: kind, aim } of KINDS) {
    const command = [SIMULATE, "--hours", String(seconds / 3600), ...kind];
    const { stdout } = await execa(process.execPath, command, { stderr: "inherit" });
    const told = stdout.split("\n").at(-1) ?? "";
    const rate = Number(/([\d,]+) host-hours an hour/.exec(told)?.[1]?.replaceAll(",", ""));
    lines.push({
      what,
      ours: `${rate.toLocaleString("en")} host-hours an hour of processor time`,
      beside: "",
      aim: `at least ${aim.toLocaleString("en")}`,
      isMet: rate >= aim,
      values: { hostHoursAnHour: rate },
    });
  }
  return lines;
}
