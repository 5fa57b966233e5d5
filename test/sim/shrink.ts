/**
 * Shrinks a failing plan until a person can read it (delta debugging): leaves out services, hosts, segments
 * and steps, and rounds numbers, as long as the same invariant is still violated.
 */

import type { Plan, Step } from "./plan.ts";
import { simulate } from "./simulation.ts";
import type { Invariant } from "./violation.ts";

/** Limit on runs: a small plan soon is better than the smallest one late. */
const MOST_TRIALS = 1500;

/** Returns the plan without its i-th part of a kind; undefined: there is no such part. */
type Reduction = (plan: Plan, i: number) => Plan | undefined;

/** Shrinks a plan that violates this invariant. */
export function shrink(plan: Plan, invariant: Invariant): Plan {
  let trials = 0;
  /** Returns the candidate up to its violation of the invariant; undefined: it does not violate it. */
  const failing = (candidate: Plan): Plan | undefined => {
    if (trials++ >= MOST_TRIALS) return undefined;
    const { violation } = simulate(candidate);
    if (violation?.invariant !== invariant) return undefined;
    const { atUs: durationUs } = violation;
    return { ...candidate, durationUs, steps: candidate.steps.filter(({ atUs }) => atUs <= durationUs) };
  };
  let small = failing(plan) ?? plan;
  for (let before: Plan | undefined; before !== small && trials < MOST_TRIALS; ) {
    before = small;
    small = withFewerSteps(small, failing);
    for (const reduced of [withoutService, withoutHost, simpler])
      for (let i = 0; trials < MOST_TRIALS; ) {
        const candidate = reduced(small, i);
        if (candidate === undefined) break;
        const still = failing(candidate);
        if (still === undefined) i++;
        else small = still;
      }
  }
  return small;
}

function withFewerSteps(plan: Plan, failing: (candidate: Plan) => Plan | undefined): Plan {
  let small = plan;
  for (let size = Math.ceil(small.steps.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2))
    for (let from = 0; from < small.steps.length; ) {
      const still = failing({ ...small, steps: small.steps.toSpliced(from, size) });
      if (still === undefined) from += size;
      else small = still;
    }
  return small;
}

/** Leaves out a service, and the commands to it. */
const withoutService: Reduction = (plan, i) => {
  const service = plan.services[i];
  if (service === undefined) return undefined;
  const hosts = plan.hosts.map((host) => ({ ...host, advskews: host.advskews.toSpliced(i, 1) }));
  const isOther = (step: Step) =>
    step.kind !== "command" || !("name" in step.command) || step.command.name !== service.name;
  return { ...plan, services: plan.services.toSpliced(i, 1), hosts, steps: plan.steps.filter(isOther) };
};

/** Leaves out the last host, so that the ids of the others stay the same. */
const withoutHost: Reduction = (plan, i) => {
  if (i > 0 || plan.hosts.length === 0) return undefined;
  const last = plan.hosts.length - 1;
  const isOther = (host: number) => host !== last;
  const steps = plan.steps
    .filter((step) => !("host" in step) || isOther(step.host))
    .map((step) =>
      step.kind === "weather"
        ? { ...step, from: step.from.filter(isOther), to: step.to.filter(isOther) }
        : step,
    );
  return { ...plan, hosts: plan.hosts.slice(0, last), steps };
};

const simpler: Reduction = (plan, i) => {
  const { hosts, segments, services, steps } = plan;
  const last = segments.length - 1;
  const isUsed =
    services.some(({ segment }) => segment === last) ||
    steps.some((step) => "segment" in step && step.segment === last);
  const whole: Plan[] = [
    { ...plan, segments: last > 0 && !isUsed ? segments.slice(0, last) : segments },
    { ...plan, hosts: hosts.map((host) => ({ ...host, driftPpm: 0 })) },
    { ...plan, hosts: hosts.map((host, id) => ({ ...host, aheadUs: 17 * id })) },
    { ...plan, hosts: hosts.map((host) => ({ ...host, preempt: false })) },
    { ...plan, hosts: hosts.map((host) => ({ ...host, preemptDelayS: 0 })) },
    { ...plan, hosts: hosts.map((host) => ({ ...host, strictReplay: false })) },
    { ...plan, segments: segments.map((fair) => ({ ...fair, duplication: 0, jitterUs: 0 })) },
    ...services.flatMap((service, at) => [
      { ...plan, services: services.with(at, { ...service, addresses: service.addresses.slice(0, 1) }) },
      { ...plan, services: services.with(at, { ...service, vhids: service.vhids.slice(0, 1) }) },
      { ...plan, services: services.with(at, { ...service, vhids: service.vhids.slice(0, 2) }) },
    ]),
  ];
  const step = steps[i - whole.length];
  const simplified = whole[i] ?? (step && { ...plan, steps: steps.with(i - whole.length, rounded(step)) });
  if (simplified === undefined) return undefined;
  return JSON.stringify(simplified) === JSON.stringify(plan) ? simpler(plan, i + 1) : simplified;
};

function rounded(step: Step): Step {
  const round = (us: number) => Math.round(us / 100_000) * 100_000;
  const forUs = step.forUs === 0 ? 0 : Math.max(100_000, round(step.forUs));
  return { ...step, atUs: round(step.atUs), forUs };
}
