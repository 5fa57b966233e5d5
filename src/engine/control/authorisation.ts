/**
 * Authorisation of control messages, by the credentials that the kernel reports for the peer of the socket,
 * never by a message's content. Every user may read; root and members of group `carp` may change; only root
 * may see or change secrets, and set the variables that decide what is defended and logged.
 */

import { INTERFACE_NAME } from "../../control/limits.ts";
import type { Method, Params } from "../../control/messages.ts";
import type { HostConfiguration } from "../../core/command.ts";
import type { InterfaceChange, InterfaceConfiguration } from "../../core/interface/configuration.ts";
import { changeOn, interfaceOn } from "../../core/interface/on-carpdev.ts";

export interface Peer {
  readonly uid: number;
  readonly gid: number;
  readonly groups: readonly number[];
}

/** Methods that change nothing that a client decides. */
export const READS: ReadonlySet<Method> = new Set([
  "hello",
  "monitor",
  "history",
  "doctor",
  "interfaces",
  "groups",
  "sysctl-get",
  "statistics",
  "configuration",
  "packets",
  "metrics",
  "demotion",
  // Every user may have the checks run: their result, not the caller, decides about a demotion.
  "service-status",
  "checks",
]);

/** Variables that only root may set: with them a member could open the host to others, or act unseen. */
const ROOT_VARIABLES: ReadonlySet<string> = new Set([
  "net.inet.carp.allow",
  "net.inet.carp.log",
  "net.inet.carp.strict_replay",
  "net.inet.carp.signed_header",
]);

/**
 * Whether a peer is root or a member of group `carp`.
 *
 * @param carpGroup id of group `carp`, where there is one
 */
export function isPrivileged(peer: Peer, carpGroup: number | undefined): boolean {
  if (peer.uid === 0) return true;
  return carpGroup !== undefined && (peer.gid === carpGroup || peer.groups.includes(carpGroup));
}

export function maySeeSecrets(peer: Peer): boolean {
  return peer.uid === 0;
}

/**
 * Why a peer may not call a method, as a message for the user; undefined when it may.
 *
 * @param carpGroup id of group `carp`, where there is one
 */
export function denial<M extends Method>(
  method: M,
  params: Params<M>,
  peer: Peer,
  carpGroup: number | undefined,
): string | undefined {
  if (READS.has(method) || peer.uid === 0) return undefined;
  const { what, secret, variable } = subject(method, params);
  if (method === "replace" || method === "replace-each" || method === "replace-all")
    return `permission denied: replacing ${what} and its pass needs root`;
  if (secret) return `permission denied: changing the pass of ${what} needs root`;
  if (variable !== undefined) return `permission denied: changing ${variable} needs root`;
  if (isPrivileged(peer, carpGroup)) return undefined;
  const orGroup = carpGroup === undefined ? "" : " or group carp";
  return `permission denied: changing ${what} needs root${orGroup}`;
}

/**
 * Root-only changes: why a change that `denial` allows needs root; undefined when every member of the group
 * may. An address that a pass protects stays under a pass: it would be free for an interface without one when it was
 * taken off its interface, or when the interface was destroyed, moved to another carpdev or given other vhids.
 */
export function exposure<M extends Method>(
  method: M,
  params: Params<M>,
  { interfaces }: HostConfiguration,
): string | undefined {
  const given = params as { name?: string; carpdev?: string; change?: InterfaceChange };
  const { present, change } = addressed(given, interfaces);
  if (present === undefined || present.pass === "") return undefined;
  const what = method === "destroy" ? `destroying ${present.name}` : takenFrom(present, change);
  return what && `permission denied: ${what}, which has a pass, needs root`;
}

/** The interface that a message is about, by its name or its carpdev, and the change in the interface's own words. */
function addressed(
  { name, carpdev, change = {} }: { name?: string; carpdev?: string; change?: InterfaceChange },
  interfaces: readonly InterfaceConfiguration[],
): { readonly present: InterfaceConfiguration | undefined; readonly change: InterfaceChange } {
  if (carpdev === undefined) return { present: interfaces.find((each) => each.name === name), change };
  const present = interfaceOn(carpdev, change, interfaces);
  const own = changeOn(carpdev, change, present);
  // The core refuses the others.
  return { present, change: "error" in own ? {} : own };
}

/** What a change takes from an interface, in words; undefined: nothing. */
function takenFrom(present: InterfaceConfiguration, change: InterfaceChange): string | undefined {
  const { name, addresses, carpdev, nodes } = present;
  const { addAddresses = [], removeAddresses = [], removeFamilies = [] } = change;
  const has = (address: string) => addresses.some((each) => each.address === address);
  const replacesFirst = addAddresses.some(
    (added) => added.family === 4 && !added.alias && !has(added.address),
  );
  const removes =
    removeAddresses.length > 0 ||
    addresses.some(({ family }) => removeFamilies.includes(family) || (family === 4 && replacesFirst));
  if (removes) return `removing an address of ${name}`;
  if (change.carpdev !== undefined && carpdev !== undefined && change.carpdev !== carpdev)
    return `moving ${name} to another carpdev`;
  const vhids =
    change.carpnodes?.map(({ vhid }) => vhid) ?? (change.vhid === undefined ? undefined : [change.vhid]);
  if (vhids !== undefined && nodes.some(({ vhid }) => !vhids.includes(vhid)))
    return `changing the vhid of ${name}`;
  return undefined;
}

interface Subject {
  /** What the message changes, as a denial names it. */
  readonly what: string;
  /** Whether it changes a pass. */
  readonly secret: boolean;
  /** The first variable that only root may set. */
  readonly variable?: string | undefined;
}

function subject(method: Method, params: unknown): Subject {
  const { name, carpdev, group, change, writes, replacements } = params as {
    name?: string;
    carpdev?: string;
    group?: string;
    change?: InterfaceChange;
    writes?: readonly { name: string }[];
    replacements?: readonly unknown[];
  };
  const secret = change?.pass !== undefined;
  switch (method) {
    case "create":
      return { what: name ?? "carp interfaces", secret };
    case "change-on":
      return {
        what:
          change?.vhid === undefined ? `carp interfaces on ${carpdev}` : `vhid ${change.vhid} on ${carpdev}`,
        secret,
      };
    case "demote-group":
      return { what: `group ${group}`, secret };
    case "demote":
    case "promote":
    case "demote-unit":
    case "promote-unit":
    case "unit-states":
    case "maintenance":
      return { what: "this host's demotion", secret };
    case "sysctl-set":
      return {
        what: writes?.[0]?.name ?? "variables",
        secret,
        variable: writes?.find((write) => ROOT_VARIABLES.has(write.name))?.name,
      };
    case "replace-each":
    case "replace-all":
      return { what: nameOfOne(replacements) ?? "the configuration", secret };
    default:
      return { what: name ?? "the configuration", secret };
  }
}

/** The interface that a single replacement is about, if it names one: it may not have been checked. */
function nameOfOne([one, ...others]: readonly unknown[] = []): string | undefined {
  if (typeof one !== "object" || one === null || !("name" in one) || others.length > 0) return undefined;
  return typeof one.name === "string" && INTERFACE_NAME.test(one.name) ? one.name : undefined;
}
