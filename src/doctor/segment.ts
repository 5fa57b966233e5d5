/**
 * Judges what carp interfaces hear on their segment and do not believe: discarded advertisements, their own ones that
 * come back, peers that are this host itself, and VRRP. Pure: it sees only the views and facts it is given.
 */

import { type Finding, type FindingKind, fault, inOrder } from "../control/finding.ts";
import type { InterfaceView } from "../control/messages.ts";
import { recentWrongDigests } from "../control/wrong-digests.ts";
import { SECOND } from "../core/election/timing.ts";
import type { Family, Micros } from "../core/model.ts";
import type { DiscardView, OtherGroup } from "../core/view.ts";
import type { VirtualRouter } from "../core/virtual-routers.ts";
import type { LocalAddress } from "../kernel/inspection.ts";
import { multicastMac, virtualMac } from "../protocol/address.ts";

/** Packets received longer ago are not reported. */
const RECENT_US = 60 * SECOND;
/** A host that has been believed for so long since signs as this one does by now. */
const MENDED_US = 3 * SECOND;
/** Other CARP groups that are named. */
const MOST_GROUPS = 8;

export interface SegmentExamined {
  readonly nowUs: Micros;
  /** The addresses of this host. */
  readonly local: readonly LocalAddress[];
  /** The errno name of the last packet to this unicast peer, if it found no way there. */
  readonly unreached: (peer: string) => string | undefined;
}

/** One finding for each way in which packets are discarded, of those discarded lately. */
export function discardFindings(view: InterfaceView, examined: SegmentExamined): Finding[] {
  const peers = view.nodes.flatMap((node) => node.peers);
  const isMended = ({ cause, source, atUs }: DiscardView) =>
    cause === "digest" && peers.some((each) => each.source === source && each.atUs > atUs + MENDED_US);
  const recent = view.discarded.filter(
    (packet) => examined.nowUs - packet.atUs <= RECENT_US && !isMended(packet),
  );
  const wrong = recentWrongDigests(view, examined.nowUs).filter(
    ({ source }) => ownDevice(source, view, examined.local) === undefined,
  );
  const findings = recent.flatMap((packet): Finding[] => {
    // It is explained below.
    const isExplained = packet.cause === "digest" && wrong.some(({ source }) => source === packet.source);
    return isExplained ? [] : [discardFinding(view, packet, examined)];
  });
  for (const { vhid, source, cause, text, todo } of wrong) {
    const isOurs = view.nodes.some((node) => node.vhid === vhid);
    const subject = isOurs ? `${view.name} vhid ${vhid}` : view.name;
    const isPeer = view.nodes.some(({ peers }) => peers.some((each) => each.source === source));
    findings.push(
      cause === "vhid" && !isOurs && isPeer
        ? fault("digest-vhid", subject, ...nodeMore(view, source, vhid))
        : fault(`digest-${cause}`, subject, text, todo),
    );
  }
  // Several kinds of packets can tell the same.
  return findings.filter(({ text }, n) => findings.findIndex((each) => each.text === text) === n);
}

/** A host of this vhid has more carpnodes. @returns text and todo */
function nodeMore({ name, nodes }: InterfaceView, source: string, vhid: number) {
  const here = nodes.map((node) => node.vhid).join(", ");
  return [
    `${source} has carpnodes with vhid ${vhid} too, and ${name} here vhid ${here} alone`,
    "use the same carpnodes and balancing on every host",
  ] as const;
}

const LOOP_TODO =
  "look for a second path between switches (spanning tree), for a bond or team whose ports are not a group on the switch, and for mirrored ports";

function discardFinding(
  view: InterfaceView,
  { counter, cause, source, text, atUs }: DiscardView,
  { nowUs, local }: SegmentExamined,
): Finding {
  const { name: subject, carpdev = "" } = view;
  if (cause === "peer-unlisted") return unlistedPeer(view, source);
  const ago = `${Math.round((nowUs - atUs) / SECOND)} s ago`;
  const own = ownDevice(source, view, local);
  if (cause === "own" || (cause === "recorded" && own !== undefined))
    return fault("loop", subject, "its own advertisements come back: the network has a loop", LOOP_TODO);
  if (own !== undefined && own !== carpdev)
    return fault(
      "carpdevs-on-one-segment",
      subject,
      `it hears what this host itself sends on ${own}: ${carpdev} and ${own} are on one segment`,
      "give the carp interfaces of one segment different vhids, or the same carpdev",
    );
  if (own !== undefined)
    return fault(
      "address-twice",
      subject,
      `it discards packets from ${source}, its own address: another host has it too, or the network has a loop`,
      `look for the other host with ${source}; for a loop, ${LOOP_TODO}`,
    );
  const [kind, todo] = (cause && BY_CAUSE[cause]) ?? BY_COUNTER[counter] ?? (["malformed"] as const);
  return fault(kind, subject, `${text.replace(`${subject}: `, "")}: discarded ${ago}`, todo);
}

/** A host with the same pass and addresses that sends from an address which carppeer here does not name. */
function unlistedPeer(view: InterfaceView, source: string): Finding {
  const family = source.includes(":") ? 6 : 4;
  const word = family === 4 ? "carppeer" : "carppeer6";
  const peers = peersOf(view, family).join(",");
  return fault(
    "carppeer-unlisted",
    view.name,
    `${source} advertises to this host with the same pass and addresses, and is not believed: ${word} here is ${peers}`,
    `name it: carpctl ${view.name} ${word} ${peers},${source}; or have that host send from an address that is named (its carpdev's first one, without NAT on the way)`,
  );
}

type KindAndTodo = readonly [kind: FindingKind, todo: string];

const ONE_SIDED: KindAndTodo = ["carppeer-one-sided", "set carppeer on every host of the vhid, or on none"];

const BY_CAUSE: Readonly<Partial<Record<NonNullable<DiscardView["cause"]>, KindAndTodo>>> = {
  digest: [
    "wrong-digest",
    "a host of this vhid: give all of them the same pass, addresses and lladdr; a host of another group: give that group another vhid",
  ],
  recorded: [
    "replayed",
    "compare the clocks of the hosts; strict_replay and signed_header are for hosts that all run carpctl; if both are right, a recording is played back",
  ],
  "peer-here": ONE_SIDED,
  "peer-there": ONE_SIDED,
};

const BY_COUNTER: Readonly<Partial<Record<DiscardView["counter"], KindAndTodo>>> = {
  badChecksum: [
    "checksum",
    "where the sender is a virtual machine, its hypervisor may not fill in checksums that are left to it: 'ethtool -K DEVICE tx off' there; or a cable, port or driver damages packets",
  ],
  badTtl: ["ttl", "a host behind a router needs carppeer, on both hosts"],
  badVersion: ["carp-version", "the sender speaks another version of CARP, or another protocol"],
  badVhid: ["not-for-us", "compare carppeer and pass on the hosts of the vhid"],
};

/**
 * The device of this host that has the address of its own; of several, the carpdev. A shared address is every host's.
 */
function ownDevice(
  source: string,
  { carpdev, addresses }: InterfaceView,
  local: readonly LocalAddress[],
): string | undefined {
  if (addresses.some(({ address }) => address === source)) return undefined;
  const devices = local.filter(({ address }) => address === source).map(({ device }) => device);
  return devices.find((device) => device === carpdev) ?? devices[0];
}

/** Unicast peers that are this host itself or out of reach, and other hosts that have its address. */
export function addressFindings(view: InterfaceView, { local, unreached }: SegmentExamined): Finding[] {
  const { name: subject, addresses, nodes } = view;
  const isOwn = (text: string) => {
    const [address = ""] = text.split("%");
    return [...local, ...addresses].some((each) => each.address === address);
  };
  const findings: Finding[] = [];
  for (const family of [4, 6] as const) {
    const peers = peersOf(view, family);
    const word = family === 4 ? "carppeer" : "carppeer6";
    if (peers.length > 0 && peers.every(isOwn) && addresses.some((each) => each.family === family))
      findings.push(
        fault(
          "carppeer-is-here",
          subject,
          `${word} ${peers.join(",")} is this host itself: no other host hears it`,
          `name the other host: carpctl ${subject} ${word} ADDRESS`,
        ),
      );
    // A BACKUP sends nothing: its last packet is old.
    const sends = nodes.some(({ state }) => state === "MASTER");
    for (const peer of sends ? peers : []) {
      const error = unreached(peer);
      if (error !== undefined)
        findings.push(
          fault(
            "carppeer-unreachable",
            subject,
            `${word} ${peer} is out of reach: ${error === "ENETUNREACH" ? "there is no route to it" : "the last packet to it was refused"} (${error})`,
            `see 'ip route get ${peer}'`,
          ),
        );
    }
  }
  const sources = new Set(nodes.flatMap(({ peers }) => peers.map(({ source }) => source)));
  for (const source of sources)
    if (ownDevice(source, view, local) !== undefined)
      findings.push(
        fault(
          "address-twice",
          subject,
          `another host advertises from ${source}, which is an address of this host too`,
          "give every host an address of its own",
        ),
      );
  return findings;
}

/** The unicast peers of a family; none: it multicasts. */
export function peersOf({ carppeer, carppeer6 }: InterfaceView, family: Family): readonly string[] {
  return [family === 4 ? carppeer : carppeer6].flat().filter((peer) => peer !== undefined);
}

/** VRRP on a carpdev: routers that share the MAC of a carp interface there, each an error, and all others in one line. */
export function vrrpFindings(
  carpdev: string,
  on: readonly InterfaceView[],
  routers: readonly VirtualRouter[],
  nowUs: Micros,
): Finding[] {
  const recent = routers.filter((each) => each.carpdev === carpdev && nowUs - each.atUs <= RECENT_US);
  const findings: Finding[] = [];
  const others = new Set<number>();
  for (const router of recent) {
    const { number, version, source } = router;
    const clashing = on.find((view) => sharesMac(view, router));
    if (clashing === undefined) others.add(number);
    else
      findings.push(
        fault(
          "vrrp-number",
          `${clashing.name} vhid ${number}`,
          `a VRRP router (version ${version}, ${source}) has the same number, and so the same MAC ${virtualMac(number)}`,
          "use another vhid, or another number for the virtual router",
        ),
      );
  }
  if (others.size > 0)
    findings.push(
      inOrder(
        carpdev,
        `VRRP is here too, with MACs of its own (number ${[...others].sort((a, b) => a - b).join(", ")})`,
      ),
    );
  return findings;
}

/** The CARP groups of other hosts on a carpdev, in one line. */
export function groupFindings(carpdev: string, groups: readonly OtherGroup[], nowUs: Micros): Finding[] {
  const recent = groups.filter(({ atUs }) => nowUs - atUs <= RECENT_US);
  if (recent.length === 0) return [];
  const byVhid = [...Map.groupBy(recent, ({ vhid }) => vhid)].sort(([a], [b]) => a - b);
  const named = byVhid
    .slice(0, MOST_GROUPS)
    .map(([vhid, hosts]) => `${vhid} (${hosts[0]?.source}${hosts.length > 1 ? ", ..." : ""})`);
  const more = byVhid.length > MOST_GROUPS ? `, and ${byVhid.length - MOST_GROUPS} more` : "";
  return [inOrder(carpdev, `other CARP groups are here too, with vhid ${named.join(", ")}${more}`)];
}

/** VRRP over IPv4 uses CARP's virtual MACs, over IPv6 00:00:5e:00:02:NUMBER. */
function sharesMac({ lladdr, nodes: [leader] }: InterfaceView, { number, family }: VirtualRouter): boolean {
  if (family === 6 || leader?.vhid !== number) return false;
  return lladdr === virtualMac(number) || lladdr === multicastMac(number);
}
