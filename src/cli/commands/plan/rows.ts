/**
 * The rows of a plan, for the table and both pictures: one for each carp interface that a failure affects in the same way,
 * and their words.
 */

import type { Failure } from "../../../cluster/plan/failures.ts";
import { type Change, isChanged, type Planned } from "../../../cluster/plan/plan.ts";

export interface Row {
  readonly planned: Planned;
  /** Those of one carp interface to which the same happens; empty: nothing happens to any. */
  readonly changes: readonly Change[];
  /** Whether it is the first of its failure, or the last. */
  readonly isFirst: boolean;
  readonly isLast: boolean;
}

/** A row for each carp interface that is affected, and one where none is. */
export function rowsOf(planned: Planned): Row[] {
  const changed = planned.changes.filter(isChanged);
  const alike = Map.groupBy(changed, ({ virtualHost, before, after }) =>
    [virtualHost.segment, virtualHost.addresses.join(), before.join(), after.join()].join(" "),
  );
  const groups = alike.size === 0 ? [[]] : [...alike.values()];
  return groups.map((changes, at) => ({
    planned,
    changes,
    isFirst: at === 0,
    isLast: at === groups.length - 1,
  }));
}

export function failureText({ failure, isOver }: Planned): string {
  switch (failure.kind) {
    case "dies":
      return `${failure.host} ${isOver ? "is back" : "dies"}`;
    case "loses":
      return isOver
        ? `${failure.host} has ${failure.carpdev} again`
        : `${failure.host} loses ${failure.carpdev}`;
    case "demoted":
      return `${failure.host} is ${isOver ? "promoted" : "demoted"}`;
    case "maintained":
      return `${failure.host} ${isOver ? "leaves" : "enters"} maintenance`;
    case "split":
      return isOver
        ? `${failure.carpdev} joins ${partsText(failure)}`
        : `${failure.carpdev} splits ${partsText(failure)}`;
  }
}

function partsText({ parts }: Extract<Failure, { kind: "split" }>): string {
  return parts.map((hosts) => hosts.join(",")).join(" | ");
}

export function sharesText({ shares }: Planned): string {
  return [...shares].map(([name, share]) => `${name} ${Math.round(share * 100)}%`).join(", ");
}

export function addressText(change: Change | undefined): string {
  const [first, ...others] = change?.virtualHost.addresses ?? [];
  if (first === undefined) return "";
  return others.length === 0 ? first : `${first} +${others.length}`;
}

export function vhidsText(changes: readonly Change[]): string {
  return changes.map(({ virtualHost }) => virtualHost.vhid).join();
}

export function masterText({ before, after }: Change): string {
  const names = (hosts: readonly string[]) => (hosts.length === 0 ? "none" : hosts.join("+"));
  return before.join() === after.join() ? names(after) : `${names(before)} -> ${names(after)}`;
}

/** The change in which no host answers for the longest time. */
export function worstOf([first, ...others]: readonly Change[]): Change | undefined {
  return others.reduce<Change | undefined>(
    (worst, each) => (worst !== undefined && worst.silentUs >= each.silentUs ? worst : each),
    first,
  );
}

/** To a tenth of a second, rounded up: these are the longest times. */
export function secondsText(us: number): string {
  return `${(Math.ceil(us / 100_000) / 10).toFixed(1)}s`;
}
