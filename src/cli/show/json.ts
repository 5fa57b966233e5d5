/** Views as JSON for programs: every field is always there, null where there is no value, ages in seconds. */

import { secondsUntil } from "../../control/grace.ts";
import type { GraceView, GroupView, InterfaceView, NodeView, Packets } from "../../control/messages.ts";
import { recentWrongDigests } from "../../control/wrong-digests.ts";
import { broadcastOf } from "../../protocol/subnet.ts";

export function packetsByInterface(every: readonly Packets[]): ReadonlyMap<string, Packets> {
  return new Map(every.map((each) => [each.interface, each]));
}

/** @param packets undefined: the data path does not know the interface */
export function interfaceJson(view: InterfaceView, nowUs: number, packets: Packets | undefined) {
  return {
    name: view.name,
    up: view.up,
    running: view.running,
    notRunning: view.notRunning ?? null,
    problems: view.problems.map(({ text }) => text),
    status: view.status,
    index: view.index,
    mtu: view.mtu,
    lladdr: view.lladdr ?? null,
    description: view.description ?? null,
    carpdev: view.carpdev ?? null,
    advbase: view.advbase,
    balancing: view.balancing,
    ...peersJson(view),
    announce: view.announce ?? null,
    preemptdelay: view.preemptdelay ?? null,
    grace: view.grace ? graceJson(view.grace, nowUs) : null,
    nodes: view.nodes.map((node) => nodeJson(node, nowUs, packets)),
    wrongDigests: recentWrongDigests(view, nowUs).map(({ vhid, source, cause, text, todo, atUs }) => ({
      vhid,
      source,
      cause,
      text,
      todo,
      ageSeconds: ageSeconds(atUs, nowUs),
    })),
    packets: packetsJson(packets),
    repairs: view.repairs,
    groups: view.groups,
    addresses: view.addresses.map((each) => ({
      family: each.family,
      address: each.address,
      prefixLength: each.prefixLength,
      broadcast: broadcastOf(each) ?? null,
    })),
  };
}

/** `carppeer` is one text, as the command takes it, for scripts that know of one peer; `carppeers` is the list. */
export function peersJson({ carppeer, carppeer6 }: Pick<InterfaceView, "carppeer" | "carppeer6">) {
  return {
    carppeer: carppeer?.join() ?? null,
    carppeer6: carppeer6?.join() ?? null,
    carppeers: carppeer ?? [],
    carppeers6: carppeer6 ?? [],
  };
}

/** Packets that came to this host for the addresses of an interface. */
export function arrivedOf({ nodes, droppedByLease }: Packets): number {
  return nodes.reduce((sum, { accepted, droppedByHash }) => sum + accepted + droppedByHash, droppedByLease);
}

/** Packet counts of the data path; null for an interface that it does not know. */
function packetsJson(packets: Packets | undefined) {
  if (packets === undefined) return null;
  const { droppedByLease, malformed, withheld } = packets;
  return { droppedByLease, malformed, withheld };
}

function nodeJson(node: NodeView, nowUs: number, packets: Packets | undefined) {
  const { vhid, advskew, effectiveAdvskew, demote, state, sinceUs, transitions, heard } = node;
  return {
    vhid,
    state,
    sinceUs,
    ageSeconds: ageSeconds(sinceUs, nowUs),
    advskew,
    effectiveAdvskew,
    demote,
    transitions,
    preemptDelaySecondsLeft: preemptDelaySecondsLeft(node, nowUs) ?? null,
    packets: nodePacketsJson(node, packets),
    signsLinkLocals: node.signsLinkLocals ?? null,
    linkLocalConflict: conflictOf(node, nowUs) ?? null,
    heard: heard ? { ...heard, ageSeconds: ageSeconds(heard.atUs, nowUs) } : null,
  };
}

function graceJson(grace: GraceView, nowUs: number) {
  const { signsOld, untilUs, believesUntilUs, pass, addresses, usedBy } = grace;
  return {
    signs: signsOld ? "old" : "new",
    secondsLeft: secondsUntil(signsOld ? untilUs : believesUntilUs, nowUs),
    pass,
    addresses,
    usedBy: usedBy.map(({ source, atUs }) => ({ source, ageSeconds: ageSeconds(atUs, nowUs) })),
  };
}

/** Seconds until a BACKUP preempts a slower master, while its preemptdelay runs. */
export function preemptDelaySecondsLeft({ mayPreemptAtUs }: NodeView, nowUs: number): number | undefined {
  return mayPreemptAtUs === undefined || mayPreemptAtUs <= nowUs
    ? undefined
    : secondsUntil(mayPreemptAtUs, nowUs);
}

/** Which peers cannot agree about link-local addresses. */
export function conflictOf({ linkLocalConflict }: NodeView, nowUs: number): string | undefined {
  return linkLocalConflict && nowUs <= linkLocalConflict.untilUs ? linkLocalConflict.text : undefined;
}

/** `share`: of all packets that came to this host for the interface; null as long as none has. */
function nodePacketsJson({ vhid }: NodeView, packets: Packets | undefined) {
  const counts = packets?.nodes.find((each) => each.vhid === vhid);
  if (packets === undefined || counts === undefined) return null;
  const { accepted, droppedByHash } = counts;
  const arrived = arrivedOf(packets);
  return { accepted, droppedByHash, share: arrived === 0 ? null : accepted / arrived };
}

export function groupJson({ name, carpDemoteCount, interfaces }: GroupView) {
  return { name, carpDemoteCount, interfaces };
}

/** To the millisecond; never negative. */
export function ageSeconds(sinceUs: number, nowUs: number): number {
  return Math.max(0, Math.round((nowUs - sinceUs) / 1000)) / 1000;
}
