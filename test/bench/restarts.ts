/**
 * An engine that is killed, or leaves for another one, under a service manager: what a client misses, and whether the
 * peer stays BACKUP. Words: the numbers of virtual hosts (default 1 and 250), and the restarts of each (default `20x`).
 */

import { setTimeout as sleep } from "node:timers/promises";
import { CARPCTL } from "../hosts/program.ts";
import { Supervised } from "../hosts/supervised.ts";
import type { Line } from "./line.ts";
import { configure, configureEngine, createPair, mastersOf, virtualHosts } from "./many-virtual-hosts.ts";
import { Probe } from "./probe.ts";
import { samples, withSpread } from "./samples.ts";

const WAYS = { killed: "SIGKILL", "leaves (SIGUSR2)": "SIGUSR2" } as const;
/** A starved machine must not make the watchdog kill an engine that only starts slowly. */
const WATCHDOG_MS = 20_000;
/** Between two restarts, and after the last one: the lease that an engine left would have ended. */
const REST_MS = 1500;
const LEASE_MS = 3000;

export default async function restarts(words: readonly string[]): Promise<Line[]> {
  const times = Number(words.find((word) => /^\d+x$/.test(word))?.slice(0, -1) ?? 20);
  const counts = words.filter((word) => /^\d+$/.test(word)).map(Number);
  const lines: Line[] = [];
  for (const count of counts.length > 0 ? counts : [1, 250]) lines.push(...(await restartsOf(count, times)));
  return lines;
}

async function restartsOf(count: number, times: number): Promise<Line[]> {
  const all = virtualHosts(count);
  const pair = await createPair(count);
  const { preferred, other, client } = pair;
  try {
    const supervised = await Supervised.start(preferred, { program: [CARPCTL], watchdogMs: WATCHDOG_MS });
    // Where the peer took over after all, the next restart finds what the first one did.
    const writes = [{ name: "net.inet.carp.preempt", value: 1 }];
    await supervised.engine.request("sysctl-set", { writes });
    await configureEngine(supervised.engine, all, 0);
    await mastersOf(supervised, count);
    await configure(other, all, 100);
    await mastersOf(other, 0);
    const probed = [...new Set([all[0], all[count >> 1], all.at(-1)])].flatMap((each) => each?.address ?? []);
    const lines: Line[] = [];
    for (const [way, signal] of Object.entries(WAYS)) {
      const probe = await Probe.start(client, probed);
      const [ownFrom, peerFrom] = [supervised.engine, other.engine].map((each) => each.transitions.length);
      const backMs: number[] = [];
      for (let time = 0; time < times; time++) {
        const beganMs = performance.now();
        await supervised.restarts(() => process.kill(supervised.pid, signal));
        backMs.push(performance.now() - beganMs);
        await mastersOf(supervised, count);
        await sleep(REST_MS * (0.5 + Math.random() / 2));
      }
      await sleep(LEASE_MS);
      const reports = await probe.stop();
      const lost = reports.reduce((sum, each) => sum + each.lost, 0);
      const sent = reports.reduce((sum, each) => sum + each.sent, 0);
      const peer = other.engine.transitions.length - (peerFrom ?? 0);
      const own = supervised.engine.transitions.slice(ownFrom).filter(({ to }) => to === "BACKUP").length;
      lines.push({
        what: `engine ${way}, ${count} virtual hosts, ${times} times`,
        ours: `${lost} of ${sent} lost, ${peer + own} transitions; back in ${withSpread(samples(backMs))} ms`,
        beside: `lease ${LEASE_MS} ms`,
        aim: "0 lost, peer stays BACKUP",
        isMet: lost === 0 && peer === 0 && own === 0,
        values: {
          count,
          lost,
          sent,
          peerTransitions: peer,
          ownTransitions: own,
          backMs: samples(backMs).median,
        },
      });
    }
    return lines;
  } finally {
    pair.destroy();
  }
}
