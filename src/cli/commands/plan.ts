/**
 * `plan`: runs the files of several hosts through every single failure, in the simulator, and prints who is master of
 * what afterwards, how long none answered, and what share each host carries.
 */

import { type Change, isChanged, type Planned, plan, tooLarge } from "../../cluster/plan/plan.ts";
import { escapeControls } from "../../control/printable.ts";
import type { CommandContext } from "../context.ts";
import { done, json, type Outcome, refused } from "../outcome.ts";
import { type Column, drawn } from "../show/table.ts";
import { compareNamed } from "./check/named-hosts.ts";

/** @param words NAME=PATH of each host */
export async function runPlan(words: readonly string[], context: CommandContext): Promise<Outcome> {
  const comparison = await compareNamed(words, "carpctl plan NAME=PATH NAME=PATH...");
  if ("kind" in comparison) return comparison;
  const errors = comparison.findings.filter(({ level }) => level === "error").length;
  if (errors > 0)
    return refused(`the files have ${errors} error${errors === 1 ? "" : "s"}: 'carpctl check' names them`);
  const limit = tooLarge(comparison);
  if (limit !== undefined) return refused(limit);
  const planned = plan(comparison);
  if (context.options.json) return json({ failures: planned.map(plannedJson) });
  return done(`${drawn(COLUMNS, planned.flatMap(rowsOf), context.columns)}\n`);
}

interface Row {
  readonly failure: string;
  /** Those of one carp interface to which the same happens. */
  readonly changes: readonly Change[];
  readonly shares: string;
}

/** A row for each carp interface that is affected, and one where none is. */
function rowsOf(planned: Planned): Row[] {
  const changed = planned.changes.filter(isChanged);
  const alike = Map.groupBy(changed, ({ virtualHost, before, after }) =>
    [virtualHost.addresses.join(), before.join(), after.join()].join(" "),
  );
  const shares = [...planned.shares].map(([name, share]) => `${name} ${Math.round(share * 100)}%`).join(", ");
  const groups = alike.size === 0 ? [[]] : [...alike.values()];
  return groups.map((changes, at) => ({
    failure: at === 0 ? failureText(planned) : "",
    changes,
    shares: at === groups.length - 1 ? shares : "",
  }));
}

function failureText({ failure, isOver }: Planned): string {
  const { host } = failure;
  switch (failure.kind) {
    case "dies":
      return isOver ? `${host} is back` : `${host} dies`;
    case "loses":
      return isOver ? `${host} has ${failure.carpdev} again` : `${host} loses ${failure.carpdev}`;
    case "demoted":
      return isOver ? `${host} is promoted` : `${host} is demoted`;
  }
}

const COLUMNS: readonly Column<Row>[] = [
  { title: "FAILURE", cell: ({ failure }) => escapeControls(failure) },
  { title: "ADDRESS", cell: ({ changes: [first] }) => addressText(first) },
  { title: "VHID", cell: ({ changes }) => changes.map(({ virtualHost }) => virtualHost.vhid).join() },
  {
    title: "MASTER",
    cell: ({ changes: [first] }) => (first === undefined ? "unchanged" : masterText(first)),
  },
  { title: "NONE FOR", cell: ({ changes }) => longest(changes.map(({ silentUs }) => silentUs)) },
  { title: "SETTLED IN", cell: ({ changes }) => longest(changes.map(({ settledUs }) => settledUs)) },
  { title: "SHARES", cell: ({ shares }) => shares, below: ({ shares }) => shares || undefined },
];

function addressText(change: Change | undefined): string {
  const [first, ...others] = change?.virtualHost.addresses ?? [];
  if (first === undefined) return "";
  return others.length === 0 ? first : `${first} +${others.length}`;
}

function masterText({ before, after }: Change): string {
  const names = (hosts: readonly string[]) => (hosts.length === 0 ? "none" : hosts.join("+"));
  return before.join() === after.join() ? names(after) : `${names(before)} -> ${names(after)}`;
}

/** To a tenth of a second, rounded up: these are the longest times. */
function longest(timesUs: readonly number[]): string {
  const mostUs = Math.max(0, ...timesUs);
  return mostUs === 0 ? "-" : `${(Math.ceil(mostUs / 100_000) / 10).toFixed(1)}s`;
}

function plannedJson({ failure, isOver, changes, shares }: Planned) {
  return {
    failure: failure.kind,
    host: failure.host,
    carpdev: failure.kind === "loses" ? failure.carpdev : null,
    isOver,
    virtualHosts: changes.map(({ virtualHost, before, after, silentUs, settledUs }) => ({
      vhid: virtualHost.vhid,
      addresses: virtualHost.addresses,
      before,
      after,
      noneSeconds: silentUs / 1e6,
      settledSeconds: settledUs / 1e6,
    })),
    shares: Object.fromEntries(shares),
  };
}
