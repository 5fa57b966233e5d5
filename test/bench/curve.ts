/**
 * How cost grows with the number of virtual hosts, 250 on each carpdev: processor time and memory of the MASTER and of
 * the BACKUP. Words: the numbers (default 1, 10, 100, 250, 1000, 2000 and 4000) and the seconds of each (`20s`).
 */

import type { Line } from "./line.ts";
import { virtualHosts } from "./many-virtual-hosts.ts";
import { type Cost, costsOf } from "./steady.ts";

const CURVE = [1, 10, 100, 250, 1000, 2000, 4000];
/** The number whose cost for each further virtual host others are judged by. */
const BASE = 250;
/** Not the slightest bend: caches are of limited size. */
const LIMIT = 1.25;

export default async function curve(words: readonly string[]): Promise<Line[]> {
  const seconds = Number(words.find((word) => /^\d+s$/.test(word))?.slice(0, -1) ?? 20);
  const counts = words.filter((word) => /^\d+$/.test(word)).map(Number);
  const lines: Line[] = [];
  const states = ["MASTER", "BACKUP"] as const;
  const measured = states.map((): [number, Cost][] => []);
  for (const count of counts.length > 0 ? counts : CURVE) {
    const costs = await costsOf(virtualHosts(count), seconds);
    for (const [n, state] of states.entries()) {
      const cost = costs[n] as Cost;
      measured[n]?.push([count, cost]);
      lines.push(lineOf(state, count, cost, measured[n] ?? []));
    }
  }
  return lines;
}

/** @param measured of this state, the fewest first */
function lineOf(state: string, count: number, cost: Cost, measured: readonly [number, Cost][]): Line {
  const [fewest, first] = measured[0] as [number, Cost];
  const each = (what: keyof Cost, many: number, total: Cost) => (total[what] - first[what]) / (many - fewest);
  const base = measured.find(([many]) => many === BASE)?.[1];
  const percentEach = count > fewest ? each("percent", count, cost) : 0;
  const kilobytesEach = count > fewest ? 1000 * each("megabytes", count, cost) : 0;
  const isJudged = base !== undefined && count > BASE;
  const limit = isJudged ? LIMIT * each("percent", BASE, base) : Number.POSITIVE_INFINITY;
  return {
    what: `curve: ${count}, ${state}`,
    ours: `${cost.percent.toFixed(2)} % of a core, ${cost.megabytes.toFixed(0)} MB`,
    beside:
      count > fewest
        ? `each beyond ${fewest}: ${(1000 * percentEach).toFixed(2)} thousandths of a %, ${kilobytesEach.toFixed(0)} kB`
        : "",
    aim: isJudged ? `linear: ${(1000 * limit).toFixed(2)} thousandths each` : "",
    isMet: percentEach <= limit,
    values: { count, percent: cost.percent, megabytes: cost.megabytes, percentEach, kilobytesEach },
  };
}
