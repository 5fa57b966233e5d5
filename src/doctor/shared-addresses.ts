/**
 * Judges who has the shared addresses of a carp interface: the master alone should answer for them, with the virtual MAC.
 * Pure: it sees only the views and answers it is given.
 */

import { type Finding, fault } from "../control/finding.ts";
import type { InterfaceView } from "../control/messages.ts";
import { SECOND } from "../core/election/timing.ts";
import type { Link, Micros } from "../core/model.ts";
import type { LocalAddress } from "../kernel/inspection.ts";
import { isLinkLocal, multicastMac, virtualMac } from "../protocol/address.ts";
import type { NeighbourAnswer, NeighbourQuestion } from "../protocol/neighbour-question.ts";
import { contains } from "../protocol/subnet.ts";
import { peersOf } from "./segment.ts";

/** A master that was relieved answers for a moment, and one that was missed advertises at once. */
const SETTLED_US: Micros = 3 * SECOND;

/** The questions about an interface: for its addresses, and for those of the masters that it hears. */
export function questionsAbout(
  { addresses, nodes, running }: InterfaceView,
  link: Link,
): NeighbourQuestion[] {
  if (!running) return [];
  const masters = nodes.flatMap(({ peers }) => peers.map(({ source }) => source));
  const targets = new Set([...masters, ...addresses.map(({ address }) => address)]);
  return [...targets].map((target) => ({ mac: link.mac, source: sourceFor(target, link), target }));
}

/** The device's own address that asks for another: one that every host on the link can answer. */
function sourceFor(target: string, { addresses }: Link): string | undefined {
  const family = target.includes(":") ? 6 : 4;
  const own = addresses.filter((each) => each.family === family);
  if (family === 6) return own.find(({ address }) => isLinkLocal(address))?.address;
  return own.find(({ address, prefixLength }) => contains(address, prefixLength, target))?.address;
}

export interface AnswersExamined {
  readonly nowUs: Micros;
  /** What the hosts on the interface's link answered. */
  readonly answers: readonly NeighbourAnswer[];
  /** The MACs of this host's own devices. */
  readonly ownMacs: ReadonlySet<string>;
  /** The interface as it was when the link was asked. */
  readonly before: InterfaceView | undefined;
  /** Whether a finding tells already why another master would not be heard. */
  readonly isExplained: boolean;
}

export function answerFindings(view: InterfaceView, examined: AnswersExamined): Finding[] {
  const { answers, before, ownMacs, nowUs, isExplained } = examined;
  const [leader] = view.nodes;
  const [leaderBefore] = before?.nodes ?? [];
  // Between the question and now the address may have moved, and been right at either host.
  if (leader === undefined || leader.sinceUs !== leaderBefore?.sinceUs || before?.lladdr !== view.lladdr)
    return [];
  if (nowUs - leader.sinceUs < SETTLED_US || leader.state === "INIT") return [];
  const shared = new Set(view.addresses.map(({ address }) => address));
  // ucarp has no virtual MAC, and with `lladdr carpdev` nobody has: the master answers as it does for its own address.
  const masters = new Set(answers.filter(({ address }) => !shared.has(address)).map(({ mac }) => mac));
  const ofShared = answers.filter(({ address }) => shared.has(address));
  const strange = ofShared.filter(({ mac }) => mac !== view.lladdr && !ownMacs.has(mac) && !masters.has(mac));
  const ofVhid = view.nodes.flatMap(({ vhid }) => [virtualMac(vhid), multicastMac(vhid)]);
  const found = strange.map(({ address, mac }) =>
    ofVhid.includes(mac)
      ? otherMac(view, leader.vhid, { address, mac })
      : fault(
          "shared-address-taken",
          view.name,
          `${address} is answered for with the MAC ${mac} too, which is neither the virtual one nor the master's: clients reach one or the other`,
          `take ${address} off the host with that MAC (the switch knows its port); if it is a host of this vhid, set arp_ignore=1 for its other device on this segment; if it is a router, end its proxy ARP`,
        ),
  );
  const copies = answers.filter(
    ({ address, mac }) => !shared.has(address) && ownMacs.has(mac) && !ofVhid.includes(mac),
  );
  for (const { address, mac } of copies)
    found.push(
      fault(
        "mac-twice",
        view.name,
        `${address}, another host, has the MAC ${mac}, which a device of this host has too: the switch sends what is meant for one to the other`,
        "give the device of one of the two hosts another MAC: a copied virtual machine keeps that of the original",
      ),
    );
  if (leader.state === "MASTER" && !isExplained) {
    const heard = leader.heard !== undefined && nowUs - leader.heard.atUs < SETTLED_US;
    const answered = ofShared.find(({ mac }) => mac === view.lladdr);
    if (answered !== undefined && !heard && leader.peers.length === 0)
      found.push(unheardMaster(view, leader.vhid, answered.address));
  }
  return found;
}

/** Shared addresses that another device of this host has of its own; for the carpdev that is a problem of the interface. */
export function elsewhereFindings(
  { name, carpdev, addresses }: InterfaceView,
  { views, local }: { readonly views: readonly InterfaceView[]; readonly local: readonly LocalAddress[] },
): Finding[] {
  const right = new Set([carpdev, ...views.map((each) => each.name)]);
  return local
    .filter(({ device, address }) => !right.has(device) && addresses.some((each) => each.address === address))
    .map(({ device, address, prefixLength }) =>
      fault(
        "address-elsewhere",
        name,
        `${address} is an address of ${device} as well: this host has it in every state, also as BACKUP, and then reaches itself there, not the master`,
        `ip address delete ${address}/${prefixLength} dev ${device}, and where it is configured`,
      ),
    );
}

/** Another host of the vhid answers with a MAC that the vhid has in another mode. */
function otherMac(
  { name, lladdr, balancing, nodes }: InterfaceView,
  vhid: number,
  { address, mac }: Pick<NeighbourAnswer, "address" | "mac">,
): Finding {
  const there = mac === virtualMac(vhid) ? "that of the vhid itself" : "that of balancing ip";
  const here = nodes.length > 1 ? ` (balancing ${balancing})` : "";
  return fault(
    "other-mac",
    `${name} vhid ${vhid}`,
    `another host of the vhid answers for ${address} with the MAC ${mac}, ${there}, and here it is ${lladdr}${here}: clients lose the address at each failover`,
    "use the same carpnodes, balancing and lladdr on every host of the vhid",
  );
}

/** Another host has the lease of the same vhid: no other one answers with the virtual MAC. */
function unheardMaster(view: InterfaceView, vhid: number, address: string): Finding {
  const family = address.includes(":") ? 6 : 4;
  const peers = peersOf(view, family);
  const way =
    peers.length > 0
      ? `see that carppeer (here ${peers.join(",")}) names each host on the other, and that packet filters let IP protocol 112 through`
      : "see that switches and packet filters between the hosts let IP protocol 112 to 224.0.0.18 and ff02::12 through (IGMP or MLD snooping without a querier, multicast filters of hypervisors), or use carppeer on every host; and that the other host's vhid and pass are those of this one";
  return fault(
    "master-not-heard",
    `${view.name} vhid ${vhid}`,
    `several masters: another host answers for ${address} with the virtual MAC too, and none of its advertisements arrive here`,
    way,
  );
}
