/**
 * Who is preferred: the hosts of a virtual host in the order of their intervals, hosts of equal rank, the shares of
 * balanced hosts, and demotions that change nothing.
 */

import { intervalUs } from "../core/election/timing.ts";
import { named } from "./agreement.ts";
import { type Finding, finding, listed, placeText } from "./finding.ts";
import { type Member, nameOf, placeOf } from "./member.ts";
import type { Shared } from "./segments.ts";

/** What each kind of fault adds to the demotion of a host. */
export const FACTORS = [
  "net.inet.carp.ifdown_demotion_factor",
  "net.inet.carp.senderr_demotion_factor",
] as const;

export interface Rank {
  readonly member: Member;
  readonly advskew: number;
  readonly intervalUs: number;
}

/** The vhids of a shared interface, ascending. */
export function vhidsOf({ members }: Shared): number[] {
  const vhids = members.flatMap(({ configuration }) => configuration.nodes.map(({ vhid }) => vhid));
  return [...new Set(vhids)].sort((a, b) => a - b);
}

/** The hosts that have this vhid, the preferred one first. */
export function ranking({ members }: Shared, vhid: number): Rank[] {
  return members
    .flatMap((member) => {
      const node = member.configuration.nodes.find((each) => each.vhid === vhid);
      if (node === undefined) return [];
      const { advbase } = member.configuration;
      return [{ member, advskew: node.advskew, intervalUs: intervalUs(advbase, node.advskew) }];
    })
    .sort((a, b) => a.intervalUs - b.intervalUs);
}

/** Every host that has the smallest interval. */
export function preferredOf(shared: Shared, vhid: number): Member[] {
  const [first, ...rest] = ranking(shared, vhid);
  if (first === undefined) return [];
  return [first, ...rest.filter((each) => each.intervalUs === first.intervalUs)].map(({ member }) => member);
}

/** The part of the nodes that each host is preferred for, in the order of the hosts; of those of equal rank each a part. */
export function sharesOf(shared: Shared): Map<Member, number> {
  const vhids = vhidsOf(shared);
  const shares = new Map(shared.members.map((member) => [member, 0]));
  for (const vhid of vhids) {
    const preferred = preferredOf(shared, vhid);
    for (const member of preferred)
      shares.set(member, (shares.get(member) ?? 0) + 1 / preferred.length / vhids.length);
  }
  return shares;
}

export function rankingOf(shared: Shared): Finding[] {
  const { members } = shared;
  if (members.length < 2) return [];
  return [
    ...vhidsOf(shared).flatMap((vhid) => [
      ...equals(ranking(shared, vhid), vhid),
      ...weakDemotion(ranking(shared, vhid), vhid),
    ]),
    ...otherAdvbase(members),
    ...idle(shared),
  ];
}

/** One finding for each set of hosts with the same interval. */
function equals(ranks: readonly Rank[], vhid: number): Finding[] {
  return [...Map.groupBy(ranks, (each) => each.intervalUs).values()].flatMap((alike, at) => {
    const [first, second] = alike;
    if (first === undefined || second === undefined) return [];
    const isFirst = at === 0;
    const { advbase } = first.member.configuration;
    const rank = `advbase ${advbase} advskew ${first.advskew}`;
    const hosts = listed(alike.map(({ member }) => nameOf(member)));
    return finding(
      isFirst ? "no-preferred-master" : "equal-advskew",
      placeOf(second.member, "advskew", "carpnodes"),
      `vhid ${vhid} has ${rank} on ${hosts}${isFirst ? ": none is preferred" : ": none is the next"} (${placeText(placeOf(first.member, "advskew", "carpnodes"))})`,
      alike.map(({ member }) => nameOf(member)),
    );
  });
}

/** Told of each host whose advbase is not the preferred one's. */
function otherAdvbase(members: readonly Member[]): Finding[] {
  const least = Math.min(...members.map(({ configuration }) => configuration.advbase));
  const model = members.find(({ configuration }) => configuration.advbase === least);
  return members.flatMap((member) => {
    const { advbase } = member.configuration;
    if (model === undefined || advbase === least) return [];
    return finding(
      "advbase-differs",
      placeOf(member, "advbase"),
      `${named(member)} has advbase ${advbase}, and ${named(model)} ${least}: it waits ${3 * advbase} seconds or more for a master`,
      [nameOf(model)],
    );
  });
}

/** The greatest advskew that a demoted host advertises. */
const MOST_ADVSKEW = 240;

/** What a fault adds to the preferred master's advskew, and whom that does not put before it. */
function weakDemotion([first, ...rest]: readonly Rank[], vhid: number): Finding[] {
  if (first === undefined) return [];
  const { host, configuration } = first.member;
  const factors = FACTORS.map((name) => host.variables.get(name)).filter((factor) => factor > 0);
  // Demote counts alone, which every carpctl and OpenBSD compares.
  if (factors.length === 0) return [];
  const demoted = Math.max(first.advskew, Math.min(MOST_ADVSKEW, first.advskew + Math.min(...factors)));
  const demotedUs = intervalUs(configuration.advbase, demoted);
  return rest
    .filter((each) => each.intervalUs > first.intervalUs && each.intervalUs >= demotedUs)
    .map((each) =>
      finding(
        "demotion-too-small",
        placeOf(each.member, "advskew", "carpnodes"),
        `vhid ${vhid}: a fault leaves ${nameOf(first.member)} with advbase ${configuration.advbase} advskew ${demoted}, not behind ${nameOf(each.member)} with ${each.member.configuration.advbase} and ${each.advskew}: a host that compares these alone does not take over`,
        [nameOf(first.member)],
      ),
    );
}

function idle(shared: Shared): Finding[] {
  if (vhidsOf(shared).length < 2) return [];
  return [...sharesOf(shared)].flatMap(([member, share]) =>
    share > 0
      ? []
      : finding(
          "idle-host",
          placeOf(member, "carpnodes"),
          `${named(member)} is preferred for no node of ${vhidsOf(shared).join()}: it carries nothing while the others run`,
          shared.members.map(nameOf),
        ),
  );
}
