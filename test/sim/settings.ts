/**
 * What a virtual host has to go by: what it is configured with, and how much it is demoted. Worked out anew, without
 * asking the core for what it makes of them.
 */

import type { Micros } from "../../src/core/event.ts";
import { intervalOf } from "./hearing.ts";
import type { Station } from "./station.ts";

/** Demotion raises advskew no further, for those who do not know it. */
const MAX_DEMOTED_ADVSKEW = 240;
const MAX_DEMOTE = 255;

/** As advertised. */
export interface Settings {
  readonly advbase: number;
  readonly intervalUs: Micros;
  readonly demote: number;
}

export function settingsOf({ engine, configurations }: Station, key: string): Settings {
  const [name = "", vhid] = key.split("/");
  const { advbase = 0, nodes = [], groups = [] } = configurations.get(name) ?? {};
  const configured = nodes.find((node) => node.vhid === Number(vhid))?.advskew ?? 0;
  const global = engine?.host.sysctl("net.inet.carp.demotion")[0]?.value ?? 0;
  const counts = engine?.host.groups().filter((group) => groups.includes(group.name)) ?? [];
  const ofGroups = counts.reduce((sum, { carpDemoteCount }) => sum + carpDemoteCount, 0);
  const raised = Math.min(MAX_DEMOTED_ADVSKEW, Math.max(0, configured + global));
  return {
    advbase,
    intervalUs: intervalOf(advbase, global === 0 ? configured : raised),
    demote: Math.min(MAX_DEMOTE, ofGroups + Math.max(0, global)),
  };
}
