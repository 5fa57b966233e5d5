/**
 * Makes a plan that fails as small as a person can read: leaves out steps, services, segments and hosts, and makes
 * numbers round, as long as the same invariant is still violated (delta debugging).
 */

import type { Plan, Step } from "./plan.ts";
import { simulate } from "./simulation.ts";
import type { Invariant } from "./violation.ts";

export function shrink(plan: Plan, invariant: Invariant): Plan {
  const fails = (candidate: Plan) => simulate(candidate).violation?.invariant === invariant;
  let small = withFewerSteps(upToFailure(plan), fails);
  for (const reduced of [withoutService, withoutHost, simpler])
    for (let i = 0; ; ) {
      const candidate = reduced(small, i);
      if (candidate === undefined) break;
      if (fails(candidate)) small = upToFailure(candidate);
      else i++;
    }
  return withFewerSteps(small, fails);
}

function withFewerSteps(plan: Plan, fails: (candidate: Plan) => boolean): Plan {
  let small = plan;
  for (let size = Math.ceil(small.steps.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2))
    for (let from = 0; from < small.steps.length; ) {
      const candidate = { ...small, steps: small.steps.toSpliced(from, size) };
      if (fails(candidate)) small = upToFailure(candidate);
      else from += size;
    }
  return small;
}

/** What comes after the violation has no part in it. */
function upToFailure(plan: Plan): Plan {
  const { violation } = simulate(plan);
  if (violation === undefined) return plan;
  const { atUs: durationUs } = violation;
  return { ...plan, durationUs, steps: plan.steps.filter(({ atUs }) => atUs <= durationUs) };
}

/** Commands to it are refused then. */
function withoutService(plan: Plan, i: number): Plan | undefined {
  if (i >= plan.services.length) return undefined;
  const hosts = plan.hosts.map((host) => ({ ...host, advskews: host.advskews.toSpliced(i, 1) }));
  return { ...plan, services: plan.services.toSpliced(i, 1), hosts };
}

/** The last ones, so that the others stay who they are. */
function withoutHost(plan: Plan, i: number): Plan | undefined {
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
}

function simpler(plan: Plan, i: number): Plan | undefined {
  const { hosts, segments, steps } = plan;
  const whole = [
    { ...plan, hosts: hosts.map((host) => ({ ...host, driftPpm: 0 })) },
    { ...plan, hosts: hosts.map((host, id) => ({ ...host, aheadUs: 17 * id })) },
    { ...plan, hosts: hosts.map((host) => ({ ...host, preempt: false })) },
    { ...plan, hosts: hosts.map((host) => ({ ...host, strictReplay: false })) },
    { ...plan, segments: segments.map((fair) => ({ ...fair, duplication: 0, jitterUs: 0 })) },
    { ...plan, segments: segments.slice(0, 1) },
  ];
  const simplified = whole[i];
  if (simplified !== undefined)
    return JSON.stringify(simplified) === JSON.stringify(plan) ? simpler(plan, i + 1) : simplified;
  const at = i - whole.length;
  const step = steps[at];
  if (step === undefined) return undefined;
  const round = rounded(step);
  return JSON.stringify(round) === JSON.stringify(step)
    ? simpler(plan, i + 1)
    : { ...plan, steps: steps.with(at, round) };
}

function rounded(step: Step): Step {
  const round = (us: number) => Math.round(us / 100_000) * 100_000;
  const forUs = step.forUs === 0 ? 0 : Math.max(100_000, round(step.forUs));
  return { ...step, atUs: round(step.atUs), forUs };
}
