/**
 * `demote`, `promote` and `maintenance`, and the demotion line of `status`. The engine keeps the reasons and
 * their sum; nothing is added up here.
 */

import { LIMITS } from "../../control/limits.ts";
import type { DemotionView } from "../../control/messages.ts";
import { printable } from "../../control/printable.ts";
import { type CommandContext, withEngine } from "../context.ts";
import { done, isRefusal, json, type Outcome, type Refusal, refuse, refused } from "../outcome.ts";

export async function runDemote(reason: string, n: string, context: CommandContext): Promise<Outcome> {
  const by = demotionOf(n);
  if (isRefusal(by)) return refused(by.refusal);
  return withEngine(context, async (engine) => {
    await engine.call("demote", { reason, by });
    return done();
  });
}

/** How much to demote by, as typed. */
export function demotionOf(n: string): number | Refusal {
  const [min, max] = LIMITS.demote;
  const by = /^\d{1,10}$/.test(n) ? Number(n) : Number.NaN;
  return by >= min && by <= max ? by : refuse(`demote ${printable(n)}: must be ${min}..${max}`);
}

export function runPromote(reason: string, context: CommandContext): Promise<Outcome> {
  return withEngine(context, async (engine) => {
    await engine.call("promote", { reason });
    return done();
  });
}

/** @param mode undefined: only shown */
export function runMaintenance(mode: "on" | "off" | undefined, context: CommandContext): Promise<Outcome> {
  return withEngine(context, async (engine) => {
    if (mode !== undefined) {
      await engine.call("maintenance", { on: mode === "on" });
      return done();
    }
    const { reasons } = await engine.call("demotion", {});
    const maintenance = reasons.some(({ reason }) => reason === "maintenance");
    return context.options.json ? json({ maintenance }) : done(maintenance ? "on\n" : "off\n");
  });
}

/** The demotion counter and its parts; undefined when every part is 0. */
export function demotionText({
  counter,
  written,
  reasons,
  units = [],
  faults,
}: DemotionView): string | undefined {
  const parts = [
    ...reasons.map(({ reason, by }) => [reason, by] as const),
    ...units.filter(({ active }) => !active).map(({ unit, by }) => [unit, by] as const),
    ...faults.map((each) => [`${each.interface} ${each.fault}`, each.by] as const),
    ["net.inet.carp.demotion", written] as const,
  ].filter(([, by]) => by !== 0);
  if (parts.length === 0) return undefined;
  return `demoted by ${counter}: ${parts.map(([what, by]) => `${what} ${by}`).join(", ")}`;
}
