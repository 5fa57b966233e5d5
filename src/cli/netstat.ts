/** The counters of carp as `netstat -s -p carp` of OpenBSD prints them: one table says how each is worded. */

import type { CounterName, Statistics } from "../control/messages.ts";
import { done, json, type Outcome } from "./outcome.ts";
import { type Setting, withEngine } from "./setting.ts";

type Line = (count: number, plural: "" | "s") => string;

/** In the order of printing. Some lines of the original know no plural, one knows it in an odd place. */
const LINES: Record<CounterName, Line> = {
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
  sentIpv4: (count, s) => `\t${count} packet${s} sent (IPv4)`,
  sentIpv6: (count, s) => `\t${count} packet${s} sent (IPv6)`,
  sendFailed: (count) => `\t\t${count} send failed due to mbuf memory error`,
  transitionsToMaster: (count, s) => `\t${count} transition${s} to master`,
};

export function runNetstat(setting: Setting): Promise<Outcome> {
  return withEngine(setting, async (engine) => {
    const statistics = await engine.call("statistics", {});
    return setting.options.json ? json(statistics) : done(statisticsText(statistics));
  });
}

export function statisticsText(statistics: Statistics): string {
  const lines = Object.entries(LINES).map(([name, line]) => {
    const count = statistics[name as CounterName];
    return `${line(count, count === 1 ? "" : "s")}\n`;
  });
  return `carp:\n${lines.join("")}`;
}
