/** `demote --unit` and `promote --unit`: units of systemd that demote this host while they are not active. */

import { checkParams } from "../../control/messages.ts";
import { type CommandContext, withEngine } from "../context.ts";
import { done, isRefusal, type Outcome, refused } from "../outcome.ts";
import { demotionOf } from "./demotion.ts";
import { Systemctl } from "./units/systemctl.ts";

/** A name without a suffix is a service, as for systemctl. */
function unitNamed(name: string): string {
  return /\.[a-z]+$/.test(name) ? name : `${name}.service`;
}

/** Demotes while the unit is not active: as it is now, and then as `carpctl units` tells. */
export async function runDemoteUnit(name: string, n: string, context: CommandContext): Promise<Outcome> {
  const by = demotionOf(n);
  if (isRefusal(by)) return refused(by.refusal);
  const checked = checkParams("demote-unit", { unit: unitNamed(name), by, active: false });
  if ("refusal" in checked) return refused(`demote: ${checked.refusal}`);
  const { unit } = checked.params;
  let obstacle: string | undefined;
  const active = await new Systemctl((text) => {
    obstacle = text;
  }).activeOf([unit]);
  if (active === undefined) return refused(`demote ${unit}: ${obstacle}`);
  return withEngine(context, async (engine) => {
    await engine.call("demote-unit", { unit, by, active: active.has(unit) });
    return done();
  });
}

export function runPromoteUnit(name: string, context: CommandContext): Promise<Outcome> {
  return withEngine(context, async (engine) => {
    await engine.call("promote-unit", { unit: unitNamed(name) });
    return done();
  });
}
