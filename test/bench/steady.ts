/**
 * What virtual hosts cost while nothing happens: processor time and memory of the host that is MASTER of all and of
 * the one that is BACKUP, beside keepalived (use_vmac) at the same time, because what a machine takes for the same work
 * differs from minute to minute; and, for more than 250, beside as many times what 250 cost. Words: the numbers of virtual
 * hosts (default 250) and, with `s`, the seconds of each measurement (default `20s`).
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
import { processorNs, residentMb, SETTLING_MS } from "./processes.ts";

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

/** What is measured: its processes, those of the preferred host and those of the other. */
interface Measured {
  readonly pids: readonly [readonly number[], readonly number[]];
  /** Throws unless all is as it was when it was set up. */
  check(): Promise<void>;
  destroy(): void;
}

async function engines(all: readonly VirtualHost[]): Promise<Measured> {
  const { preferred, other, destroy } = await createPair(all.length);
  try {
    await configure(preferred, all, 0);
    await mastersOf(preferred, all.length);
    await configure(other, all, 100);
    const check = async () => {
      await mastersOf(preferred, all.length);
      await mastersOf(other, 0);
    };
    return { pids: [[preferred.engine.pid], [other.engine.pid]], check, destroy };
  } catch (error) {
    destroy();
    throw error;
  }
}

async function keepaliveds(all: readonly VirtualHost[]): Promise<Measured> {
  const { preferred, other, client, destroy } = await createPair(all.length);
  try {
    const answers = async () =>
      (await client.exec("ping", ["-c1", "-W1", all.at(-1)?.address ?? ""])).exitCode === 0;
    const check = () => eventually(answers, (does) => does, { timeoutMs: 60_000 }).then(() => {});
    const first = startKeepalived(preferred, all, { isPreferred: true, vmac: true });
    await check();
    const second = startKeepalived(other, all, { isPreferred: false, vmac: true });
    await sleep(STARTED_MS);
    const withChildren = (pid: number) => [pid, ...descendantsOf(pid)];
    return { pids: [withChildren(first), withChildren(second)], check, destroy };
  } catch (error) {
    destroy();
    throw error;
  }
}

/** @returns the costs of each, at the same time */
async function costsAtOnce(
  starts: readonly ((all: readonly VirtualHost[]) => Promise<Measured>)[],
  all: readonly VirtualHost[],
  seconds: number,
): Promise<Costs[]> {
  const measured: Measured[] = [];
  try {
    for (const start of starts) measured.push(await start(all));
    await sleep(SETTLING_MS);
    const before = measured.map(({ pids }) => pids.map((each) => processorNs(...each)));
    const beganMs = performance.now();
    await sleep(seconds * 1000);
    const lastedMs = performance.now() - beganMs;
    const costs = measured.map(({ pids }, at) =>
      pids.map((each, n) => ({
        percent: (processorNs(...each) - (before[at]?.[n] ?? 0)) / 1e4 / lastedMs,
        megabytes: residentMb(...each),
      })),
    );
    for (const each of measured) await each.check();
    return costs as unknown as Costs[];
  } finally {
    for (const each of measured) each.destroy();
  }
}

/** The costs of our engines alone. */
export async function costsOf(all: readonly VirtualHost[], seconds: number): Promise<Costs> {
  const [costs] = await costsAtOnce([engines], all, seconds);
  return costs as Costs;
}

export default async function steady(words: readonly string[]): Promise<Line[]> {
  const seconds = Number(words.find((word) => word.endsWith("s"))?.slice(0, -1) ?? 20);
  const counts = words.filter((word) => /^\d+$/.test(word)).map(Number);
  const lines: Line[] = [];
  let base: Costs | undefined;
  for (const count of counts.length > 0 ? counts : [250]) {
    const all = virtualHosts(count);
    const [costs, theirs] = (await costsAtOnce([engines, keepaliveds], all, seconds)) as [Costs, Costs];
    if (count === BASE) base = costs;
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
