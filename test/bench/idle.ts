/**
 * What an idle engine with one interface costs, as MASTER and as a BACKUP that hears it, and its memory after as many
 * advertisements as an hour has, beside the bare runtime, which wakes up once a second. An idle program finds its memory
 * cold, and what that costs depends on the machine most of all: it is measured, too. Word: the seconds to measure for
 * (default `30s`).
 */

import { setTimeout as sleep } from "node:timers/promises";
import { createNetwork, eventually } from "../hosts/index.ts";
import type { Line } from "./line.ts";
import { processorNs, residentMb, SETTLING_MS } from "./processes.ts";
import { reportOf, start } from "./program.ts";

const PROCESSOR_LIMIT_PERCENT = 0.1;
const MEMORY_LIMIT_MB = 60;
const ADVERTISEMENTS_AN_HOUR = 3600;
/** About the memory of an engine: with less, a machine that maps it anew after a while may not show that. */
const COLD_MB = 20;

export default async function idle(words: readonly string[]): Promise<Line[]> {
  const seconds = Number(words.find((word) => /^\d+s$/.test(word))?.slice(0, -1) ?? 30);
  const lan = await createNetwork();
  try {
    const hosts = await Promise.all(
      ["MASTER", "BACKUP"].map(async (state, n) => ({
        state,
        host: await lan.host(state, { addresses: [`10.0.0.${n + 2}/24`] }),
      })),
    );
    const [master] = hosts;
    if (master === undefined) throw new Error("no host");
    for (const { state, host } of hosts) {
      await host.startEngine({ logLevel: null });
      const skew = state === "MASTER" ? "0" : "100";
      await host.carpctl("carp0", "10.0.0.1/24", "carpdev", "eth0", "vhid", "1", "advskew", skew);
      if (state === "MASTER") await host.waitForState("carp0", "MASTER");
    }
    const bare = master.host.spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"]);
    const pids = [...hosts.map(({ host: { engine } }) => engine.pid), bare.pid];
    await sleep(SETTLING_MS);
    const cold = await start(master.host, "cold", [String(COLD_MB)]);
    const before = pids.map((pid) => processorNs(pid));
    const beganMs = performance.now();
    await sleep(seconds * 1000);
    const lastedMs = performance.now() - beganMs;
    const costs = pids.map((pid, n) => ({
      percent: (processorNs(pid) - (before[n] ?? 0)) / 1e4 / lastedMs,
      megabytes: residentMb(pid),
    }));
    const [[coldUs] = []] = await reportOf(cold);
    bare.kill("SIGKILL");
    for (const { state, host } of hosts)
      if ((await host.engine.state("carp0")) !== state) throw new Error(`not ${state} any more`);

    for (const { state, host } of hosts)
      await host.carpctl("carp0", "advbase", "0", "advskew", state === "MASTER" ? "1" : "100");
    const advertised = async () => (await master.host.engine.request("statistics", {})).sentIpv4;
    await eventually(advertised, (sent) => sent >= ADVERTISEMENTS_AN_HOUR, { timeoutMs: 120_000 });
    const { percent: barePercent = 0, megabytes: bareMegabytes = 0 } = costs[hosts.length] ?? {};
    const engines = hosts.map(({ state, host }, n) => {
      const { percent = 0, megabytes = 0 } = costs[n] ?? {};
      const later = residentMb(host.engine.pid);
      return {
        what: `idle engine, one interface, ${state}`,
        ours: `${percent.toFixed(3)} % of a core, ${megabytes.toFixed(0)} MB; ${later.toFixed(0)} MB after an hour`,
        beside: `the bare runtime ${barePercent.toFixed(3)} %, ${bareMegabytes.toFixed(0)} MB`,
        aim: `under ${PROCESSOR_LIMIT_PERCENT} %, under ${MEMORY_LIMIT_MB} MB`,
        isMet: percent < PROCESSOR_LIMIT_PERCENT && Math.max(megabytes, later) < MEMORY_LIMIT_MB,
        values: { percent, megabytes, laterMegabytes: later, barePercent, bareMegabytes },
      };
    });
    const machine = {
      what: "this machine: a page of memory that was not touched for a second",
      ours: "",
      beside: `${Number(coldUs).toFixed(1)} us`,
      aim: "",
      isMet: true,
      values: { coldUs: Number(coldUs) },
    };
    return [...engines, machine];
  } finally {
    lan.destroy();
  }
}
