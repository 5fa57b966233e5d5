/**
 * Judges carp interfaces and their carpdevs: settings, multicast, unsent advertisements, several masters; segment.ts
 * judges what they hear and discard.
 * Pure: it sees only the views and facts it is given.
 */

import { type Finding, type FindingKind, fault, inOrder } from "../control/finding.ts";
import { graceText } from "../control/grace.ts";
import type { InterfaceView, NodeView, Packets } from "../control/messages.ts";
import type { Peer } from "../core/election/peers.ts";
import { intervalUs, SECOND } from "../core/election/timing.ts";
import { changedIn } from "../core/interface/grace.ts";
import { otherMasks } from "../core/interface/masks.ts";
import type { InterfaceAddress, Micros } from "../core/model.ts";
import type { OtherGroup } from "../core/view.ts";
import type { VirtualRouter } from "../core/virtual-routers.ts";
import type { DeviceFacts, LocalAddress } from "../kernel/inspection.ts";
import type { Carrier, Overruled } from "../kernel/kernel.ts";
import type { NeighbourAnswer } from "../protocol/neighbour-question.ts";
import { sameSubnet } from "../protocol/subnet.ts";
import { arrivalFindings, clockFindings, familyFindings, preferenceFindings } from "./preference.ts";
import { addressFindings, discardFindings, groupFindings, peersOf, vrrpFindings } from "./segment.ts";
import { answerFindings, elsewhereFindings } from "./shared-addresses.ts";
import { sendFindings } from "./unsent.ts";
import { passageFindings } from "./virtual-mac-passage.ts";

export interface InterfacesExamined {
  readonly nowUs: Micros;
  /** The time of day, microseconds since the Unix epoch. */
  readonly epochUs: number;
  /** net.inet.carp.allow. */
  readonly allow: boolean;
  readonly views: readonly InterfaceView[];
  readonly packets: readonly Packets[];
  readonly device: (name: string) => DeviceFacts | undefined;
  /** The MTU of a device that could be a carpdev. */
  readonly mtu: (name: string) => number | undefined;
  readonly local: readonly LocalAddress[];
  readonly unreached: (peer: string) => string | undefined;
  readonly virtualRouters: readonly VirtualRouter[];
  /** The CARP groups of other hosts on a carpdev. */
  readonly otherGroups: (carpdev: string) => readonly OtherGroup[];
  /** An interface as it was when the hosts on its carpdev were asked who has its addresses. */
  readonly before: (name: string) => InterfaceView | undefined;
  /** What they answered. */
  readonly answers: (carpdev: string) => readonly NeighbourAnswer[];
  /** The MACs of this host's own devices. */
  readonly ownMacs: ReadonlySet<string>;
  /** Why a device of this host can be no carpdev; undefined for one that can, and for none. */
  readonly unfit: (name: string) => string | undefined;
  readonly overruled: (carpdev: string) => Overruled;
  /** The devices that carry the packets of a carpdev. */
  readonly carriers: (carpdev: string) => readonly Carrier[];
  /** The addresses of a device that could be a carpdev. */
  readonly ownAddresses: (name: string) => readonly InterfaceAddress[];
}

/** So many packets without one for another host are no coincidence. */
const TELLING_PACKETS = 100;

const CARP_GROUPS = { 4: "01:00:5e:00:00:12", 6: "33:33:00:00:00:12" } as const;

export function examineInterfaces(examined: InterfacesExamined): Finding[] {
  const { views } = examined;
  if (views.length === 0) return [inOrder("interfaces", "no carp interfaces")];
  const deaf = fault(
    "carp-off",
    "net.inet.carp.allow",
    "is 0: this host hears no other one, and becomes master beside it",
    "carpctl sysctl net.inet.carp.allow=1",
  );
  const carpdevs = Map.groupBy(
    views.filter(({ up, carpdev }) => up && carpdev !== undefined),
    ({ carpdev = "" }) => carpdev,
  );
  return [
    ...(examined.allow ? [] : [deaf]),
    ...[...carpdevs].flatMap(([name, on]) => [
      ...carpdev(name, on, examined),
      ...vrrpFindings(name, on, examined.virtualRouters, examined.nowUs),
      ...groupFindings(name, examined.otherGroups(name), examined.nowUs),
    ]),
    ...views.flatMap((view) => carpInterface(view, examined)),
  ];
}

function carpdev(
  name: string,
  on: readonly InterfaceView[],
  {
    before: earlier,
    carriers,
    device,
    mtu: mtuOf,
    local,
    overruled,
    unfit: unfitness,
    ownAddresses,
  }: InterfacesExamined,
): Finding[] {
  const facts = device(name);
  const mtu = mtuOf(name);
  const unfit = unfitness(name);
  if (unfit !== undefined)
    return [
      fault(
        "unfit-carpdev",
        name,
        `it is ${unfit}: it cannot be a carpdev`,
        `give ${on.map((each) => each.name).join(", ")} an Ethernet device as carpdev`,
      ),
    ];
  if (facts === undefined) return [];
  const found: Finding[] = [];
  const say = (kind: FindingKind, text: string, todo: string) => found.push(fault(kind, name, text, todo));
  const { isWireless, arpIgnore = 1, arpAnnounce = 2, multicast } = facts;
  // The engine makes the settings of a carpdev when its first interface begins to run.
  const settled = on.filter((view) => view.running && earlier(view.name)?.running);
  if (isWireless)
    say("wireless", "a wireless network passes only its station's own MAC", "use a wired carpdev");
  if (settled.length > 0 && arpIgnore < 1)
    say(
      "arp-ignore",
      "arp_ignore is 0: it answers for shared addresses with its own MAC",
      setting(name, "arp_ignore=1"),
    );
  if (settled.length > 0 && arpAnnounce < 2)
    say(
      "arp-announce",
      `arp_announce is ${arpAnnounce}: it asks from shared addresses with its own MAC`,
      setting(name, "arp_announce=2"),
    );
  const { before, xdp } = overruled(name);
  for (const text of before)
    say(
      "program-first",
      `${text}: what it lets through, answers or drops goes by no lease`,
      "take it off, or have its owner put it behind carp's",
    );
  if (xdp !== 0)
    say(
      "xdp-program",
      `XDP program ${xdp} runs before carp's: what it answers, redirects or drops goes by no lease`,
      "see that it passes ARP, neighbour discovery and packets for shared addresses on",
    );
  for (const family of [4, 6] as const)
    if (!multicast.has(CARP_GROUPS[family]) && settled.some((view) => advertisesTo(view, family)))
      say(
        "group-not-joined",
        `it does not receive ${CARP_GROUPS[family]}`,
        `set ${on[0]?.name} down, then up`,
      );
  for (const view of on)
    if (mtu !== undefined && view.mtu > mtu)
      say(
        "mtu-too-small",
        `its MTU ${mtu} is less than the ${view.mtu} of ${view.name}`,
        "make both the same",
      );
  for (const carrier of carriers(name))
    if (mtu !== undefined && carrier.mtu < mtu)
      say(
        "carrier-mtu-too-small",
        `its MTU ${mtu} is more than the ${carrier.mtu} of ${carrier.name}, which carries its packets: larger ones are lost without an answer`,
        `make both the same: ip link set ${carrier.name} mtu ${mtu}`,
      );
  for (const { name: carp, addresses } of on)
    for (const { shared, own, use } of otherMasks(addresses, addresses, ownAddresses(name)))
      say("other-mask", `it has ${own}, and ${carp} has ${shared} with another mask`, `use ${use}`);
  for (const other of inSameSubnets(name, on, local))
    if ((device(other.device)?.arpIgnore ?? 1) < 1)
      say(
        "arp-by-another",
        `${other.device} has ${other.address} in the same subnet and answers for shared addresses too`,
        setting(other.device, "arp_ignore=1"),
      );
  return found.length > 0 ? found : [inOrder(name, "ARP settings, multicast and MTU are as required")];
}

function setting(device: string, text: string): string {
  return `sysctl net.ipv4.conf.${device.replaceAll(".", "/")}.${text}`;
}

function advertisesTo(view: InterfaceView, family: 4 | 6): boolean {
  return view.addresses.some((each) => each.family === family) && peersOf(view, family).length === 0;
}

/** IPv4 addresses of other devices in the subnets of the shared addresses. */
function inSameSubnets(
  carpdev: string,
  on: readonly InterfaceView[],
  local: readonly LocalAddress[],
): LocalAddress[] {
  const own = new Set([carpdev, ...on.map(({ name }) => name)]);
  const shared = on.flatMap(({ addresses }) => addresses.filter(({ family }) => family === 4));
  return local.filter(
    (each) =>
      !own.has(each.device) &&
      each.device !== "lo" &&
      !each.address.includes(":") &&
      shared.some((address) => sameSubnet(address, each)),
  );
}

function carpInterface(view: InterfaceView, examined: InterfacesExamined): Finding[] {
  const { name, up, notRunning, notRunningKind, problems } = view;
  if (!up) return [inOrder(name, "is down, as configured")];
  if (notRunningKind !== undefined)
    return [fault(notRunningKind, name, `does not run: ${notRunning}`, `correct that, or set ${name} down`)];
  const found = [
    ...problems.map(({ kind, text }) => fault(kind, name, text, `see 'carpctl help ${kind}'`)),
    ...elsewhereFindings(view, examined),
    ...deviceFindings(view, examined),
    ...trafficFindings(view, examined),
    ...graceFindings(view, examined.nowUs),
  ];
  const nodeFindings = view.nodes.flatMap((node) => virtualHost(view, node, examined));
  const all = [...found, ...merged(view.name, nodeFindings)];
  const answered = answerFindings(view, {
    nowUs: examined.nowUs,
    before: examined.before(name),
    answers: examined.answers(view.carpdev ?? ""),
    ownMacs: examined.ownMacs,
    isExplained: !examined.allow || all.some(({ level }) => level === "error"),
  });
  const passage = passageFindings(view, examined.before(name), examined.answers(view.carpdev ?? ""));
  return [...passage, ...all, ...answered];
}

/** Peers that still sign as before are no fault while this host does so as well. */
function graceFindings({ name: subject, grace }: InterfaceView, nowUs: Micros): Finding[] {
  if (grace === undefined) return [];
  const text = graceText(grace, nowUs);
  if (grace.signsOld || grace.usedBy.length === 0) return [inOrder(subject, text)];
  const others = grace.usedBy.map(({ source }) => source).join(", ");
  return [fault("signs-as-before", subject, text, `change the ${changedIn(grace)} of ${others} as well`)];
}

function deviceFindings(
  { name, addresses, index }: InterfaceView,
  { device }: InterfacesExamined,
): Finding[] {
  const facts = device(name);
  if (facts === undefined || index === 0) return [];
  const found: Finding[] = [];
  if (facts.rpFilter === 1)
    found.push(
      fault(
        "rp-filter",
        name,
        "rp_filter is strict: what arrives for the shared addresses is dropped",
        setting(name, "rp_filter=2"),
      ),
    );
  if (facts.ipv6IsDisabled !== false && addresses.some(({ family }) => family === 6))
    found.push(
      facts.ipv6IsDisabled
        ? fault(
            "ipv6-disabled",
            name,
            "IPv6 is disabled on it, and it has IPv6 addresses",
            `sysctl net.ipv6.conf.${name}.disable_ipv6=0`,
          )
        : fault(
            "no-ipv6",
            name,
            "this host has no IPv6, and it has IPv6 addresses",
            "start the kernel without ipv6.disable=1, or remove them",
          ),
    );
  return found;
}

function trafficFindings(view: InterfaceView, examined: InterfacesExamined): Finding[] {
  const { name: subject, balancing, nodes } = view;
  const found: Finding[] = [...sendFindings(view, examined.nowUs)];
  found.push(...discardFindings(view, examined), ...addressFindings(view, examined));
  const counts = examined.packets.find((each) => each.interface === subject);
  const accepted = counts?.nodes.reduce((sum, each) => sum + each.accepted, 0) ?? 0;
  const others = counts?.nodes.reduce((sum, each) => sum + each.droppedByHash, 0) ?? 0;
  const holdsAll = nodes.every(({ state }) => state === "MASTER");
  if (balancing === "ip-unicast" && !holdsAll && accepted >= TELLING_PACKETS && others === 0)
    found.push(
      fault(
        "switch-has-learned",
        subject,
        "no packet for other hosts arrives here: a switch has learned where the shared MAC is",
        "in mode ip-unicast have the switch send every frame to all hosts, or use balancing ip or ip-stealth",
      ),
    );
  return found;
}

function virtualHost(view: InterfaceView, node: NodeView, { nowUs, epochUs }: InterfacesExamined): Finding[] {
  const { name, advbase } = view;
  const { vhid, state, peers, heard, sinceUs, linkLocalConflict } = node;
  const subject = `${name} vhid ${vhid}`;
  const found: Finding[] = [];
  if (linkLocalConflict !== undefined && nowUs <= linkLocalConflict.untilUs)
    return [
      fault(
        "link-local-conflict",
        subject,
        linkLocalConflict.text,
        "take the link-local addresses off this vhid on every host",
      ),
    ];
  // A master that this host answered advertises no more after that.
  const contending = peers.filter((each) => goesOnAfter(sinceUs, each));
  if (state === "MASTER" && contending.length > 0) {
    const others = contending.map(({ source }) => source);
    return [twoMasters(subject, ["this host", ...others], `run 'carpctl doctor' on ${others.join(", ")}`)];
  }
  const families = Map.groupBy(peers, ({ source }) => source.includes(":"));
  const several = [...families.values()].map(goingOn).find((each) => each.length > 1);
  if (state === "BACKUP" && several !== undefined)
    return [
      twoMasters(
        subject,
        several.map(({ source }) => source),
        "run 'carpctl doctor' there",
      ),
    ];
  const unlike = peers.find((each) => each.advbase !== advbase);
  if (state === "BACKUP" && unlike !== undefined)
    found.push(
      fault(
        "other-advbase",
        subject,
        `${unlike.source} advertises with advbase ${unlike.advbase}, and this host would with ${advbase}`,
        "use the same advbase on every host of the vhid; advskew says which of them is preferred",
      ),
    );
  found.push(
    ...preferenceFindings(subject, advbase, node, nowUs),
    ...arrivalFindings(subject, node),
    ...familyFindings(subject, view, node, nowUs),
    ...clockFindings(subject, node, nowUs, epochUs),
  );
  // Not even a warning: a MASTER never hears its BACKUPs.
  const silence =
    state === "BACKUP"
      ? ", no master heard yet"
      : ", no other host heard: there may be none, a BACKUP does not advertise";
  const ago =
    heard === undefined
      ? silence
      : `, ${heard.source} heard ${Math.round((nowUs - heard.atUs) / SECOND)} s ago`;
  return [...found, inOrder(subject, `${state}${ago}`)];
}

/** The masters that go on beside the one that appeared last: one that was relieved by it does not. */
function goingOn(peers: readonly Peer[]): readonly Peer[] {
  const lastUs = Math.max(...peers.map(({ sinceUs = 0 }) => sinceUs));
  return peers.filter((each) => each.sinceUs === lastUs || goesOnAfter(lastUs, each));
}

function goesOnAfter(us: Micros, { advbase, advskew, atUs }: Peer): boolean {
  return atUs > us + 2 * Math.max(intervalUs(advbase, advskew), SECOND / 4);
}

/** Merges findings that are equal for several nodes into one. */
function merged(name: string, findings: readonly Finding[]): Finding[] {
  const alike = Map.groupBy(findings, ({ kind, text, todo }) => JSON.stringify([kind, text, todo]));
  return [...alike.values()].flatMap((group) => {
    const [first] = group;
    if (first === undefined) return [];
    const vhids = group.map(({ subject }) => subject.split(" ").at(-1)).join(", ");
    return [{ ...first, subject: group.length === 1 ? first.subject : `${name} vhids ${vhids}` }];
  });
}

/** All of them have the same pass and addresses: their advertisements were believed here. */
function twoMasters(subject: string, masters: readonly string[], todo: string): Finding {
  return fault(
    "several-masters",
    subject,
    `several masters advertise: ${masters.join(", ")}`,
    `one does not receive the other's advertisements, or refuses them: ${todo}, and look at packet filters and multicast snooping between them`,
  );
}
