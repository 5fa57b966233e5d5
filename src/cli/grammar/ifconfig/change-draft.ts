/**
 * The change that a list of ifconfig words adds up to, while it is being read: an address is complete only
 * when every word that belongs to it has been read. Knows which word may follow which.
 */

import { looksLikeAddress } from "../../../config/address-word.ts";
import { type InterfaceChange, refusalOfAddress } from "../../../control/messages.ts";
import { printable } from "../../../control/printable.ts";
import { isUnicast } from "../../../control/unicast.ts";
import { isLinkLocal, parseAddress, splitScope } from "../../../protocol/address.ts";
import { classfulPrefixLength, prefixLengthOf } from "../../../protocol/subnet.ts";
import { isRefusal, type Refusal, refuse } from "../../outcome.ts";

export type Family = 4 | 6;
type AddressAction = "set" | "alias" | "delete";

interface AddressDraft {
  readonly family: Family;
  readonly address: string;
  prefixLength: number | undefined;
  broadcast: string | undefined;
  action: AddressAction;
}

export type MutableChange = { -readonly [K in keyof InterfaceChange]: InterfaceChange[K] };

export interface ChangeDraft {
  readonly change: MutableChange;
  readonly addresses: AddressDraft[];
  /** Addresses that were given with a scope, `fe80::1%carp1`. */
  readonly scoped: { readonly address: string; readonly scope: string }[];
  warnings: readonly string[];
  /** `inet`, `alias`...: an address has to be the next word. */
  expecting:
    | { readonly word: string; readonly family?: Family | undefined; readonly action: AddressAction }
    | undefined;
  create: boolean;
  destroy: boolean;
}

export function emptyDraft(): ChangeDraft {
  return {
    change: {},
    addresses: [],
    scoped: [],
    warnings: [],
    expecting: undefined,
    create: false,
    destroy: false,
  };
}

export function expectFamily(draft: ChangeDraft, family: Family, word: string): void {
  draft.expecting = { word, family, action: "set" };
}

/** `alias` and `delete` go before an address or behind it. */
export function takeAction(
  draft: ChangeDraft,
  action: "alias" | "delete",
  word: string,
  following: string | undefined,
): void {
  const last = draft.addresses.at(-1);
  const isPrefix = draft.expecting !== undefined || last === undefined || looksLikeAddress(following ?? "");
  if (isPrefix) draft.expecting = { word, family: draft.expecting?.family, action };
  else last.action = action;
}

/** ADDRESS[%SCOPE][/LEN], the word behind `inet` or `alias`, or the first address of the command. */
export function takeAddress(draft: ChangeDraft, word: string): Refusal | undefined {
  const [text = "", ...lengths] = word.split("/");
  const { address: unscoped, scope } = splitScope(text);
  const parsed = parseAddress(unscoped);
  const expected = draft.expecting;
  if (parsed === undefined) return refuse(`${printable(text)}: not an address`);
  if (expected?.family !== undefined && expected.family !== parsed.family) {
    return refuse(`${printable(text)}: not an IPv${expected.family} address`);
  }
  const { family, address } = parsed;
  const action = expected?.action ?? "set";
  if (scope !== undefined) {
    if (!isLinkLocal(address)) return refuse(`${printable(text)}: only a link-local address has a scope`);
    draft.scoped.push({ address, scope });
  }
  if (action !== "delete" && !isUnicast(address)) return refuse(`${address}: not a unicast address`);
  draft.expecting = undefined;
  draft.addresses.push({ family, address, prefixLength: undefined, broadcast: undefined, action });
  return lengths.length === 0 ? undefined : takePrefixLength(draft, lengths.join("/"));
}

/** A list of hosts without the scopes of link-local addresses in it, which are noted. */
export function withoutScopes(draft: ChangeDraft, hosts: string): string {
  const each = hosts.split(",").map((host) => {
    const { address: text, scope } = splitScope(host);
    const address = parseAddress(text)?.address;
    if (scope === undefined || address === undefined || !isLinkLocal(address)) return host;
    draft.scoped.push({ address, scope });
    return address;
  });
  return each.join();
}

export function takePrefixLength(draft: ChangeDraft, text: string): Refusal | undefined {
  const address = latestAddress(draft, "prefixlen");
  if (isRefusal(address)) return address;
  const longest = address.family === 4 ? 32 : 128;
  const length = /^[0-9]+$/.test(text) ? Number(text) : Number.NaN;
  if (!(length <= longest)) return refuse(`prefixlen ${printable(text)}: must be 0..${longest}`);
  address.prefixLength = length;
  return undefined;
}

export function takeNetmask(draft: ChangeDraft, text: string): Refusal | undefined {
  const address = latestAddress(draft, "netmask");
  if (isRefusal(address)) return address;
  if (address.family === 6) return refuse(`netmask ${printable(text)}: only for IPv4; IPv6 takes prefixlen`);
  const length = prefixLengthOf(text);
  if (!length)
    return refuse(`netmask ${printable(text)}: expected a netmask like 255.255.255.0 or 0xffffff00`);
  address.prefixLength = length;
  return undefined;
}

export function takeBroadcast(draft: ChangeDraft, text: string): Refusal | undefined {
  const address = latestAddress(draft, "broadcast");
  if (isRefusal(address)) return address;
  const parsed = parseAddress(text);
  if (address.family === 6) return refuse(`broadcast ${printable(text)}: only for IPv4`);
  if (parsed?.family !== 4) return refuse(`broadcast ${printable(text)}: not an IPv4 address`);
  address.broadcast = parsed.address;
  return undefined;
}

/** What a mask or length may be that has no keyword, in words for a person; undefined: it is neither. */
export function wordBehindAddress(draft: ChangeDraft, word: string): string | undefined {
  const last = draft.addresses.at(-1);
  if (last === undefined) return undefined;
  const { address, family } = last;
  const mask = family === 4 ? prefixLengthOf(word) : undefined;
  if (mask) return `netmask? write '${address}/${mask}' or '${address} netmask ${word}'`;
  if (/^[0-9]{1,3}$/.test(word))
    return `prefixlen? write '${address}/${word}' or '${address} prefixlen ${word}'`;
  return undefined;
}

function latestAddress(draft: ChangeDraft, word: string): AddressDraft | Refusal {
  return draft.addresses.at(-1) ?? refuse(`${word}: needs an address before it`);
}

/** `-inet`, `-inet6`: also takes back what the words before it said about that family. */
export function takeFamilyAway(draft: ChangeDraft, family: Family): void {
  const others = draft.addresses.filter((each) => each.family !== family);
  draft.addresses.splice(0, draft.addresses.length, ...others);
  draft.change.removeFamilies = [...new Set([...(draft.change.removeFamilies ?? []), family])];
}

/** Adds a later draft, as if both had been the words of one command. */
export function append(draft: ChangeDraft, later: ChangeDraft): void {
  const { removeFamilies = [], joinGroups = [], leaveGroups = [], ...others } = later.change;
  for (const family of removeFamilies) takeFamilyAway(draft, family);
  for (const group of leaveGroups) moveGroup(draft, "leaveGroups", group);
  for (const group of joinGroups) moveGroup(draft, "joinGroups", group);
  Object.assign(draft.change, others);
  draft.addresses.push(...later.addresses.map((each) => ({ ...each })));
  draft.scoped.push(...later.scoped);
}

/** The last word about a group counts. */
export function moveGroup(draft: ChangeDraft, into: "joinGroups" | "leaveGroups", group: string): void {
  const outOf = into === "joinGroups" ? "leaveGroups" : "joinGroups";
  const remaining = draft.change[outOf]?.filter((each) => each !== group) ?? [];
  if (remaining.length > 0) draft.change[outOf] = remaining;
  else delete draft.change[outOf];
  draft.change[into] = [...new Set([...(draft.change[into] ?? []), group])];
}

/**
 * The change, with the addresses in it; each address as the last word about it says.
 *
 * @param name of the interface, which is the scope of its link-local addresses; of the carpdev in FreeBSD's form
 */
export function finish(draft: ChangeDraft, name: string): InterfaceChange | Refusal {
  for (const { address, scope } of draft.scoped)
    if (scope !== name) return refuse(`${address}%${printable(scope)}: the scope must be ${name}`);
  if (draft.expecting !== undefined) return refuse(`${draft.expecting.word}: needs an address`);
  const addresses = lastWordOnEach(draft.addresses);
  const added = addresses.filter(({ action }) => action !== "delete");
  const removed = addresses.filter(({ action }) => action === "delete").map(({ address }) => address);
  const change = { ...draft.change };
  if (removed.length > 0) change.removeAddresses = removed;
  if (added.length === 0) return change;
  change.addAddresses = [];
  for (const address of added) {
    const complete = completed(address);
    if (isRefusal(complete)) return complete;
    change.addAddresses.push(complete);
  }
  return change;
}

/**
 * An address replaces itself; an IPv4 address without `alias` replaces the one before it without `alias`, in its
 * place.
 */
function lastWordOnEach(addresses: readonly AddressDraft[]): AddressDraft[] {
  // An interface may have thousands: a place is left empty instead of moving what is behind it.
  const places: (AddressDraft | undefined)[] = [];
  const placeOf = new Map<string, number>();
  let first: string | undefined;
  for (const each of addresses) {
    const { address } = each;
    const isFirst = each.family === 4 && each.action === "set";
    const replaced = [address, ...(isFirst && first !== undefined ? [first] : [])];
    const taken = replaced.flatMap((text) => placeOf.get(text) ?? []);
    for (const place of taken) places[place] = undefined;
    for (const text of replaced) placeOf.delete(text);
    const place = taken.length > 0 ? Math.min(...taken) : places.length;
    places[place] = each;
    placeOf.set(address, place);
    if (isFirst) first = address;
    else if (first === address) first = undefined;
  }
  return places.filter((each) => each !== undefined);
}

type AddedAddress = NonNullable<InterfaceChange["addAddresses"]>[number];

function completed({
  family,
  address,
  prefixLength,
  broadcast,
  action,
}: AddressDraft): AddedAddress | Refusal {
  const alias = action === "alias";
  const added: AddedAddress =
    family === 6
      ? { family, address, prefixLength: prefixLength ?? 64, alias }
      : {
          family,
          address,
          prefixLength: prefixLength ?? classfulPrefixLength(address),
          ...(broadcast === undefined ? {} : { broadcast }),
          alias,
        };
  const refusal = refusalOfAddress(added);
  return refusal === undefined ? added : refuse(refusal);
}
