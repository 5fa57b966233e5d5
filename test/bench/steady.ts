/**
 * What virtual hosts cost while nothing happens: processor time and memory of the host that is MASTER of all and of
 * the one that is BACKUP, beside keepalived (use_vmac) in the same surroundings, and, for more than 250, beside as many
 * times what 250 cost. Words: the numbers of virtual hosts (default 250) and, with `s`, the seconds of each measurement
 * (default `20s`).
 */

import { setTimeout as sleep } from "node:timers/promises";
import { eventually } from "../hosts/index.ts";
import { descendantsOf } from "../hosts/processes.ts";
import type { Line } from "./line.ts";
import {
  configure,
  createPair,
  mastersOf,
  startKeepalived,
  type VirtualHost,
  virtualHosts,
} from "./many-virtual-hosts.ts";
import { processorNs, residentMb } from "./processes.ts";

/** The work of starting up is over by then, which V8's compilers are the last to end. */
const SETTLING_MS = 90_000;
const STARTED_MS = 8000;
/** The number that a larger one is compared with. */
const BASE = 250;
const MEMORY_LIMIT_MB: Readonly<Record<number, number>> = { 250: 70, 1000: 100 };

export interface Cost {
  readonly percent: number;
  readonly megabytes: number;
}

/** Of the preferred host and of the other. */
export type Costs = readonly [Cost, Cost];

async function costOf(pids: readonly (readonly number[])[], seconds: number): Promise<Costs> {
  await sleep(SETTLING_MS);
  const before = pids.map((each) => processorNs(...each));
  const beganMs = performance.now();
  await sleep(seconds * 1000);
  const lastedMs = performance.now() - beganMs;
  const costs = pids.map((each, n) => ({
    percent: (processorNs(...each) - (before[n] ?? 0)) / 1e4 / lastedMs,
    megabytes: residentMb(...each),
  }));
  return costs as [Cost, Cost];
}

export async function costsOf(all: readonly VirtualHost[], seconds: number): Promise<Costs> {
  const pair = await createPair(all.length);
  try {
    const hosts = [pair.preferred, pair.other];
    await configure(pair.preferred, all, 0);
    await mastersOf(pair.preferred, all.length);
    await configure(pair.other, all, 100);
    const costs = await costOf(
      hosts.map(({ engine }) => [engine.pid]),
      seconds,
    );
    await mastersOf(pair.preferred, all.length);
    await mastersOf(pair.other, 0);
    return costs;
  } finally {
    pair.destroy();
  }
}

async function keepalived(all: readonly VirtualHost[], seconds: number): Promise<Costs> {
  const pair = await createPair(all.length);
  try {
    const pids = [startKeepalived(pair.preferred, all, { isPreferred: true, vmac: true })];
    const answers = async () =>
      (await pair.client.exec("ping", ["-c1", "-W1", all.at(-1)?.address ?? ""])).exitCode === 0;
    await eventually(answers, (does) => does, { timeoutMs: 60_000 });
    pids.push(startKeepalived(pair.other, all, { isPreferred: false, vmac: true }));
    await sleep(STARTED_MS);
    return await costOf(
      pids.map((pid) => [pid, ...descendantsOf(pid)]),
      seconds,
    );
  } finally {
    pair.destroy();
  }
}

export default async function steady(words: readonly string[]): Promise<Line[]> {
  const seconds = Number(words.find((word) => word.endsWith("s"))?.slice(0, -1) ?? 20);
  const counts = words.filter((word) => /^\d+$/.test(word)).map(Number);
  const lines: Line[] = [];
  let base: Costs | undefined;
  for (const count of counts.length > 0 ? counts : [250]) {
    const all = virtualHosts(count);
    const costs = await costsOf(all, seconds);
    if (count === BASE) base = costs;
    const theirs = await keepalived(all, seconds);
    for (const [n, state] of (["MASTER", "BACKUP"] as const).entries()) {
      const [own, peer] = [costs[n] as Cost, theirs[n] as Cost];
      const megabytes = MEMORY_LIMIT_MB[count];
      const times = count / BASE;
      const isLarge = times > 1 && base !== undefined;
      const limit = isLarge ? times * (base?.[n]?.percent ?? 0) : peer.percent;
      lines.push({
        what: `${count} virtual hosts, ${state}`,
        ours: `${own.percent.toFixed(2)} % of a core, ${own.megabytes.toFixed(0)} MB`,
        beside: `keepalived ${peer.percent.toFixed(2)} %, ${peer.megabytes.toFixed(0)} MB`,
        aim: [
          isLarge ? `under ${times} times that of ${BASE}` : "no more than keepalived",
          ...(megabytes === undefined ? [] : [`under ${megabytes} MB`]),
        ].join(", "),
        isMet: own.percent <= limit && own.megabytes < (megabytes ?? Number.POSITIVE_INFINITY),
        values: {
          count,
          percent: own.percent,
          megabytes: own.megabytes,
          keepalivedPercent: peer.percent,
          keepalivedMegabytes: peer.megabytes,
        },
      });
    }
  }
  return lines;
}
