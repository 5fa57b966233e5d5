/**
 * `history`: prints what happened on this host, with the cause of each change of state: the files of the history, and
 * what the engine has not written yet. It works without an engine, when that is what happened.
 */

import { ControlError, UNREACHABLE } from "../../../control/client.ts";
import { jsonLine } from "../../../control/framing.ts";
import type { HistoryRecord, UnwrittenHistory } from "../../../control/history.ts";
import { INTERFACE_NAME } from "../../../control/limits.ts";
import { escapeControlsInJson, printable } from "../../../control/printable.ts";
import type { CommandContext } from "../../context.ts";
import { done, isRefusal, type Outcome, refused } from "../../outcome.ts";
import { historyJson, historyText, stateJson, stateText } from "../../show/history.ts";
import { readMoment } from "./moment.ts";
import { readHistory } from "./read.ts";
import { statesAfter } from "./states.ts";

export interface HistoryOptions {
  readonly since: string | undefined;
  readonly until: string | undefined;
  /** Where the engine keeps its state, for when none answers. */
  readonly stateDir: string;
}

export async function runHistory(
  name: string | undefined,
  { since, until, stateDir }: HistoryOptions,
  context: CommandContext,
): Promise<Outcome> {
  const nowMs = Date.now();
  const from = since === undefined ? undefined : readMoment("--since", since, nowMs);
  if (isRefusal(from)) return refused(from.refusal);
  const to = until === undefined ? undefined : readMoment("--until", until, nowMs);
  if (isRefusal(to)) return refused(to.refusal);
  if (from !== undefined && to !== undefined && to.atMs < from.atMs)
    return refused(`--until ${printable(until)}: is before --since ${printable(since)}`);
  if (name !== undefined && !INTERFACE_NAME.test(name))
    return refused(`${printable(name)}: not a carp interface name (carp0, carp1, ...)`);
  const asked = await askEngine(context);
  const engine = asked instanceof ControlError ? undefined : asked;
  const { records, isThere, warnings } = readHistory(engine?.directory ?? stateDir, engine?.records);
  if (asked instanceof ControlError && !isThere) return refused(asked.message);
  if (name !== undefined && !records.some(({ event }) => interfaceOf(event) === name))
    return refused(`${name}: no such interface, and no event of one`);
  const ofName = records.filter(({ event }) => name === undefined || concerns(event, name));
  const isRecent = (record: HistoryRecord) =>
    from === undefined || Math.max(...timesMs(record, engine, nowMs)) >= from.atMs;
  const isEarly = (record: HistoryRecord) =>
    to === undefined || Math.min(...timesMs(record, engine, nowMs)) <= to.atMs;
  const shown = ofName.filter((each) => isRecent(each) && isEarly(each));
  const states = from === undefined ? [] : statesAfter(ofName.filter((each) => !isRecent(each)));
  const { json } = context.options;
  const lines = [
    ...states.map((each) =>
      json ? stateJson(each, from?.atMs ?? 0) : stateText(each, from?.atMs ?? 0, context),
    ),
    ...shown.map((each) => (json ? historyJson(each) : historyText(each, context))),
  ];
  const output = lines.map((line) =>
    typeof line === "string" ? line : escapeControlsInJson(jsonLine(line)),
  );
  const failure = engine?.failure === undefined ? [] : [`the history cannot be written: ${engine.failure}`];
  const absence = asked instanceof ControlError ? [asked.message] : [];
  return done(output.join(""), [...absence, ...failure, ...warnings]);
}

/** What the engine has not written; the error, where there is no engine. */
async function askEngine(context: CommandContext): Promise<UnwrittenHistory | ControlError> {
  let engine: Awaited<ReturnType<CommandContext["connect"]>> | undefined;
  try {
    engine = await context.connect();
    return await engine.call("history", {});
  } catch (error) {
    if (error instanceof ControlError && error.code === UNREACHABLE) return error;
    throw error;
  } finally {
    engine?.close();
  }
}

/** The carp interface that an event is about; undefined: none, or the whole host. */
function interfaceOf(event: HistoryRecord["event"]): string | undefined {
  if (!("interface" in event) || event.interface === undefined) return undefined;
  return INTERFACE_NAME.test(event.interface) ? event.interface : undefined;
}

/** What happens to the host happens to each of its interfaces. */
function concerns(event: HistoryRecord["event"], name: string): boolean {
  const of = interfaceOf(event);
  return of === undefined ? event.kind !== "discarded" : of === name;
}

/**
 * When an event happened, by the system clock of then and, in the present boot, by that of now: where the clock was set
 * since, no event is to be missing by either.
 */
function timesMs(
  { boot, upUs, atMs }: HistoryRecord,
  engine: UnwrittenHistory | undefined,
  nowMs: number,
): number[] {
  if (engine === undefined || boot !== engine.boot) return [atMs];
  return [atMs, nowMs - (engine.nowUs - upUs) / 1000];
}
