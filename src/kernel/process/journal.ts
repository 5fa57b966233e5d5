/**
 * Entries of systemd's journal, in its own protocol: one datagram of KEY=VALUE lines, with the priority, what the line
 * tells as fields of its own, and an id for each kind of event. man/carpd.8 lists the ids; they never change.
 */

import { fstatSync } from "node:fs";
import type { LogEvent, LogFields } from "../../core/effect.ts";
import type { Priority } from "../../core/model.ts";
import { FACILITY_DAEMON, oneLine } from "./log-line.ts";

export const JOURNAL_SOCKET = "/run/systemd/journal/socket";

export const MESSAGE_IDS: Readonly<Record<LogEvent, string>> = {
  transition: "2970971f47574dd281cf4e2e1ca5575d",
  demotion: "2dd837345d1245939dea935079184ea6",
  repaired: "25592f89e26c49a3a189972c600eb7b4",
  failure: "9c97bc9da53c424e8007151a5ac79ce0",
  discarded: "207fab54ffe240f19e19f8fcf8acb0d1",
  "rate-limited": "8ee3ef0092ee4e3fa4b47613a5d5139c",
  signing: "00cb9cd47e234e0a89540978089f1442",
  started: "4ba1b8faf8f245b680823e9cd7194ca1",
  change: "b480bd3f99464b7987fc030554e887df",
  "internal-error": "d92034e27f1c460db3ce0d0a1ead8c8c",
};

/** Whether the descriptor leads to the journal: the service manager tells its device and inode in JOURNAL_STREAM. */
export function isJournal(descriptor: number): boolean {
  const stream = process.env.JOURNAL_STREAM;
  if (stream === undefined) return false;
  try {
    const { dev, ino } = fstatSync(descriptor, { bigint: true });
    return stream === `${dev}:${ino}`;
  } catch {
    return false;
  }
}

/** Every value is one line: none can be taken for another field. */
export function journalEntry(priority: Priority, text: string, fields?: LogFields, ident = "carpd"): string {
  const entry: Readonly<Record<string, string | number | undefined>> = {
    MESSAGE: text,
    PRIORITY: priority,
    SYSLOG_FACILITY: FACILITY_DAEMON,
    SYSLOG_IDENTIFIER: ident,
    MESSAGE_ID: fields && MESSAGE_IDS[fields.event],
    CARP_INTERFACE: fields?.interface,
    CARP_VHID: fields?.vhid,
    CARP_STATE: fields?.state,
    CARP_PREVIOUS_STATE: fields?.previousState,
    CARP_REASON: fields?.reason,
  };
  return Object.entries(entry)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}=${oneLine(String(value))}\n`)
    .join("");
}
