/**
 * Unicast peers: whether the lists of the hosts fit together. The hosts' own addresses are not in the files: the lists
 * fit when every host can have one of the addresses so that all others list it.
 */

import { configuredPeers } from "../core/interface/unicast-peers.ts";
import type { Family } from "../core/model.ts";
import { named } from "./agreement.ts";
import { type Finding, finding, listed, placeText } from "./finding.ts";
import { type Member, nameOf, placeOf } from "./member.ts";
import type { Shared } from "./segments.ts";

export function unicastFindings({ members }: Shared): Finding[] {
  return ([4, 6] as const).flatMap((family) => {
    // The peers of a family without addresses are not used.
    const using = members.filter(({ configuration }) =>
      configuration.addresses.some((each) => each.family === family),
    );
    return [...sharedPeers(using, family), ...(oneSided(using, family) ?? notMirrored(using, family))];
  });
}

const words = (family: Family) => (family === 4 ? ["carppeer", "peer"] : ["carppeer6", "peer6"]);
const peersOf = (member: Member, family: Family) => configuredPeers(family, member.configuration);

function peerPlace(member: Member, family: Family) {
  return placeOf(member, ...words(family));
}

function sharedPeers(members: readonly Member[], family: Family): Finding[] {
  return members.flatMap((member) => {
    const shared = new Set(
      members.flatMap(({ configuration }) => configuration.addresses.map((each) => each.address)),
    );
    const wrong = (peersOf(member, family) ?? []).filter((peer) => shared.has(peer));
    if (wrong.length === 0) return [];
    return finding(
      "peer-is-shared",
      peerPlace(member, family),
      `${words(family)[0]} ${listed(wrong)} of ${named(member)} is an address that the hosts share`,
    );
  });
}

function oneSided(members: readonly Member[], family: Family): Finding[] | undefined {
  const unicast = members.filter((member) => peersOf(member, family) !== undefined);
  if (unicast.length === 0 || unicast.length === members.length) return undefined;
  const [model] = unicast;
  if (model === undefined) return undefined;
  return members
    .filter((member) => !unicast.includes(member))
    .map((member) =>
      finding(
        "peers-one-sided",
        placeOf(member),
        `${named(member)} advertises to the IPv${family} multicast group, and ${listed(unicast.map(nameOf))} to ${words(family)[0]} (${placeText(peerPlace(model, family))})`,
        unicast.map(nameOf),
      ),
    );
}

function notMirrored(members: readonly Member[], family: Family): Finding[] {
  const lists = members.map((member) => new Set(peersOf(member, family) ?? []));
  const [first] = members;
  if (members.length < 2 || first === undefined || lists.every(({ size }) => size === 0)) return [];
  const all = [...new Set(lists.flatMap((list) => [...list]))];
  const candidates = candidatesFor(lists);
  if (oneEach(candidates) !== undefined) return [];
  // Whose address it is may leave it out; two hosts that do cannot both be that one.
  const omitted = all
    .map((address) => ({ address, by: members.filter((_, at) => !lists[at]?.has(address)) }))
    .filter(({ by }) => by.length > 1);
  if (omitted.length === 0) {
    const [at] = candidates.flatMap((own, index) => (own.length === 0 ? [index] : []));
    const member = members[at ?? members.length - 1] ?? first;
    return [
      finding(
        "peers-not-mirrored",
        peerPlace(member, family),
        `the ${words(family)[0]} lists of ${listed(members.map(nameOf))} name too few hosts, ${listed(all)}: each must list all others, by their own addresses`,
        members.map(nameOf),
      ),
    ];
  }
  return omitted.map(({ address, by }) => {
    const member = by.at(-1) ?? first;
    return finding(
      "peers-not-mirrored",
      peerPlace(member, family),
      `${listed(by.map(nameOf))} do not list ${address} as ${words(family)[0]}: only the host that has it may leave it out`,
      by.map(nameOf),
    );
  });
}

/**
 * The address of its own that each host has by the lists of the others; undefined: none fit, or there are no lists.
 */
export function ownAddresses(members: readonly Member[], family: Family): readonly string[] | undefined {
  const lists = members.map((member) => new Set(peersOf(member, family) ?? []));
  return oneEach(candidatesFor(lists));
}

/** For each list the addresses that all others have. */
function candidatesFor(lists: readonly ReadonlySet<string>[]): string[][] {
  const all = [...new Set(lists.flatMap((list) => [...list]))];
  return lists.map((_, at) =>
    all.filter((address) => lists.every((list, other) => other === at || list.has(address))),
  );
}

/** One of its candidates for each place, and none twice; undefined: that cannot be. */
function oneEach(candidates: readonly (readonly string[])[]): string[] | undefined {
  const ownerOf = new Map<string, number>();
  const place = (at: number, tried: Set<string>): boolean => {
    for (const address of candidates[at] ?? []) {
      if (tried.has(address)) continue;
      tried.add(address);
      const owner = ownerOf.get(address);
      if (owner !== undefined && !place(owner, tried)) continue;
      ownerOf.set(address, at);
      return true;
    }
    return false;
  };
  if (!candidates.every((_, at) => place(at, new Set()))) return undefined;
  const owned = [...ownerOf].sort(([, a], [, b]) => a - b);
  return owned.map(([address]) => address);
}
