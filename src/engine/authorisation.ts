/**
 * Who may do what, judged by what the kernel says of the process at the other end of the socket, never by what a
 * message says. Anybody may read; root and the members of group `carp` may change; secrets are root's.
 */

import type { InterfaceChange, Method, Params } from "../control/messages.ts";

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
  // Anybody may make the host look at itself; what follows is not up to him.
  "service-status",
]);

export function maySeeSecrets(peer: Peer): boolean {
  return peer.uid === 0;
}

/**
 * @param carpGroup id of group `carp`, where there is one
 * @returns why the peer may not, as a person should read it; undefined when it may
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
