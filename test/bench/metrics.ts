/**
 * What an export of metrics costs: the time it takes in this process, and the processor time that an engine takes for a
 * scrape over a Unix socket, beyond what it takes without. Words: the number of interfaces (default 100), and the
 * scrapes (default `300x`).
 */

import { get } from "node:http";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { Host } from "../../src/core/host.ts";
import { Delays } from "../../src/engine/metrics/delays.ts";
import { type Measured, readMetrics } from "../../src/engine/metrics/samples.ts";
import type { Line } from "./line.ts";
import { configure, createPair, mastersOf, virtualHosts } from "./many-virtual-hosts.ts";
import { processorNs } from "./processes.ts";
import { median } from "./samples.ts";

const LIMIT_MS = 1;
/** The code is compiled as it is used. */
const UNMEASURED = 300;
/** A text serves for twenty times as long as it took to make. */
const APART_MS = 40;

export default async function metrics(words: readonly string[]): Promise<Line[]> {
  const times = Number(words.find((word) => word.endsWith("x"))?.slice(0, -1) ?? 300);
  const count = Number(words.find((word) => /^\d+$/.test(word)) ?? 100);
  const { ms, bytes } = await exported(count, times);
  const scrapeMs = await scrapedFrom(count, times);
  return [
    {
      what: `export of metrics with ${count}`,
      ours: `${ms.toFixed(2)} ms, ${(bytes / 1000).toFixed(0)} kB`,
      beside: `${scrapeMs.toFixed(2)} ms of the processor for a scrape`,
      aim: `${LIMIT_MS} ms`,
      isMet: ms <= LIMIT_MS,
      values: { count, ms, bytes, scrapeMs },
    },
  ];
}

/** The median of the time that an export takes. */
async function exported(count: number, times: number): Promise<{ ms: number; bytes: number }> {
  const host = new Host({ balancing: true });
  let us = 1_000_000;
  const now = () => ({ us, epochUs: us });
  const eth0 = { name: "eth0", index: 2, mac: "02:00:00:00:00:01", mtu: 1500, up: true, carrier: true };
  host.handle({ kind: "link", link: { ...eth0, addresses: [] } }, now());
  for (const { name, vhid, address } of virtualHosts(count)) {
    us += 1000;
    const added = { family: 4, address, prefixLength: 32, alias: true } as const;
    const change = { carpdev: "eth0", vhid, addAddresses: [added] };
    host.command({ kind: "change", name, change }, now());
  }
  const node = { vhid: 1, accepted: 1_000_000, droppedByHash: 1000 };
  const packets = { nodes: [node], droppedByLease: 0, malformed: 0, withheld: 0 };
  const engine: Measured = {
    version: "0",
    host,
    catchUp: () => {},
    now,
    startedUs: 0,
    delays: new Delays(),
    dataPathObstacle: undefined,
    leaseUntilUs: () => us + 2_000_000,
    packetCounts: () => packets,
    checks: [],
  };
  const took: number[] = [];
  let bytes = 0;
  for (let n = -UNMEASURED; n < times; n++) {
    us += 1000;
    const beganMs = performance.now();
    bytes = (await readMetrics(engine, async () => {})).length;
    if (n >= 0) took.push(performance.now() - beganMs);
  }
  return { ms: median(took), bytes };
}

async function scrapedFrom(count: number, times: number): Promise<number> {
  const pair = await createPair(count);
  try {
    const { preferred } = pair;
    const socketPath = join(preferred.runDirectory, "metrics.sock");
    await configure(preferred, virtualHosts(count), 0, ["--metrics", `unix:${socketPath}`]);
    await mastersOf(preferred, count);
    const { pid } = preferred.engine;
    const windowNs = async (scrapes: number, isScraped: boolean) => {
      const before = processorNs(pid);
      for (let n = 0; n < scrapes; n++) {
        await sleep(APART_MS);
        if (isScraped) await scrape(socketPath);
      }
      return processorNs(pid) - before;
    };
    await windowNs(UNMEASURED, true);
    const without = await windowNs(times, false);
    return ((await windowNs(times, true)) - without) / times / 1e6;
  } finally {
    pair.destroy();
  }
}

async function scrape(socketPath: string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  get({ socketPath, path: "/metrics" }, (response) => {
    buffer(response).then(() => resolve(), reject);
  }).once("error", reject);
  await promise;
}
