/**
 * How long `carpctl plan` takes for a cluster of 5 hosts that balance over 32 nodes: the command as it is typed, in turns
 * with a bare start of the runtime. Words: the runs (default `7x`).
 */

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";
import { CARPCTL } from "../hosts/program.ts";
import { makeDirectory } from "../hosts/resources.ts";
import type { Line } from "./line.ts";
import { median } from "./samples.ts";

const [HOSTS, NODES] = [5, 32];
const LIMIT_S = 2;
/** The least difference of two hosts' advskew. */
const STEP = 48;

/** Each node prefers the next host. @returns NAME=PATH of each host */
function writtenCluster(): string[] {
  const directory = makeDirectory("plan");
  return Array.from({ length: HOSTS }, (_, host) => {
    const path = join(directory, `host${host}`);
    mkdirSync(join(path, "carp"), { recursive: true });
    const nodes = Array.from({ length: NODES }, (_node, n) => `${n + 1}:${((n + host) % HOSTS) * STEP}`);
    const words = `carpdev eth0 carpnodes ${nodes.join()} balancing ip pass sesame`;
    writeFileSync(join(path, "hostname.carp0"), `${words}\ninet 10.0.0.1 255.255.255.0\n`);
    writeFileSync(join(path, "carp/sysctl.conf"), "net.inet.carp.preempt=1\n");
    return `host${host}=${path}`;
  });
}

export default async function plan(words: readonly string[]): Promise<Line[]> {
  const runs = Number(words.find((word) => word.endsWith("x"))?.slice(0, -1) ?? 7);
  const cluster = writtenCluster();
  const took: number[] = [];
  const bare: number[] = [];
  let failures = 0;
  let clusterSeconds = 0;
  for (let run = 0; run < runs; run++) {
    const beganMs = performance.now();
    const { stdout } = await execa(CARPCTL, ["plan", "--json", ...cluster]);
    const plannedMs = performance.now();
    await execa(process.execPath, ["--eval", ""]);
    took.push((plannedMs - beganMs) / 1000);
    bare.push((performance.now() - plannedMs) / 1000);
    const halves: readonly { lastedSeconds: number }[] = JSON.parse(stdout).failures;
    failures = halves.length / 2;
    clusterSeconds = halves.reduce((sum, { lastedSeconds }) => sum + lastedSeconds, 0);
  }
  const [seconds, runtimeSeconds] = [median(took), median(bare)];
  return [
    {
      what: `plan, ${HOSTS} hosts with ${NODES} nodes`,
      ours: `${seconds.toFixed(2)} s for ${failures} failures, ${(clusterSeconds / failures).toFixed(0)} s of the cluster each, and its start`,
      beside: `bare runtime ${(1000 * runtimeSeconds).toFixed(0)} ms`,
      aim: `${LIMIT_S} s`,
      isMet: seconds <= LIMIT_S,
      values: { seconds, runtimeSeconds, failures, clusterSeconds },
    },
  ];
}
