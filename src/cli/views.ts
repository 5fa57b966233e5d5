/** Views as JSON for programs: every field always there, null where there is nothing, ages in seconds. */

import type { GroupView, InterfaceView, NodeView } from "../control/messages.ts";
import { broadcastAddress } from "../protocol/address.ts";

export function interfaceJson(view: InterfaceView, nowUs: number) {
  return {
    name: view.name,
    up: view.up,
    running: view.running,
    notRunning: view.notRunning ?? null,
    status: view.status,
    index: view.index,
    mtu: view.mtu,
    lladdr: view.lladdr ?? null,
    description: view.description ?? null,
    carpdev: view.carpdev ?? null,
    advbase: view.advbase,
    balancing: view.balancing,
    carppeer: view.carppeer ?? null,
    carppeer6: view.carppeer6 ?? null,
    nodes: view.nodes.map((node) => nodeJson(node, nowUs)),
    groups: view.groups,
    addresses: view.addresses.map((each) => ({
      family: each.family,
      address: each.address,
      prefixLength: each.prefixLength,
      broadcast: broadcastOf(each) ?? null,
    })),
  };
}

/** As given, or as the prefix has it; a prefix of one or two addresses has none, nor has IPv6. */
export function broadcastOf({
  family,
  address,
  prefixLength,
  broadcast,
}: InterfaceView["addresses"][number]): string | undefined {
  if (family === 6) return undefined;
  return broadcast ?? (prefixLength < 31 ? broadcastAddress(address, prefixLength) : undefined);
}

function nodeJson(node: NodeView, nowUs: number) {
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
    heard: heard ? { ...heard, ageSeconds: ageSeconds(heard.atUs, nowUs) } : null,
  };
}

export function groupJson({ name, carpDemoteCount, interfaces }: GroupView) {
  return { name, carpDemoteCount, interfaces };
}

/** To the millisecond; never negative. */
export function ageSeconds(sinceUs: number, nowUs: number): number {
  return Math.max(0, Math.round((nowUs - sinceUs) / 1000)) / 1000;
}
