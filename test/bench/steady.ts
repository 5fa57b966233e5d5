/**
 * What virtual hosts cost while nothing happens: processor time and memory of the host that is MASTER of all and of
 * the one that is BACKUP, beside keepalived (use_vmac) in the same surroundings. Words: the numbers of virtual hosts
 * (default 250; `curve`: 1 to 4000) and, with `s`, the seconds of each measurement (default `20s`).
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

const CURVE = [1, 10, 100, 250, 500, 1000, 2000, 4000];
/** The work of starting up is over by then. */
const SETTLING_MS = 8000;
const MEMORY_LIMIT_MB: Readonly<Record<number, number>> = { 250: 70, 1000: 100 };

interface Cost {
  readonly percent: number;
  readonly megabytes: number;
}

/** Of the preferred host and of the other. */
type Costs = readonly [Cost, Cost];

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

async function ours(all: readonly VirtualHost[], seconds: number): Promise<Costs> {
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
    await sleep(SETTLING_MS);
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
  const counts = words.flatMap((word) => (word === "curve" ? CURVE : /^\d+$/.test(word) ? Number(word) : []));
  const lines: Line[] = [];
  for (const count of counts.length > 0 ? counts : [250]) {
    const all = virtualHosts(count);
    const costs = await ours(all, seconds);
    const theirs = await keepalived(all, seconds);
    for (const [n, state] of (["MASTER", "BACKUP"] as const).entries()) {
      const [own, peer] = [costs[n] as Cost, theirs[n] as Cost];
      const megabytes = MEMORY_LIMIT_MB[count];
      lines.push({
        what: `${count} virtual hosts, ${state}`,
        ours: `${own.percent.toFixed(2)} % of a core, ${own.megabytes.toFixed(0)} MB`,
        beside: `keepalived ${peer.percent.toFixed(2)} %, ${peer.megabytes.toFixed(0)} MB`,
        aim: `no more than keepalived${megabytes === undefined ? "" : `, under ${megabytes} MB`}`,
        isMet: own.percent <= peer.percent && own.megabytes < (megabytes ?? Number.POSITIVE_INFINITY),
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
