/** The text of a record of the history for people, with its cause, and its JSON for scripts. */

import { Chalk } from "chalk";
import type { HistoryRecord } from "../../control/history.ts";
import { escapeControls } from "../../control/printable.ts";
import { eventJson, eventText, localTime } from "./event.ts";

type Transition = Extract<HistoryRecord["event"], { kind: "transition" }>;
type OfTransition = Omit<HistoryRecord, "event"> & { readonly event: Transition };

interface Terminal {
  readonly colour: boolean;
}

export function historyText(record: HistoryRecord, terminal: Terminal): string {
  const { event } = record;
  return eventText(record, terminal, event.kind === "transition" ? causeText(event) : "");
}

export function historyJson(record: HistoryRecord): Record<string, unknown> {
  const { seq, boot } = record;
  return { ...eventJson(record), seq, boot };
}

/** The state at a moment, and since when and why it was so. */
export function stateText({ atMs, event }: OfTransition, thenMs: number, { colour }: Terminal): string {
  const { interface: name, vhid, to, reason } = event;
  const chalk = new Chalk({ level: colour ? 1 : 0 });
  const since = `${name} vhid ${vhid}: ${to} since ${localTime(atMs)}: ${reason}${causeText(event)}`;
  return `${chalk.dim(localTime(thenMs))} ${escapeControls(since)}\n`;
}

export function stateJson({ atMs, event }: OfTransition, thenMs: number): Record<string, unknown> {
  const { interface: name, vhid, to, reason, cause } = event;
  const since = new Date(atMs).toISOString();
  const time = new Date(thenMs).toISOString();
  return { time, event: "state", interface: name, vhid, state: to, since, reason, cause };
}

function causeText({ cause }: Transition): string {
  if (cause === undefined) return "";
  if (cause.kind === "advertisement") {
    const { source, family, advbase, advskew, demote } = cause;
    return ` (advertisement of ${source} over IPv${family}: advbase ${advbase} advskew ${advskew} demote ${demote})`;
  }
  const { timer, heard } = cause;
  switch (timer) {
    case "master-down":
      return heard === undefined
        ? " (master-down timer: no host was heard)"
        : ` (master-down timer: ${heard.source} was last heard ${heard.seconds} seconds before)`;
    case "leave":
      return " (leave timer: no successor was heard)";
    case "lease":
      return " (end of its lease)";
  }
}
