/**
 * Authorisation of control messages, by the credentials that the kernel reports for the peer of the socket,
 * never by a message's content. Every user may read; root and members of group `carp` may change; only root
 * may see or change secrets.
 */

import type { InterfaceChange, Method, Params } from "../../control/messages.ts";

export interface Peer {
  readonly uid: number;
  readonly gid: number;
  readonly groups: readonly number[];
}

const READS: ReadonlySet<Method> = new Set([
  "hello",
  "monitor",
  "doctor",
  "interfaces",
  "groups",
  "sysctl-get",
  "statistics",
  "configuration",
  "packets",
  "demotion",
  // Every user may have the checks run: their result, not the caller, decides about a demotion.
  "service-status",
]);

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
  const { what, secret } = subject(method, params);
  if (method === "replace") return `permission denied: replacing ${what} and its pass needs root`;
  if (secret) return `permission denied: changing the pass of ${what} needs root`;
  const member = carpGroup !== undefined && (peer.gid === carpGroup || peer.groups.includes(carpGroup));
  if (member) return undefined;
  const orGroup = carpGroup === undefined ? "" : " or group carp";
  return `permission denied: changing ${what} needs root${orGroup}`;
}

function subject(method: Method, params: unknown): { what: string; secret: boolean } {
  const { name, group, change, writes } = params as {
    name?: string;
    group?: string;
    change?: InterfaceChange;
    writes?: readonly { name: string }[];
  };
  const secret = change?.pass !== undefined;
  switch (method) {
    case "create":
      return { what: name ?? "carp interfaces", secret };
    case "demote-group":
      return { what: `group ${group}`, secret };
    case "demote":
    case "promote":
    case "maintenance":
      return { what: "this host's demotion", secret };
    case "sysctl-set":
      return { what: writes?.[0]?.name ?? "variables", secret };
    default:
      return { what: name ?? "the configuration", secret };
  }
}
