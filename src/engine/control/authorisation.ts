/**
 * Authorisation of control messages, by the credentials that the kernel reports for the peer of the socket,
 * never by a message's content. Every user may read; root and members of group `carp` may change; only root
 * may see or change secrets, and set the variables that decide what is defended and logged.
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

/** Variables that only root may set: with them a member could open the host to others, or act unseen. */
const ROOT_VARIABLES: ReadonlySet<string> = new Set([
  "net.inet.carp.allow",
  "net.inet.carp.log",
  "net.inet.carp.strict_replay",
  "net.inet.carp.signed_header",
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
  const { what, secret, variable } = subject(method, params);
  if (method === "replace") return `permission denied: replacing ${what} and its pass needs root`;
  if (secret) return `permission denied: changing the pass of ${what} needs root`;
  if (variable !== undefined) return `permission denied: changing ${variable} needs root`;
  const member = carpGroup !== undefined && (peer.gid === carpGroup || peer.groups.includes(carpGroup));
  if (member) return undefined;
  const orGroup = carpGroup === undefined ? "" : " or group carp";
  return `permission denied: changing ${what} needs root${orGroup}`;
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
      return {
        what: writes?.[0]?.name ?? "variables",
        secret,
        variable: writes?.find((write) => ROOT_VARIABLES.has(write.name))?.name,
      };
    default:
      return { what: name ?? "the configuration", secret };
  }
}
