/**
 * The examination of a host, by a running engine of its own surroundings or by a command in its place. Brings
 * together what is read and what follows from it; one interface's devices at a time, so that the protocol never
 * waits for more than that.
 */

import { setImmediate as turn } from "node:timers/promises";
import type { Finding } from "../control/messages.ts";
import {
  type DeviceFacts,
  dataPathObstacle,
  deviceFacts,
  hasBpfFilesystem,
  hostFacts,
  localAddresses,
} from "../kernel/facts.ts";
import type { Engine } from "./engine.ts";
import { examineHost } from "./host-examination.ts";
import { examineInterfaces } from "./interface-examination.ts";

type Examined = Pick<
  Engine,
  "host" | "now" | "packets" | "dataPathObstacle" | "scriptsAreConfined" | "runDir"
>;

/** As the engine stands in its namespaces, with its privileges. */
export async function examineAround(engine: Examined): Promise<Finding[]> {
  const host = examineHost({
    facts: hostFacts(),
    obstacle: engine.dataPathObstacle,
    persists: hasBpfFilesystem(engine.runDir),
    scriptsAreConfined: engine.scriptsAreConfined,
    isEngine: true,
  });
  const views = engine.host.interfaces();
  const others = localAddresses();
  const names = new Set([
    ...views.flatMap(({ name, carpdev }) => (carpdev === undefined ? [name] : [name, carpdev])),
    ...others.map(({ device }) => device),
  ]);
  const devices = new Map<string, DeviceFacts | undefined>();
  for (const name of names) {
    devices.set(name, deviceFacts(name));
    await turn();
  }
  return [
    ...host,
    ...examineInterfaces({
      nowUs: engine.now().us,
      views: engine.host.interfaces(),
      packets: engine.packets(),
      device: (name) => devices.get(name),
      mtu: (name) => engine.host.link(name)?.mtu,
      local: others,
    }),
  ];
}

/** Where no engine runs: whether one could. */
export function examineInstead(): Finding[] {
  return examineHost({
    facts: hostFacts(),
    obstacle: dataPathObstacle(),
    persists: undefined,
    scriptsAreConfined: false,
    isEngine: false,
  });
}
