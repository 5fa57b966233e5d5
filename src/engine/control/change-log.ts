/**
 * The log's record of what clients changed: one line for each accepted change, with the user who made it. It must
 * never hold a pass.
 */

import { readFileSync } from "node:fs";
import type { InterfaceChange, Method, Params, Results } from "../../control/messages.ts";
import { printable } from "../../control/printable.ts";

/** Lists longer than this are told by their length. */
const MOST_LISTED = 4;

type Lines = {
  readonly [M in Method]?: (params: Params<M>, result: Results[M], by: string) => string | undefined;
};

/** Absent: the method changes nothing that a client decides, or is several of another. */
const lines: Lines = {
  create: (_, { name }, by) => `${name}: created by ${by}`,
  destroy: ({ name }, _, by) => `${name}: destroyed by ${by}`,
  change: ({ name, change }, _, by) => `${name}: changed by ${by}: ${wordsOf(change)}`,
  "change-on": ({ change }, { name, destroyed }, by) =>
    destroyed ? `${name}: destroyed by ${by}` : `${name}: changed by ${by}: ${wordsOf(change)}`,
  replace: ({ name, change, dryRun }, { changed }, by) =>
    changed && !dryRun ? `${name}: configured anew by ${by}: ${wordsOf(change)}` : undefined,
  "replace-all": ({ replacements }, replaced, by) =>
    replacements
      .filter((_, at) => (replaced[at] as { changed?: boolean } | undefined)?.changed)
      .map(({ name, change }) => `${name}: configured anew by ${by}: ${wordsOf(change)}`)
      .join("; ") || undefined,
  "sysctl-set": (_, changes, by) =>
    `variables: changed by ${by}: ${changes.map(({ name, from, to }) => `${name}: ${from} -> ${to}`).join(", ")}`,
  "demote-group": ({ group, by: step }, _, by) =>
    `group ${group}: carp demote count changed by ${by}: ${step > 0 ? "+" : ""}${step}`,
  demote: ({ reason, by: amount }, _, by) => `demotion: changed by ${by}: demote ${reason} ${amount}`,
  promote: ({ reason }, _, by) => `demotion: changed by ${by}: promote ${reason}`,
  "demote-unit": ({ unit, by: amount }, _, by) =>
    `demotion: changed by ${by}: demote --unit ${unit} ${amount}`,
  "promote-unit": ({ unit }, _, by) => `demotion: changed by ${by}: promote --unit ${unit}`,
  maintenance: ({ on }, _, by) => `demotion: changed by ${by}: maintenance ${on ? "on" : "off"}`,
};

/**
 * The line about an accepted request; undefined: it has changed nothing.
 *
 * @param uid of the client
 */
export function changeLine<M extends Method>(
  method: M,
  params: Params<M>,
  result: Results[M],
  uid: number,
): string | undefined {
  return lines[method]?.(params, result, userText(uid));
}

/** A change in the words of the command. */
function wordsOf(change: InterfaceChange): string {
  const words = Object.entries(change).flatMap(([key, value]) =>
    value === undefined ? [] : wordOf(key as keyof InterfaceChange, change),
  );
  return words.length === 0 ? "nothing" : words.join(", ");
}

function wordOf(key: keyof InterfaceChange, change: InterfaceChange): string | string[] {
  switch (key) {
    case "pass":
      return "pass";
    case "up":
      return change.up ? "up" : "down";
    case "addAddresses":
      return listed(
        change.addAddresses?.map(({ address, prefixLength }) => `${address}/${prefixLength}`),
        "added",
      );
    case "removeAddresses":
      return listed(change.removeAddresses, "removed");
    case "removeFamilies":
      return (change.removeFamilies ?? []).map((family) => (family === 4 ? "-inet" : "-inet6"));
    case "joinGroups":
      return (change.joinGroups ?? []).map((group) => `group ${group}`);
    case "leaveGroups":
      return (change.leaveGroups ?? []).map((group) => `-group ${group}`);
    case "carppeer":
    case "carppeer6":
      return change[key] === null ? `-${key}` : `${key} ${change[key]?.join()}`;
    case "carpnodes":
      return `carpnodes ${change.carpnodes?.map(({ vhid, advskew }) => `${vhid}:${advskew}`).join()}`;
    default:
      return change[key] === null ? `-${key}` : `${key} ${printable(change[key])}`;
  }
}

function listed(addresses: readonly string[] = [], done: string): string[] {
  if (addresses.length > MOST_LISTED) return [`${addresses.length} addresses ${done}`];
  return addresses.map((address) => `${address} ${done}`);
}

/** `root`, `alice (uid 1000)`, or the uid alone for a user whom /etc/passwd does not name. */
function userText(uid: number): string {
  if (uid === 0) return "root";
  const name = nameOf(uid);
  return name === undefined ? `uid ${uid}` : `${name} (uid ${uid})`;
}

function nameOf(uid: number): string | undefined {
  try {
    const entries = readFileSync("/etc/passwd", "utf8").split("\n");
    const name = entries.map((line) => line.split(":")).find(([, , id]) => id === String(uid))?.[0];
    return name === undefined ? undefined : printable(name);
  } catch {
    return undefined;
  }
}
