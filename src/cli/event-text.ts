/** How an event reads: a line with its time for people, an object for scripts. Knows nothing of where it came from. */

import { Chalk } from "chalk";
import type { HostEvent, ToldEvent } from "../control/messages.ts";
import { escaped } from "../control/shown.ts";

/** What the command itself notices. */
type EngineEvent =
  | { readonly kind: "engine-gone" }
  /** From here on nothing is missed; the first event there is. */
  | { readonly kind: "following"; readonly version: string; readonly pid: number }
  | { readonly kind: "engine-back"; readonly version: string; readonly pid: number };

export interface Shown extends Omit<ToldEvent, "event"> {
  readonly event: HostEvent | EngineEvent;
}

export function eventText({ atMs, times, event }: Shown, { colour }: { readonly colour: boolean }): string {
  const chalk = new Chalk({ level: colour ? 1 : 0 });
  const paint = chalk[COLOURS[event.kind === "transition" ? event.to : event.kind] ?? "reset"];
  const often = times > 1 ? ` (${times} times)` : "";
  return `${chalk.dim(localTime(atMs))} ${paint(escaped(words(event) + often))}\n`;
}

/** Colours of what deserves attention, by kind and by the state that was entered. */
const COLOURS: Readonly<Partial<Record<string, "green" | "yellow" | "red" | "bold">>> = {
  MASTER: "green",
  BACKUP: "yellow",
  INIT: "red",
  discarded: "red",
  "send-failed": "red",
  complaint: "red",
  demotion: "yellow",
  repaired: "yellow",
  "left-out": "red",
  "engine-gone": "red",
  "engine-back": "bold",
};

function words(event: Shown["event"]): string {
  switch (event.kind) {
    case "transition":
      return `${virtualHost(event)}: ${event.from} -> ${event.to}: ${event.reason}`;
    case "demotion": {
      const { group, by, to, who, reason } = event;
      const verb = by > 0 ? "demoted" : "promoted";
      const what = group === undefined ? "this host" : `group ${group}`;
      return `${who === undefined ? "" : `${who} `}${verb} ${what} by ${Math.abs(by)} to ${to} (${reason})`;
    }
    case "discarded":
      return `discarded: ${event.text}`;
    case "send-failed":
      return `${virtualHost(event)}: an advertisement has not left: ${event.error}`;
    case "peer-appeared": {
      const { source, advbase, advskew, demote } = event;
      return `${virtualHost(event)}: ${source} advertises (advbase ${advbase} advskew ${advskew} demote ${demote})`;
    }
    case "peer-gone":
      return `${virtualHost(event)}: ${event.source} ${event.reason === "left" ? "has left" : "advertises no longer"}`;
    case "repaired":
      return `${event.interface}: repaired: ${event.what}`;
    case "created":
    case "destroyed":
      return `${event.interface}: ${event.kind}`;
    case "complaint":
      return event.text;
    case "left-out":
      return `${event.count} event${event.count === 1 ? "" : "s"} left out here: the reader was too slow`;
    case "following":
      return `following the engine (version ${event.version}, pid ${event.pid})`;
    case "engine-gone":
      return "engine gone";
    case "engine-back":
      return `engine back (version ${event.version}, pid ${event.pid})`;
  }
}

function virtualHost({
  interface: name,
  vhid,
}: {
  readonly interface: string;
  readonly vhid: number;
}): string {
  return `${name} vhid ${vhid}`;
}

/** `times` where the same may have happened more than once. */
export function eventJson({ atMs, times, event }: Shown): Record<string, unknown> {
  const { kind, ...fields } = event;
  const often = kind === "discarded" || kind === "send-failed" ? { times } : {};
  return { time: new Date(atMs).toISOString(), event: kind, ...fields, ...often };
}

/** `2026-11-21 12:03:45.123`, where this host is. */
export function localTime(atMs: number): string {
  const at = new Date(atMs);
  const two = (value: number) => String(value).padStart(2, "0");
  const date = [at.getFullYear(), two(at.getMonth() + 1), two(at.getDate())].join("-");
  const time = [at.getHours(), at.getMinutes(), at.getSeconds()].map(two).join(":");
  return `${date} ${time}.${String(at.getMilliseconds()).padStart(3, "0")}`;
}
