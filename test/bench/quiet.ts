/**
 * Whether a master at the fastest setting that nothing has happened to is ever taken for dead, while one processor is
 * busy all the time and another one half of it; beside how often the machine itself stood still for so long that its master
 * had to be taken for dead. Words: the minutes (`10m`; default 2).
 */

import { setTimeout as sleep } from "node:timers/promises";
import { createNetwork } from "../hosts/index.ts";
import type { Line } from "./line.ts";
import { reportOf, start } from "./program.ts";

const BUSY_PERCENT = [50, 100] as const;
const SETTLING_MS = 3000;
/** advbase 0: each host advertises every (1 + advskew) / 256 s. */
const INTERVAL_MS = 1000 / 256;
const DOWN_MS = 3 * INTERVAL_MS;
/** A master that stands still for so long right before it would have advertised is taken for dead. */
const PAUSE_MS = DOWN_MS - INTERVAL_MS;

export default async function quiet(words: readonly string[]): Promise<Line[]> {
  const minutes = Number(words.find((word) => /^[\d.]+m$/.test(word))?.slice(0, -1) ?? 2);
  const lan = await createNetwork();
  try {
    const [a, b, client] = await Promise.all(
      ["a", "b", "c"].map((name, n) => lan.host(name, { addresses: [`10.0.0.${n + 1}/24`] })),
    );
    if (!a || !b || !client) throw new Error("no host");
    const hosts = [a, b];
    for (const [n, host] of hosts.entries()) {
      await host.startEngine({ logLevel: null });
      const timing = ["advbase", "0", "advskew", String(n)];
      await host.carpctl(
        "carp0",
        "10.0.0.100/24",
        "pass",
        "sesame",
        "carpdev",
        "eth0",
        "vhid",
        "1",
        ...timing,
      );
      if (n === 0) await host.waitForState("carp0", "MASTER");
    }
    const load = await Promise.all(
      BUSY_PERCENT.map((percent, processor) => start(client, "busy", [String(processor), String(percent)])),
    );
    await sleep(SETTLING_MS);
    const before = hosts.map(({ engine }) => engine.transitions.length);
    const heard = await start(client, "advertisements", ["eth0"]);
    const stood = await start(client, "pauses", [String(1000 * PAUSE_MS)]);
    await sleep(minutes * 60_000);
    const advertised = await reportOf(heard);
    const [[pauses, longestPauseUs] = []] = await reportOf(stood);
    const longestPauseMs = Number(longestPauseUs) / 1000;
    const transitions = hosts.reduce(
      (sum, { engine }, n) => sum + engine.transitions.length - (before[n] ?? 0),
      0,
    );
    for (const each of load) each.kill("SIGKILL");
    if (transitions === 0 && advertised.length !== 1)
      throw new Error(`advertisements of ${advertised.length} hosts`);
    const longestMs = Math.max(...advertised.map(([, , , , longestUs]) => Number(longestUs) / 1000));
    return [
      {
        what: `fastest setting, nothing happens, ${minutes} minutes, 1.5 processors busy`,
        ours: `${transitions} transitions${transitions === 0 ? `; longest interval ${longestMs.toFixed(1)} ms` : ""}`,
        beside: `taken for dead after ${DOWN_MS.toFixed(1)} ms; the machine stood still ${pauses} times for ${PAUSE_MS.toFixed(1)} ms or longer, up to ${longestPauseMs.toFixed(1)} ms`,
        aim: "0 transitions",
        isMet: transitions === 0,
        values: {
          minutes,
          transitions,
          longestIntervalMs: longestMs,
          pauses: Number(pauses),
          longestPauseMs,
        },
      },
    ];
  } finally {
    lan.destroy();
  }
}
