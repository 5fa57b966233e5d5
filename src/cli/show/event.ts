/** The text of an event for people, a line with its time, and its JSON for scripts. */

import { Chalk } from "chalk";
import type { HistoryEvent } from "../../control/history.ts";
import type { EventNotification, HostEvent } from "../../control/messages.ts";
import { escapeControls } from "../../control/printable.ts";

/** Events of the command itself. */
type EngineEvent =
  | { readonly kind: "engine-gone" }
  /** The first event: no later one is missed. */
  | { readonly kind: "following"; readonly version: string; readonly pid: number }
  | { readonly kind: "engine-back"; readonly version: string; readonly pid: number };

export interface TimedEvent extends Omit<EventNotification, "event"> {
  readonly event: HostEvent | HistoryEvent | EngineEvent;
}

export function eventText(
  { atMs, times, event }: TimedEvent,
  { colour }: { readonly colour: boolean },
  cause = "",
): string {
  const chalk = new Chalk({ level: colour ? 1 : 0 });
  const paint = chalk[COLOURS[event.kind === "transition" ? event.to : event.kind] ?? "reset"];
  const often = times > 1 ? ` (${times} times)` : "";
  return `${chalk.dim(localTime(atMs))} ${paint(escapeControls(words(event) + cause + often))}\n`;
}

/** Colours of events that need attention, by kind and by the state that was entered. */
const COLOURS: Readonly<Partial<Record<string, "green" | "yellow" | "red" | "bold">>> = {
  MASTER: "green",
  BACKUP: "yellow",
  INIT: "red",
  discarded: "red",
  "wrong-digest": "red",
  "send-failed": "red",
  complaint: "red",
  demotion: "yellow",
  repaired: "yellow",
  "left-out": "red",
  unwritten: "red",
  "engine-gone": "red",
  "engine-back": "bold",
  "engine-started": "bold",
  "engine-stopped": "bold",
};

function words(event: TimedEvent["event"]): string {
  switch (event.kind) {
    case "transition":
      return `${virtualHost(event)}: ${event.from} -> ${event.to}: ${event.reason}`;
    case "demotion": {
      const { group, by, to, who, reason } = event;
      const verb = by > 0 ? "demoted" : "promoted";
      const what = group === undefined ? "this host" : `group ${group}`;
      return `${who === undefined ? "" : `${who} `}${verb} ${what} by ${Math.abs(by)} to ${to} (${reason})`;
    }
    case "contested":
      return `${virtualHost(event)}: stays MASTER: ${event.source}, which was MASTER too, has to give way`;
    case "discarded":
      return `discarded: ${event.text}`;
    case "wrong-digest":
      return `${virtualHost(event)}: ${event.text}: ${event.todo}`;
    case "send-failed":
      return `${virtualHost(event)}: an advertisement was not sent: ${event.error}`;
    case "peer-appeared": {
      const { source, advbase, advskew, demote } = event;
      return `${virtualHost(event)}: ${source} advertises (advbase ${advbase} advskew ${advskew} demote ${demote})`;
    }
    case "peer-gone":
      return `${virtualHost(event)}: ${event.source} ${event.reason === "left" ? "has left" : "no longer advertises"}`;
    case "repaired":
      return `${event.interface}: repaired: ${event.what}`;
    case "created":
    case "destroyed":
      return `${event.interface}: ${event.kind}`;
    case "complaint":
    case "changed":
      return event.text;
    case "left-out":
      return `${event.count} event${event.count === 1 ? "" : "s"} left out here: the reader was too slow`;
    case "unwritten":
      return `${event.count} event${event.count === 1 ? " is" : "s are"} missing here: the history could not be written`;
    case "engine-started": {
      const after = event.after === undefined ? "" : `, ${STARTED_AFTER[event.after]}`;
      return `engine started (version ${event.version}, pid ${event.pid})${after}`;
    }
    case "engine-stopped":
      return STOPPED[event.how];
    case "following":
      return `following the engine (version ${event.version}, pid ${event.pid})`;
    case "engine-gone":
      return "engine gone";
    case "engine-back":
      return `engine back (version ${event.version}, pid ${event.pid})`;
  }
}

const STARTED_AFTER = {
  boot: "the host has booted",
  end: "the one before ended without stopping: killed, or by an error",
} as const;

const STOPPED = {
  stopped: "engine stopped",
  left: "engine ended, and left everything in place for the next one",
  failed: "engine ended by an internal error: see its log",
} as const;

function virtualHost({
  interface: name,
  vhid,
}: {
  readonly interface: string;
  readonly vhid: number;
}): string {
  return `${name} vhid ${vhid}`;
}

/** `times` for events that may have happened more than once. */
export function eventJson({ atMs, times, event }: TimedEvent): Record<string, unknown> {
  const { kind, ...fields } = event;
  const often = kind === "discarded" || kind === "send-failed" || times > 1 ? { times } : {};
  return { time: new Date(atMs).toISOString(), event: kind, ...fields, ...often };
}

/** Local time, like `2026-11-21 12:03:45.123`. */
export function localTime(atMs: number): string {
  const at = new Date(atMs);
  const two = (value: number) => String(value).padStart(2, "0");
  const date = [at.getFullYear(), two(at.getMonth() + 1), two(at.getDate())].join("-");
  const time = [at.getHours(), at.getMinutes(), at.getSeconds()].map(two).join(":");
  return `${date} ${time}.${String(at.getMilliseconds()).padStart(3, "0")}`;
}
