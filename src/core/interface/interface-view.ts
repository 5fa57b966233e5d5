/** The view of a carp interface: what commands show of it. */

import type { VirtualHost } from "../election/virtual-host.ts";
import type { Link } from "../model.ts";
import { obstacleKind, obstacleText } from "../reason.ts";
import type { InterfaceView } from "../view.ts";
import type { Appearance } from "./appearance.ts";
import type { Condition } from "./condition.ts";
import type { InterfaceConfiguration } from "./configuration.ts";
import type { Signing } from "./signing.ts";

/** What of the view the parts of the interface do not know. */
type Recorded = Pick<InterfaceView, "index" | "repairs" | "sendFailure" | "discarded" | "wrongDigests">;

interface Parts {
  readonly configuration: InterfaceConfiguration;
  readonly link: Link | undefined;
  readonly nodes: readonly VirtualHost[];
  readonly appearance: Appearance;
  readonly signing: Signing;
  readonly condition: Condition;
}

export function interfaceView(
  { configuration, link, nodes, appearance, signing, condition }: Parts,
  recorded: Recorded,
): InterfaceView {
  const { name, up, description, carpdev, mtu, advbase, carppeer, carppeer6, announce, preemptdelay } =
    configuration;
  const { groups, addresses } = configuration;
  const { obstacle, problems } = condition;
  const isRunning = nodes.some((node) => node.state !== "INIT");
  const isMaster = nodes.some((node) => node.state === "MASTER");
  return {
    ...recorded,
    name,
    up,
    running: isRunning,
    mtu: mtu ?? link?.mtu ?? 1500,
    lladdr: appearance.mac,
    description,
    carpdev,
    advbase,
    balancing: appearance.mode,
    carppeer,
    carppeer6,
    announce,
    preemptdelay,
    grace: signing.grace,
    nodes: nodes.map((node) => ({ ...node.view(), ...signing.linkLocalView(node.vhid, addresses) })),
    groups,
    addresses,
    status: isMaster ? "master" : isRunning ? "backup" : "invalid",
    notRunning: isRunning ? undefined : obstacle && obstacleText(obstacle),
    notRunningKind: isRunning ? undefined : obstacle && obstacleKind(obstacle),
    problems,
  };
}
