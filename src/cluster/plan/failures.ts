/** The single failures of a cluster: each host dies, loses each carpdev, is demoted or maintained; each segment splits. */

import type { Command } from "../../core/command.ts";
import type { Segment } from "../segments.ts";
import { type Cluster, carpdevOn } from "./cluster.ts";

export type Failure =
  | { readonly kind: "dies" | "demoted" | "maintained"; readonly host: string }
  | { readonly kind: "loses"; readonly host: string; readonly carpdev: string }
  | {
      readonly kind: "split";
      /** The number of the segment. */
      readonly segment: number;
      /** The segment by the name of its carpdev on the first host. */
      readonly carpdev: string;
      /** The hosts that still reach each other, in the order of the cluster. */
      readonly parts: readonly [readonly string[], readonly string[]];
    };

export function failuresOf({ hosts, segments }: Cluster): Failure[] {
  const ofHosts = hosts
    .filter(({ members }) => members.length > 0)
    .flatMap(({ files: { name: host } }): Failure[] => [
      { kind: "dies", host },
      ...segments.flatMap((segment, at) => {
        const carpdev = carpdevOn(segment, host, at);
        return carpdev === undefined ? [] : [{ kind: "loses", host, carpdev } as const];
      }),
      { kind: "demoted", host },
      { kind: "maintained", host },
    ]);
  return [...ofHosts, ...segments.flatMap(splitsOf)];
}

/** With more hosts on a segment only one is separated from the others. */
const MOST_HOSTS_SPLIT = 4;

function splitsOf(segment: Segment, at: number): Failure[] {
  const hosts = segment.ports.map(({ host }) => host);
  const [first = ""] = hosts;
  const carpdev = carpdevOn(segment, first, at) ?? "";
  return partsOf(hosts).map((parts) => ({ kind: "split", segment: at, carpdev, parts }));
}

/** Each way to separate the hosts into two parts, those of a single host first. */
function partsOf(hosts: readonly string[]): (readonly [string[], string[]])[] {
  const sets: (readonly string[])[] =
    hosts.length > MOST_HOSTS_SPLIT
      ? hosts.map((host) => [host])
      : // Without the last host: its part is the other one.
        Array.from({ length: Math.max(0, 2 ** (hosts.length - 1) - 1) }, (_, bits) =>
          hosts.filter((_host, at) => ((bits + 1) >> at) & 1),
        );
  return sets
    .map(
      (set) =>
        [hosts.filter((host) => set.includes(host)), hosts.filter((host) => !set.includes(host))] as const,
    )
    .map(([one, other]) => (other.length < one.length ? ([other, one] as const) : ([one, other] as const)))
    .sort(([a], [b]) => a.length - b.length || hosts.indexOf(a[0] ?? "") - hosts.indexOf(b[0] ?? ""));
}

/** By as little as can be: whatever demotes a host demotes it by as much or more. */
const DEMOTION = { reason: "plan", by: 1 } as const;

/** The command that begins the failure or ends it; undefined: none does. */
export function commandOf({ kind }: Failure, isOver: boolean): Command | undefined {
  switch (kind) {
    case "demoted":
      return isOver ? { kind: "promote", reason: DEMOTION.reason } : { kind: "demote", ...DEMOTION };
    case "maintained":
      return { kind: "maintenance", on: !isOver };
    default:
      return undefined;
  }
}
