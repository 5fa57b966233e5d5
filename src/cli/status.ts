/** `status`: what the engine says of every virtual host, for people or as JSON. How it looks is in status-text.ts. */

import type { Connection } from "../control/client.ts";
import { done, json, type Outcome } from "./outcome.ts";
import { type Setting, withEngine } from "./setting.ts";
import { type Shown, statusText } from "./status-text.ts";
import { groupJson, interfaceJson } from "./views.ts";

export function runStatus(setting: Setting): Promise<Outcome> {
  return withEngine(setting, async (engine) => {
    const status = await readStatus(engine);
    return setting.options.json
      ? json(statusJson(status))
      : done(statusText(status, { ...setting, ...status }));
  });
}

export interface Status extends Shown {
  readonly nowUs: number;
}

export async function readStatus(engine: Connection): Promise<Status> {
  const [{ interfaces, nowUs }, groups, packets, demotion] = await Promise.all([
    engine.call("interfaces", {}),
    engine.call("groups", {}),
    engine.call("packets", {}),
    engine.call("demotion", {}),
  ]);
  return { interfaces, nowUs, groups, packets, demotion };
}

export function statusJson({ interfaces, nowUs, groups, packets, demotion }: Status) {
  return {
    interfaces: interfaces.map((view) => interfaceJson(view, nowUs, packets)),
    groups: groups.map(groupJson),
    demotion,
  };
}
