/**
 * What the hosts of a virtual host must have alike: pass, addresses, nodes, balancing mode and MAC address. Says that
 * passes differ, and never what they are.
 */

import { CARPDEV_MAC } from "../core/interface/configuration.ts";
import { isLinkLocal, virtualMac } from "../protocol/address.ts";
import { keyOf } from "../protocol/authentication.ts";
import { broadcastOf } from "../protocol/subnet.ts";
import { type Finding, finding, type Kind, listed, placeText } from "./finding.ts";
import { type Member, nameOf, placeOf } from "./member.ts";
import type { Segment, Shared } from "./segments.ts";

export function agreementOn(shared: Shared): Finding[] {
  const { members } = shared;
  return [
    ...passes(members),
    ...identities(members),
    ...masks(members),
    ...balancing(members),
    ...macs(members),
  ];
}

/** Vhids of a segment that two of its shared interfaces have. */
export function reusedVhids({ shared }: Segment): Finding[] {
  const findings: Finding[] = [];
  const firstOf = new Map<number, Member>();
  for (const { members } of shared) {
    const own = new Map<number, Member>();
    for (const member of members)
      for (const { vhid } of member.configuration.nodes) {
        const first = firstOf.get(vhid);
        if (first !== undefined && !own.has(vhid))
          findings.push(
            finding(
              "vhid-reused",
              placeOf(member, "vhid", "carpnodes"),
              `${named(member)} has vhid ${vhid}, which ${named(first)} has on the same segment (${placeText(placeOf(first, "vhid", "carpnodes"))})`,
              [nameOf(first)],
            ),
          );
        if (!own.has(vhid)) own.set(vhid, member);
      }
    for (const [vhid, member] of own) if (!firstOf.has(vhid)) firstOf.set(vhid, member);
  }
  return findings;
}

function passes(members: readonly Member[]): Finding[] {
  const known = members.filter(({ file, configuration }) => file.passIsKnown || configuration.pass !== "");
  const unknown = members.filter((member) => !known.includes(member));
  const differing = outliers(known, ({ configuration: { pass } }) =>
    Buffer.from(keyOf(pass)).toString("hex"),
  );
  return [
    ...differing.map(({ member, model }) =>
      finding(
        "pass-differs",
        placeOf(member, "pass", "passfile"),
        `the pass of ${named(member)} is not the one of ${named(model)} (${placeText(placeOf(model, "pass", "passfile"))})`,
        [nameOf(model)],
      ),
    ),
    ...(members.length < 2 ? [] : unknown).map((member) =>
      finding(
        "pass-unknown",
        placeOf(member, "passfile"),
        `the pass of ${named(member)} was not read, and is not compared`,
      ),
    ),
  ];
}

/** Addresses and vhids: what makes interfaces one virtual host. */
function identities(members: readonly Member[]): Finding[] {
  const models = nodesOutliers(members);
  const sameNumbers = members.filter((member) => !models.some((each) => each.member === member));
  return [...models.map(nodesFinding), ...addresses(sameNumbers)];
}

interface Outlier {
  readonly member: Member;
  /** A member that most of the others are like. */
  readonly model: Member;
}

function nodesOutliers(members: readonly Member[]): Outlier[] {
  return outliers(members, (member) => vhidsOf(member).join());
}

function nodesFinding({ member, model }: Outlier): Finding {
  const [own, other] = [vhidsOf(member), vhidsOf(model)];
  const isBalanced = own.length > 1 || other.length > 1;
  const words = (vhids: readonly number[]) =>
    vhids.length > 1 ? `nodes ${vhids.join()}` : `vhid ${vhids.join()}`;
  return finding(
    isBalanced ? "carpnodes-differ" : "vhid-differs",
    placeOf(member, "vhid", "carpnodes"),
    `${named(member)} has ${words(own)}, and ${named(model)} has ${words(other)} for ${isBalanced ? "the same interface" : listed(commonAddresses(member, model))} (${placeText(placeOf(model, "vhid", "carpnodes"))})`,
    [nameOf(model)],
  );
}

function commonAddresses(a: Member, b: Member): string[] {
  const others = new Set(b.configuration.addresses.map(({ address }) => address));
  return a.configuration.addresses.map(({ address }) => address).filter((address) => others.has(address));
}

function addresses(members: readonly Member[]): Finding[] {
  const [first, ...rest] = members;
  const stranger = first && rest.find((member) => isDisjoint(first, member));
  if (first !== undefined && stranger !== undefined) {
    const texts = (member: Member) => listed(globalAddresses(member));
    return [
      finding(
        "vhid-reused",
        placeOf(stranger, "vhid", "carpnodes"),
        `vhid ${listed(vhidsOf(first).map(String))} is ${texts(stranger)} on ${nameOf(stranger)}, and ${texts(first)} on ${nameOf(first)} (${placeText(placeOf(first, "vhid", "carpnodes"))})`,
        [nameOf(first)],
      ),
    ];
  }
  return [
    ...missing(members, "addresses-differ", (address) => !isLinkLocal(address)),
    ...missing(members, "link-locals-differ", isLinkLocal),
  ];
}

function globalAddresses({ configuration }: Member): string[] {
  return configuration.addresses.map(({ address }) => address).filter((address) => !isLinkLocal(address));
}

/** Interfaces that have link-local addresses alone may have others of them. */
function isDisjoint(a: Member, b: Member): boolean {
  const own = new Set(globalAddresses(a));
  const others = globalAddresses(b);
  return own.size > 0 && others.length > 0 && !others.some((address) => own.has(address));
}

/** Told where most hosts lack it: an address is too many there; else where it is missing. */
function missing(
  members: readonly Member[],
  kind: Kind,
  isCompared: (address: string) => boolean,
): Finding[] {
  const holders = new Map<string, Member[]>();
  for (const member of members)
    for (const { address } of member.configuration.addresses) {
      if (!isCompared(address)) continue;
      const others = holders.get(address);
      if (others === undefined) holders.set(address, [member]);
      else others.push(member);
    }
  const extra = new Map<Member, string[]>();
  const lacking = new Map<Member, string[]>();
  const note = (to: Map<Member, string[]>, member: Member, address: string) =>
    to.set(member, [...(to.get(member) ?? []), address].slice(0, MOST_TOLD));
  for (const [address, having] of holders) {
    if (having.length === members.length) continue;
    const without = members.filter((member) => !having.includes(member));
    if (having.length > without.length) for (const member of without) note(lacking, member, address);
    else for (const member of having) note(extra, member, address);
  }
  const others = (member: Member, list: readonly string[], has: boolean) =>
    members.filter(
      (each) =>
        each !== member && list.some((address) => (holders.get(address)?.includes(each) ?? false) === has),
    );
  const found: Finding[] = [];
  for (const [member, list] of extra) {
    const without = others(member, list, false);
    const place = without[0] === undefined ? "" : ` (${placeText(placeOf(without[0]))})`;
    found.push(
      finding(
        kind,
        placeOf(member, ...list),
        `${listed(list)} of ${named(member)} ${isAre(list)} not on ${listed(without.map(nameOf))}${place}`,
        without.map(nameOf),
      ),
    );
  }
  for (const [member, list] of lacking) {
    const having = others(member, list, true);
    const place = having[0] === undefined ? "" : ` (${placeText(placeOf(having[0], ...list))})`;
    found.push(
      finding(
        kind,
        placeOf(member),
        `${named(member)} lacks ${listed(list)}, which ${listed(having.map(nameOf))} ${having.length > 1 ? "have" : "has"}${place}`,
        having.map(nameOf),
      ),
    );
  }
  return found;
}

/** A finding names a few; this many are kept for it. */
const MOST_TOLD = 64;

function isAre(list: readonly unknown[]): string {
  return list.length > 1 ? "are" : "is";
}

function masks(members: readonly Member[]): Finding[] {
  const findings: Finding[] = [];
  const [first, ...rest] = members;
  if (first === undefined) return [];
  const known = new Map(first.configuration.addresses.map((each) => [each.address, { member: first, each }]));
  for (const member of rest)
    for (const each of member.configuration.addresses) {
      const other = known.get(each.address);
      if (other === undefined) {
        known.set(each.address, { member, each });
        continue;
      }
      const differs = (what: string, own: unknown, theirs: unknown) =>
        finding(
          "masks-differ",
          placeOf(member, each.address),
          `${each.address} has ${what} ${own} on ${nameOf(member)}, and ${theirs} on ${nameOf(other.member)} (${placeText(placeOf(other.member, each.address))})`,
          [nameOf(other.member)],
        );
      if (each.prefixLength !== other.each.prefixLength)
        findings.push(differs("prefix length", each.prefixLength, other.each.prefixLength));
      else if (broadcastOf(each) !== broadcastOf(other.each))
        findings.push(
          differs("broadcast address", broadcastOf(each) ?? "none", broadcastOf(other.each) ?? "none"),
        );
    }
  return findings;
}

function balancing(members: readonly Member[]): Finding[] {
  const modeOf = ({ configuration: { balancing: mode, nodes } }: Member) =>
    nodes.length < 2 ? "none" : mode === "none" ? "ip" : mode;
  // With other nodes that is the mistake.
  const several = members.filter(({ configuration }) => configuration.nodes.length > 1);
  return outliers(several, modeOf).map(({ member, model }) =>
    finding(
      "balancing-differs",
      placeOf(member, "balancing", "carpnodes"),
      `${named(member)} has balancing ${modeOf(member)}, and ${named(model)} ${modeOf(model)} (${placeText(placeOf(model, "balancing", "carpnodes"))})`,
      [nameOf(model)],
    ),
  );
}

function macs(members: readonly Member[]): Finding[] {
  const macOf = ({ configuration: { lladdr, nodes } }: Member) =>
    lladdr === undefined || lladdr === virtualMac(nodes[0]?.vhid ?? 1) ? "the virtual MAC" : lladdr;
  const words = (mac: string) => (mac === CARPDEV_MAC ? "its carpdev's MAC" : mac);
  return outliers(members, macOf).map(({ member, model }) => {
    const both = [macOf(member), macOf(model)];
    const isByHand = both.some((mac) => mac.includes(":"));
    return finding(
      isByHand ? "lladdr-differs" : "lladdr-mixed",
      placeOf(member, "lladdr"),
      `${named(member)} has ${words(both[0] ?? "")}, and ${named(model)} ${words(both[1] ?? "")} (${placeText(placeOf(model, "lladdr"))})`,
      [nameOf(model)],
    );
  });
}

/** The members that are not as most are, or as the first one where none are most. */
function outliers(members: readonly Member[], likeness: (member: Member) => string): Outlier[] {
  const alike = Map.groupBy(members, likeness);
  const [most = []] = [...alike.values()].sort((a, b) => b.length - a.length);
  const [model] = most;
  if (model === undefined) return [];
  return members.filter((member) => !most.includes(member)).map((member) => ({ member, model }));
}

function vhidsOf({ configuration }: Member): number[] {
  return configuration.nodes.map(({ vhid }) => vhid);
}

/** `b's carp0`. */
export function named(member: Member): string {
  return `${nameOf(member)}'s ${member.configuration.name}`;
}
