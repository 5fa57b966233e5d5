/**
 * Whether `carpctl plan` agrees with the simulator, which runs the shipped core in the shipped engine loop, on a kernel
 * that takes time, with other clocks: the same cluster goes through the same failure in both. They agree when
 *
 * - every virtual host has the same masters before, during and after the failure, and
 * - the time without an answer is at most what plan says, and at most one interval shorter, as plan's failures begin just
 *   after an advertisement and the simulator's at any time; both within what the kernel takes for its work.
 *
 * A host that is dead or lost its carpdev does not answer, whatever its kernel holds.
 */

import "./digests.ts";
import { type Failure, failuresOf } from "../../src/cluster/plan/failures.ts";
import { type Change, type Planned, plan } from "../../src/cluster/plan/plan.ts";
import type { Micros } from "../../src/core/model.ts";
import { compared } from "../unit/cluster/clusters.ts";
import { type Cluster, drawCluster, filesOf, segmentOf, stepOf } from "./clusters.ts";
import { Observer } from "./observer.ts";
import { Random } from "./random.ts";
import { simulate } from "./simulation.ts";

const SECOND: Micros = 1_000_000;
/** Reports of links take up to 20 ms, changes of devices a few. */
const PROCESSING_US: Micros = 50_000;
/** The simulator takes long for each second: only until the cluster has settled. */
const UNTIL_SETTLED_US: Micros = 0;

/** Simulates a failure of each kind in the cluster of a seed. @returns what differs, each as a line */
export async function disagreements(seed: number): Promise<string[]> {
  const cluster = drawCluster(seed);
  const comparison = await compared(filesOf(cluster));
  const random = new Random(seed, 0xa9);
  const byKind = Map.groupBy(failuresOf(comparison), ({ kind }) => kind);
  const failures = [...byKind.values()].map((alike) => random.pick(...(alike as [Failure, ...Failure[]])));
  const planned = plan(comparison, failures, UNTIL_SETTLED_US);
  const found: string[] = [];
  for (let at = 0; at < planned.length; at += 2) {
    const [fault, end] = [planned[at], planned[at + 1]];
    if (fault === undefined || end === undefined) throw new Error("a failure without an end");
    found.push(...compare(cluster, fault, end, random.next()));
  }
  return found.map((line) => `seed ${seed}: ${line}`);
}

/** @param phase when the failure begins, as a part of the longest interval */
function compare(cluster: Cluster, fault: Planned, end: Planned, phase: number): string[] {
  const { failure } = fault;
  const longestUs = intervalUs(cluster, 255);
  const atUs = Math.round(6 * longestUs + phase * longestUs);
  const forUs = fault.lastedUs + SECOND;
  const step = stepOf(failure, { atUs, forUs });
  const observer = new Observer();
  const durationUs = atUs + forUs + end.lastedUs + SECOND;
  const { violation } = simulate({ ...cluster, durationUs, steps: [step] }, observer);
  if (violation !== undefined) return [`${JSON.stringify(failure)}: ${violation.what}`];
  const { begunUs, endedUs } = observer;
  const found: string[] = [];
  const expect = (what: string, actual: unknown, expected: unknown) => {
    if (String(actual) !== String(expected))
      found.push(`${JSON.stringify(failure)} ${what}: ${actual} instead of ${expected}`);
  };
  for (const [half, ends] of [
    [fault, { fromUs: begunUs, untilUs: endedUs, masters: observer.mastersAtEnd }],
    [end, { fromUs: endedUs, untilUs: durationUs, masters: observer.masters }],
  ] as const)
    for (const change of half.changes) {
      const key = keyOf(cluster, change);
      const name = `${half.isOver ? "over" : "fault"} ${key}`;
      expect(`${name} masters`, ends.masters.get(key) ?? [], change.after);
      const silences = partsOf(half, change).map((hosts) =>
        observer.silentUs(key, hosts, ends.fromUs, ends.untilUs),
      );
      const silentUs = Math.max(...silences);
      const mostUs = change.silentUs + PROCESSING_US;
      const leastUs = half.isOver ? 0 : change.silentUs - longestUs - PROCESSING_US;
      if (silentUs < leastUs || silentUs > mostUs)
        expect(`${name} silence`, silentUs, `${leastUs} to ${mostUs}`);
    }
  return found;
}

function intervalUs({ services }: Cluster, advskew: number): Micros {
  const advbase = Math.max(...services.map((each) => each.advbase));
  return (advbase + advskew / 256) * SECOND;
}

function keyOf({ services }: Cluster, { virtualHost: { vhid } }: Change): string {
  const service = services.find(({ vhids }) => vhids.includes(vhid));
  if (service === undefined) throw new Error(`vhid ${vhid}: no service`);
  return `${service.name}/${vhid}`;
}

/** The hosts of a virtual host that can answer during the half, those of each part of a split segment. */
function partsOf({ failure, isOver }: Planned, { virtualHost }: Change): string[][] {
  const hosts = [...virtualHost.members.keys()];
  if (isOver) return [hosts];
  const carpdev = [...virtualHost.members.values()][0]?.carpdev ?? "";
  if (failure.kind === "split")
    return failure.carpdev === carpdev ? failure.parts.map((part) => [...part]) : [hosts];
  return [hosts.filter((host) => host !== failure.host || answers(failure, segmentOf(carpdev)))];
}

/** Whether the host to which the failure happens still answers on a segment. */
function answers(failure: Exclude<Failure, { kind: "split" }>, segment: number): boolean {
  return failure.kind === "loses" ? segmentOf(failure.carpdev) !== segment : failure.kind !== "dies";
}
