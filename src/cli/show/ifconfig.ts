/**
 * Interfaces and groups as OpenBSD's ifconfig prints them. Scripts read this: every byte is part of the
 * interface.
 */

import type { GroupView, InterfaceView } from "../../control/messages.ts";
import { escapeControls } from "../../control/printable.ts";
import { isLinkLocal } from "../../protocol/address.ts";
import { broadcastOf } from "../../protocol/subnet.ts";

/** From <net/if.h> of the BSDs, in the order of their bits. */
const FLAGS = [
  ["UP", 0x1],
  ["BROADCAST", 0x2],
  ["RUNNING", 0x40],
  ["SIMPLEX", 0x800],
  ["MULTICAST", 0x8000],
] as const;

type Flag = (typeof FLAGS)[number][0];

export function interfaceText(view: InterfaceView): string {
  const lines = [
    `${view.name}: flags=${flagsText(view)} mtu ${view.mtu}`,
    ...(view.lladdr ? [`\tlladdr ${view.lladdr}`] : []),
    ...(view.description ? [`\tdescription: ${escapeControls(view.description)}`] : []),
    `\tindex ${view.index} priority 15 llprio 3`,
    ...carpLines(view),
    ...(view.groups.length > 0 ? [`\tgroups: ${view.groups.join(" ")}`] : []),
    `\tstatus: ${view.status}`,
    ...view.problems.map(({ kind, text }) => `\tproblem: ${escapeControls(text)} [${kind}]`),
    ...view.addresses.map((address) => addressLine(view, address)),
  ];
  return lines.map((line) => `${line}\n`).join("");
}

export function groupText(group: GroupView): string {
  return `${group.name}: carp demote count ${group.carpDemoteCount}\n`;
}

function flagsText(view: InterfaceView): string {
  const absent: Flag[] = [
    ...(view.up ? [] : (["UP"] as const)),
    ...(view.running ? [] : (["RUNNING"] as const)),
  ];
  const flags = FLAGS.filter(([name]) => !absent.includes(name));
  const bits = flags.reduce((sum, [, bit]) => sum | bit, 0);
  return `${bits.toString(16)}<${flags.map(([name]) => name).join(",")}>`;
}

function carpLines(view: InterfaceView): string[] {
  const [first, ...others] = view.nodes;
  if (first === undefined) return [];
  const carpdev = view.carpdev ?? "none";
  const { carppeer, carppeer6 } = view;
  const peers = `${carppeer ? ` carppeer ${carppeer.join()}` : ""}${carppeer6 ? ` carppeer6 ${carppeer6.join()}` : ""}`;
  const settings = [
    ...(view.announce === undefined ? [] : [`\tannounce ${view.announce}`]),
    ...(view.preemptdelay === undefined ? [] : [`\tpreemptdelay ${view.preemptdelay}`]),
    ...(view.grace?.pass ? ["\tpassold: still believed"] : []),
  ];
  if (others.length === 0) {
    const { state, vhid, advskew } = first;
    return [
      `\tcarp: ${state} carpdev ${carpdev} vhid ${vhid} advbase ${view.advbase} advskew ${advskew}${peers}`,
      ...settings,
    ];
  }
  return [
    `\tcarp: carpdev ${carpdev} advbase ${view.advbase} balancing ${view.balancing}${peers}`,
    ...view.nodes.map(({ state, vhid, advskew }) => `\t\tstate ${state} vhid ${vhid} advskew ${advskew}`),
    ...settings,
  ];
}

function addressLine(view: InterfaceView, shown: InterfaceView["addresses"][number]): string {
  const { family, prefixLength } = shown;
  const address = scoped(shown, view);
  // Index 0: there is no device.
  const scopeId = isLinkLocal(shown.address) && view.index > 0 ? ` scopeid 0x${view.index.toString(16)}` : "";
  if (family === 6) return `\tinet6 ${address} prefixlen ${prefixLength}${scopeId}`;
  const broadcast = broadcastOf(shown);
  return `\tinet ${address} netmask ${hexNetmask(prefixLength)}${broadcast === undefined ? "" : ` broadcast ${broadcast}`}`;
}

/** The address with its scope where it has one: a link-local address is its interface's. */
export function scoped(
  { address }: { readonly address: string },
  { name }: { readonly name: string },
): string {
  return isLinkLocal(address) ? `${address}%${name}` : address;
}

function hexNetmask(prefixLength: number): string {
  return `0x${(2 ** 32 - 2 ** (32 - prefixLength)).toString(16).padStart(8, "0")}`;
}
