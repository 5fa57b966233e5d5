/**
 * Benchmark of an idle engine: processor time and memory of a MASTER and of a BACKUP that hears it, each with
 * one interface, and memory after as many advertisements as an hour has. Fails over a limit. Words: the
 * seconds to measure for (default 30).
 */

import { setTimeout as sleep } from "node:timers/promises";
import { createNetwork } from "../hosts/index.ts";
import { processorNs, residentMb } from "./processes.ts";

const PROCESSOR_LIMIT_PERCENT = 0.3;
const MEMORY_LIMIT_MB = 80;
/** The work of starting up is over by then. */
const SETTLING_MS = 5000;
const ADVERTISEMENTS_AN_HOUR = 3600;

const seconds = Number(process.argv[2] ?? 30);
if (!(seconds > 0)) {
  console.error("engine-cost: how many seconds to measure for must be a number greater than 0");
  process.exit(2);
}

const lan = await createNetwork();
try {
  const [a, b] = await Promise.all([
    lan.host("a", { addresses: ["10.0.0.2/24"] }),
    lan.host("b", { addresses: ["10.0.0.3/24"] }),
  ]);
  const hosts = [
    [a, "MASTER"],
    [b, "BACKUP"],
  ] as const;
  for (const [host, state] of hosts) {
    await host.startEngine({ logLevel: null });
    const advskew = state === "MASTER" ? "0" : "100";
    await host.carpctl("carp0", "10.0.0.1/24", "carpdev", "eth0", "vhid", "1", "advskew", advskew);
    if (state === "MASTER") await host.carpctl("carp0", "state", "master");
  }
  await sleep(SETTLING_MS);
  const before = hosts.map(([host]) => processorNs(host.engine.pid));
  const beganMs = performance.now();
  await sleep(seconds * 1000);
  const lastedMs = performance.now() - beganMs;
  console.log(`An idle engine with one interface, over ${seconds} s:`);
  for (const [n, [host, state]] of hosts.entries()) {
    if ((await host.engine.state("carp0")) !== state)
      throw new Error(`${host.name} is not ${state} any more`);
    const percent = (processorNs(host.engine.pid) - (before[n] ?? 0)) / 1e4 / lastedMs;
    const megabytes = residentMb(host.engine.pid);
    console.log(
      `  ${state}: ${percent.toFixed(3)} % of a core (limit ${PROCESSOR_LIMIT_PERCENT} %), ` +
        `${megabytes.toFixed(1)} MB resident (limit ${MEMORY_LIMIT_MB} MB)`,
    );
    if (percent >= PROCESSOR_LIMIT_PERCENT || megabytes >= MEMORY_LIMIT_MB) process.exitCode = 1;
  }
  for (const [host, state] of hosts) {
    await host.carpctl("carp0", "advbase", "0", "advskew", state === "MASTER" ? "1" : "100");
  }
  while ((await hosts[0][0].engine.request("statistics", {})).sentIpv4 < ADVERTISEMENTS_AN_HOUR)
    await sleep(500);
  console.log(`After ${ADVERTISEMENTS_AN_HOUR} advertisements:`);
  for (const [host, state] of hosts) {
    const megabytes = residentMb(host.engine.pid);
    console.log(`  ${state}: ${megabytes.toFixed(1)} MB resident (limit ${MEMORY_LIMIT_MB} MB)`);
    if (megabytes >= MEMORY_LIMIT_MB) process.exitCode = 1;
  }
  if (process.exitCode === 1) console.log("Over the limit.");
  await Promise.all(hosts.map(([host]) => host.engine.stop()));
} finally {
  lan.destroy();
}
