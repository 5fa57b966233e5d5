/**
 * Judges whether frames from and to the virtual MAC get through: hypervisors and switches that know one MAC for each port
 * drop them, the advertisements and every answer for a shared address among them, so that neither host sees the other.
 * A MASTER asks hosts on the link for their own addresses, once from its device's MAC and once from the virtual one.
 * Pure: it sees only the views and answers it is given.
 */

import { type Finding, fault } from "../control/finding.ts";
import type { InterfaceView } from "../control/messages.ts";
import type { Link } from "../core/model.ts";
import { virtualMac } from "../protocol/address.ts";
import type { NeighbourAnswer, NeighbourQuestion } from "../protocol/neighbour-question.ts";

/** Hosts that are asked, for one that answers. */
const MOST_ASKED = 4;

/**
 * The questions: ARP probes, which name no sender, so that nobody learns of the virtual MAC but the switch, where a
 * MASTER has it already.
 *
 * @param neighbours IPv4 addresses of hosts on the link
 */
export function passageQuestions(
  view: InterfaceView,
  link: Link,
  neighbours: readonly string[],
): NeighbourQuestion[] {
  const mac = masterMac(view);
  if (mac === undefined) return [];
  const shared = new Set(view.addresses.map(({ address }) => address));
  const others = view.nodes.flatMap(({ heard, peers }) =>
    [heard, ...peers].flatMap((each) => each?.source ?? []),
  );
  const targets = new Set(
    [...others, ...neighbours].filter((each) => !each.includes(":") && !shared.has(each)),
  );
  return [...targets]
    .slice(0, MOST_ASKED)
    .flatMap((target) => [link.mac, mac].map((asker) => ({ mac: asker, source: undefined, target })));
}

export function passageFindings(
  view: InterfaceView,
  before: InterfaceView | undefined,
  answers: readonly NeighbourAnswer[],
): Finding[] {
  const mac = masterMac(view);
  const isUnchanged = before?.nodes[0]?.sinceUs === view.nodes[0]?.sinceUs;
  if (mac === undefined || before === undefined || !isUnchanged || masterMac(before) !== mac) return [];
  const shared = new Set(view.addresses.map(({ address }) => address));
  const ofOthers = answers.filter(({ address }) => !address.includes(":") && !shared.has(address));
  const [reached] = ofOthers.filter(({ to }) => to !== mac);
  if (reached === undefined || ofOthers.some(({ to }) => to === mac)) return [];
  return [
    fault(
      "virtual-mac-blocked",
      view.name,
      `${reached.address} answers ${view.carpdev}'s own MAC, and not the virtual MAC ${mac}: a hypervisor or switch drops frames from or to it, advertisements too`,
      "let this host's port have more than one MAC: forged transmits, MAC changes and promiscuous mode or MAC learning (VMware), MAC address spoofing (Hyper-V), no MAC filter (Proxmox, libvirt, clouds), no port security (switches); or 'lladdr carpdev' with carppeer on every host",
    ),
  ];
}

/** The virtual MAC of a MASTER; undefined: it is not MASTER of the one virtual host, or has no MAC of its own for it. */
function masterMac({ running, lladdr, nodes }: InterfaceView): string | undefined {
  const [node, ...more] = nodes;
  if (!running || node?.state !== "MASTER" || more.length > 0) return undefined;
  return lladdr === virtualMac(node.vhid) ? lladdr : undefined;
}
