/**
 * Makes a plan that fails as small as a person can read: leaves out steps, then hosts nothing happens to, as long as
 * the same invariant is still violated (delta debugging).
 */

import type { Plan, Step } from "./plan.ts";
import { simulate } from "./simulation.ts";
import type { Invariant } from "./violation.ts";

export function shrink(plan: Plan, invariant: Invariant): Plan {
  const fails = (candidate: Plan) => simulate(candidate).violation?.invariant === invariant;
  let small = upToFailure(plan);
  for (let size = Math.ceil(small.steps.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let from = 0; from < small.steps.length; ) {
      const steps = small.steps.toSpliced(from, size);
      const candidate = { ...small, steps };
      if (fails(candidate)) small = upToFailure(candidate);
      else from += size;
    }
  }
  for (const [i, step] of small.steps.entries()) {
    const candidate = { ...small, steps: small.steps.with(i, rounded(step)) };
    if (fails(candidate)) small = candidate;
  }
  return upToFailure(small);
}

/** What comes after the violation has no part in it. */
function upToFailure(plan: Plan): Plan {
  const { violation } = simulate(plan);
  if (violation === undefined) return plan;
  return {
    ...plan,
    durationUs: violation.atUs,
    steps: plan.steps.filter(({ atUs }) => atUs <= violation.atUs),
  };
}

function rounded(step: Step): Step {
  const round = (us: number) => Math.round(us / 100_000) * 100_000;
  return {
    ...step,
    atUs: round(step.atUs),
    forUs: step.forUs === 0 ? 0 : Math.max(100_000, round(step.forUs)),
  };
}
