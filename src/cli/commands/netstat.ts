/**
 * `netstat`: the statistics of the host or of one interface, in the lines of OpenBSD's `netstat -s -p carp`:
 * one table has the wording of each. For one interface the repairs and the packet counts of the data path
 * follow.
 */

import type { Packets, StatisticName, Statistics } from "../../control/messages.ts";
import { type CommandContext, withEngine } from "../context.ts";
import { done, json, type Outcome } from "../outcome.ts";

type Line = (count: number, plural: "" | "s") => string;

/** In the order of printing. Some lines of the original have no plural, one has it in an odd place. */
const LINES: Record<StatisticName, Line> = {
  receivedIpv4: (count, s) => `\t${count} packet${s} received (IPv4)`,
  receivedIpv6: (count, s) => `\t${count} packet${s} received (IPv6)`,
  badInterface: (count, s) => `\t\t${count} packet${s} discarded for bad interface`,
  badTtl: (count, s) => `\t\t${count} packet${s} discarded for wrong TTL`,
  shorterThanHeader: (count, s) => `\t\t${count} packet${s} shorter than header`,
  badChecksum: (count, s) => `\t\t${count} discarded for bad checksum${s}`,
  badVersion: (count, s) => `\t\t${count} discarded packet${s} with a bad version`,
  tooShort: (count) => `\t\t${count} discarded because packet too short`,
  badAuthentication: (count) => `\t\t${count} discarded for bad authentication`,
  badVhid: (count) => `\t\t${count} discarded for unknown vhid`,
  badAddressList: (count) => `\t\t${count} discarded because of a bad address list`,
  unexamined: (count) => `\t\t${count} discarded by the rate limit for unauthenticated packets`,
  sentIpv4: (count, s) => `\t${count} packet${s} sent (IPv4)`,
  sentIpv6: (count, s) => `\t${count} packet${s} sent (IPv6)`,
  sendFailed: (count) => `\t\t${count} send failed due to mbuf memory error`,
  transitionsToMaster: (count, s) => `\t${count} transition${s} to master`,
};

export function runNetstat(name: string | undefined, context: CommandContext): Promise<Outcome> {
  return withEngine(context, async (engine) => {
    if (name === undefined) {
      const statistics = await engine.call("statistics", {});
      return context.options.json ? json(statistics) : done(statisticsText("carp", statistics));
    }
    const [statistics, every, { interfaces }] = await Promise.all([
      engine.call("statistics", { name }),
      engine.call("packets", {}),
      engine.call("interfaces", {}),
    ]);
    const repairs = interfaces.find((view) => view.name === name)?.repairs ?? 0;
    const packets = every.find((each) => each.interface === name);
    return context.options.json
      ? json({ ...statistics, repairs, packets: packetsJson(packets) })
      : done(statisticsText(name, statistics) + repairsText(repairs) + packetsText(packets));
  });
}

function packetsJson(packets: Packets | undefined) {
  if (packets === undefined) return null;
  const { nodes, droppedByLease, malformed, withheld } = packets;
  return { nodes, droppedByLease, malformed, withheld };
}

/** @param title `carp` for the host, else the interface's name */
export function statisticsText(title: string, statistics: Statistics): string {
  const lines = Object.entries(LINES).map(([name, line]) => {
    const count = statistics[name as StatisticName];
    return `${line(count, count === 1 ? "" : "s")}\n`;
  });
  return `${title}:\n${lines.join("")}`;
}

export function repairsText(repairs: number): string {
  return `\t${repairs} repair${repairs === 1 ? "" : "s"} of changes by other programs\n`;
}

/** Empty without a data path. */
export function packetsText(packets: Packets | undefined): string {
  if (packets === undefined) return "";
  const { nodes, droppedByLease, malformed, withheld } = packets;
  const counted = (count: number) => `${count} packet${count === 1 ? "" : "s"}`;
  return [
    ...nodes.flatMap(({ vhid, accepted, droppedByHash }) => [
      `\t${counted(accepted)} accepted for vhid ${vhid}`,
      ...(nodes.length > 1 ? [`\t\t${counted(droppedByHash)} left to another host`] : []),
    ]),
    `\t${counted(droppedByLease)} dropped without a lease`,
    `\t${counted(malformed)} dropped as malformed`,
    `\t${counted(withheld)} of this host withheld without a lease`,
  ]
    .map((line) => `${line}\n`)
    .join("");
}
