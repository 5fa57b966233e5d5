/** Whole hosts beside each other: their variables, and whether what moves one segment's addresses moves the others'. */

import { named } from "./agreement.ts";
import { type Finding, finding, listed, placeText } from "./finding.ts";
import { type ConfiguredHost, type Member, nameOf, placeOf, variablePlace } from "./member.ts";
import { FACTORS, preferredOf, vhidsOf } from "./ranking.ts";
import type { Segment, Shared } from "./segments.ts";

const nameOfHost = ({ files }: ConfiguredHost): string => files.name;

/** @param hosts those with interfaces whose variables are known */
export function variablesFindings(hosts: readonly ConfiguredHost[]): Finding[] {
  return [
    ...hosts
      .filter(({ variables }) => variables.get("net.inet.carp.allow") === 0)
      .map((host) =>
        finding(
          "allow-off",
          variablePlace(host, "net.inet.carp.allow"),
          `net.inet.carp.allow is 0: ${nameOfHost(host)} hears no other host`,
        ),
      ),
    ...differing(hosts, "net.inet.carp.preempt", "preempt-differs"),
    ...FACTORS.flatMap((name) => differing(hosts, name, "factor-differs")),
  ];
}

/** Told once, where the variable is set on a host that is not like the first one, or else where it is set at all. */
function differing(
  hosts: readonly ConfiguredHost[],
  name: Parameters<typeof variablePlace>[1],
  kind: "preempt-differs" | "factor-differs",
): Finding[] {
  const byValue = [...Map.groupBy(hosts, ({ variables }) => variables.get(name))];
  if (byValue.length < 2) return [];
  const [first = [], ...others] = byValue.map(([, alike]) => alike);
  const candidates = [...others.flat(), ...first];
  const host = candidates.find((each) => variablePlace(each, name).line !== undefined) ?? candidates[0];
  if (host === undefined) return [];
  const words = byValue.map(([value, alike]) => `${value} on ${listed(alike.map(nameOfHost))}`);
  return [finding(kind, variablePlace(host, name), `${name} is ${listed(words)}`, hosts.map(nameOfHost))];
}

export function membershipFindings(shared: Shared, hosts: readonly ConfiguredHost[]): Finding[] {
  const [first, ...rest] = shared.members;
  if (first === undefined) return [];
  if (rest.length > 0) return groups(first, rest);
  // The interface may be in a file that could not be read.
  if (hosts.some((host) => !host.isComplete)) return [];
  const { configuration } = first;
  const vhids = configuration.nodes.map(({ vhid }) => vhid);
  return [
    finding(
      "alone",
      placeOf(first, "vhid", "carpnodes"),
      `${named(first)}, vhid ${listed(vhids.map(String))}, is on no other host`,
    ),
  ];
}

function groups(first: Member, rest: readonly Member[]): Finding[] {
  const groupsOf = (member: Member) => [...member.configuration.groups].sort().join(" ") || "no group";
  return rest
    .filter((member) => groupsOf(member) !== groupsOf(first))
    .map((member) =>
      finding(
        "groups-differ",
        placeOf(member, "group", "-group"),
        `${named(member)} is in ${groupsOf(member)}, and ${named(first)} in ${groupsOf(first)} (${placeText(placeOf(first, "group", "-group"))})`,
        [nameOf(first)],
      ),
    );
}

/** Whether the addresses of a host's segments would be at different hosts. */
export function togetherness(segments: readonly Segment[], hosts: readonly ConfiguredHost[]): Finding[] {
  return [...preferredApart(segments), ...hosts.flatMap((host) => faultsApart(host, segments))];
}

/** The preferred masters of a segment. */
interface Preferred {
  readonly example: Member;
  readonly hosts: string;
  /** Every host that has addresses there. */
  readonly all: readonly string[];
}

function preferredApart(segments: readonly Segment[]): Finding[] {
  const firstOf = new Map<string, Preferred>();
  return segments.flatMap((segment) => {
    const each = preferredOn(segment);
    if (each === undefined) return [];
    const key = [...each.all].sort().join();
    const first = firstOf.get(key) ?? each;
    firstOf.set(key, first);
    if (first.hosts === each.hosts) return [];
    return finding(
      "preferred-apart",
      placeOf(each.example, "advskew"),
      `${where(each.example)} prefers ${each.hosts}, and ${where(first.example)} ${first.hosts} (${placeText(placeOf(first.example, "advskew"))})`,
      each.all,
    );
  });
}

/** undefined: the segment has none, or none for one of its virtual hosts, which is a finding of its own. */
function preferredOn({ ports, shared }: Segment): Preferred | undefined {
  const hosts = new Set<string>();
  // Balanced hosts carry all segments together.
  const plain = shared.filter((each) => each.members.length > 1 && vhidsOf(each).length === 1);
  for (const each of plain) {
    const [vhid = 0] = vhidsOf(each);
    const [preferred, ...others] = preferredOf(each, vhid);
    if (preferred === undefined || others.length > 0) return undefined;
    hosts.add(nameOf(preferred));
  }
  const example = plain[0]?.members[0];
  if (example === undefined) return undefined;
  return { example, hosts: listed([...hosts].sort()), all: ports.map(({ host }) => host) };
}

function where({ configuration: { name, nodes, carpdev } }: Member): string {
  const vhids = nodes.map(({ vhid }) => vhid).join();
  return `vhid ${vhids} (${name}${carpdev === undefined ? "" : ` on ${carpdev}`})`;
}

/** Interfaces of a host with several segments whose faults demote no interface on another one. */
function faultsApart(host: ConfiguredHost, segments: readonly Segment[]): Finding[] {
  const factor = Math.min(...FACTORS.map((name) => host.variables.get(name)));
  if (factor > 0) return [];
  const own = segments.flatMap(({ shared }, segment) =>
    shared.flatMap(({ members }) =>
      members.flatMap((member) => (member.host === host && members.length > 1 ? { segment, member } : [])),
    ),
  );
  const groupSegments = new Map<string, Set<number>>();
  for (const { segment, member } of own)
    for (const group of member.configuration.groups)
      groupSegments.set(group, (groupSegments.get(group) ?? new Set()).add(segment));
  const count = new Set(own.map(({ segment }) => segment)).size;
  if (count < 2) return [];
  return own
    .filter(({ member }) => {
      const reached = new Set(
        member.configuration.groups.flatMap((group) => [...(groupSegments.get(group) ?? [])]),
      );
      return reached.size < count;
    })
    .map(({ member }) =>
      finding(
        "faults-apart",
        placeOf(member, "-group", "group"),
        `a fault of ${named(member)} demotes no interface of another segment: it is in no group with them, and a demotion factor is 0 (${placeText(variablePlace(host, FACTORS.find((name) => host.variables.get(name) === 0) ?? FACTORS[0]))})`,
      ),
    );
}
