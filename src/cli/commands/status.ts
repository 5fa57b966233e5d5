/**
 * `status`: reads the state of every virtual host from the engine and prints it, for people or as JSON. The
 * table is made in show/status.ts.
 */

import type { Connection } from "../../control/client.ts";
import { type CommandContext, withEngine } from "../context.ts";
import { done, json, type Outcome } from "../outcome.ts";
import { groupJson, interfaceJson, packetsByInterface } from "../show/json.ts";
import { checkJson } from "../show/service-check.ts";
import { type HostStatus, statusText } from "../show/status.ts";

export function runStatus(context: CommandContext): Promise<Outcome> {
  return withEngine(context, async (engine) => {
    const status = await readStatus(engine);
    return context.options.json
      ? json(statusJson(status))
      : done(statusText(status, { ...context, ...status }));
  });
}

export interface Status extends HostStatus {
  readonly nowUs: number;
}

export async function readStatus(engine: Connection): Promise<Status> {
  const [{ interfaces, nowUs }, groups, packets, demotion, checks] = await Promise.all([
    engine.call("interfaces", {}),
    engine.call("groups", {}),
    engine.call("packets", {}),
    engine.call("demotion", {}),
    engine.call("checks", {}),
  ]);
  return { interfaces, nowUs, groups, packets, demotion, checks };
}

export function statusJson({ interfaces, nowUs, groups, packets, demotion, checks }: Status) {
  const counts = packetsByInterface(packets);
  return {
    interfaces: interfaces.map((view) => interfaceJson(view, nowUs, counts.get(view.name))),
    groups: groups.map(groupJson),
    demotion,
    checks: checks.map(checkJson),
  };
}
