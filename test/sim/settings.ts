/**
 * The settings that a virtual host has to advertise: its configuration with demotion added. Computed
 * independently of the core's own computation.
 */

import type { Micros } from "../../src/core/model.ts";
import { intervalOf } from "./hearing.ts";
import type { Station } from "./station.ts";

/** The greatest advskew that demotion leads to. */
const MAX_DEMOTED_ADVSKEW = 240;
const MAX_DEMOTE = 255;

/** The settings as advertised. */
export interface Settings {
  readonly advbase: number;
  readonly intervalUs: Micros;
  readonly demote: number;
}

/** What demotes the virtual hosts of a host. */
export interface Demotions {
  /** net.inet.carp.demotion */
  readonly global: number;
  /** The demote counts of the groups, by name. */
  readonly byGroup: ReadonlyMap<string, number>;
}

/** Asks the engine; the same for all virtual hosts until it changes. */
export function demotionsOf({ engine }: Station): Demotions {
  return {
    global: engine?.host.sysctl("net.inet.carp.demotion")[0]?.value ?? 0,
    byGroup: new Map(engine?.host.groups().map(({ name, carpDemoteCount }) => [name, carpDemoteCount])),
  };
}

/** Computes the settings of a virtual host. @param key `carp0/1` */
export function settingsOf({ configurations, demotions }: Station, key: string): Settings {
  const [name = "", vhid] = key.split("/");
  const { advbase = 0, nodes = [], groups = [] } = configurations.get(name) ?? {};
  const configured = nodes.find((node) => node.vhid === Number(vhid))?.advskew ?? 0;
  const { global, byGroup } = demotions;
  const ofGroups = [...new Set(groups)].reduce((sum, group) => sum + (byGroup.get(group) ?? 0), 0);
  const raised = Math.min(MAX_DEMOTED_ADVSKEW, Math.max(0, configured + global));
  return {
    advbase,
    intervalUs: intervalOf(advbase, global === 0 ? configured : raised),
    demote: Math.min(MAX_DEMOTE, ofGroups + Math.max(0, global)),
  };
}
