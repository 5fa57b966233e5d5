/**
 * `demote`, `promote` and `maintenance`, and the line in which `status` tells what a host is demoted for. The engine
 * keeps the reasons and their sum; nothing is added up here.
 */

import { LIMITS } from "../control/limits.ts";
import type { DemotionView } from "../control/messages.ts";
import { shown } from "../control/shown.ts";
import { done, json, type Outcome, refused } from "./outcome.ts";
import { type Setting, withEngine } from "./setting.ts";

export async function runDemote(reason: string, n: string, setting: Setting): Promise<Outcome> {
  const [min, max] = LIMITS.demote;
  const by = /^\d{1,10}$/.test(n) ? Number(n) : Number.NaN;
  if (!(by >= min && by <= max)) return refused(`demote ${shown(n)}: must be ${min}..${max}`);
  return withEngine(setting, async (engine) => {
    await engine.call("demote", { reason, by });
    return done();
  });
}

export function runPromote(reason: string, setting: Setting): Promise<Outcome> {
  return withEngine(setting, async (engine) => {
    await engine.call("promote", { reason });
    return done();
  });
}

/** @param mode undefined: only shown */
export function runMaintenance(mode: "on" | "off" | undefined, setting: Setting): Promise<Outcome> {
  return withEngine(setting, async (engine) => {
    if (mode !== undefined) {
      await engine.call("maintenance", { on: mode === "on" });
      return done();
    }
    const { reasons } = await engine.call("demotion", {});
    const maintenance = reasons.some(({ reason }) => reason === "maintenance");
    return setting.options.json ? json({ maintenance }) : done(maintenance ? "on\n" : "off\n");
  });
}

/** undefined when the counter is nothing but 0. */
export function demotionText({ counter, written, reasons, faults }: DemotionView): string | undefined {
  const parts = [
    ...reasons.map(({ reason, by }) => [reason, by] as const),
    ...faults.map((each) => [`${each.interface} ${each.fault}`, each.by] as const),
    ["net.inet.carp.demotion", written] as const,
  ].filter(([, by]) => by !== 0);
  if (parts.length === 0) return undefined;
  return `demoted by ${counter}: ${parts.map(([what, by]) => `${what} ${by}`).join(", ")}`;
}
