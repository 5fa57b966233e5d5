/**
 * The lanes of a row in a picture: the times in which each host that is master answers, and those in which none does, on
 * one scale for all rows.
 */

import type { Span } from "../../../cluster/plan/holding.ts";
import type { Planned } from "../../../cluster/plan/plan.ts";
import { type Row, worstOf } from "./rows.ts";

export interface Lane {
  /** undefined: no host answers. */
  readonly host: string | undefined;
  readonly spans: readonly Span[];
}

/** The time after the last change that is drawn too. */
const AFTERWARDS_US = 1_000_000;

/** How long the longest row takes. */
export function scaleUs(planned: readonly Planned[]): number {
  const settled = planned.flatMap(({ changes }) =>
    changes.map(({ settledUs, silentUs }) => Math.max(settledUs, silentUs)),
  );
  return Math.max(0, ...settled) + AFTERWARDS_US;
}

/** Of the virtual host of the row that is silent for the longest time, in the order of the cluster. */
export function lanesOf({ planned: { lastedUs }, changes }: Row, endUs: number): Lane[] {
  const change = worstOf(changes);
  if (change === undefined) return [];
  const drawn = (spans: readonly Span[]) =>
    spans
      .filter(({ fromUs }) => fromUs < endUs)
      // What is at the end of the simulation stays.
      .map(({ fromUs, untilUs }) => ({
        fromUs,
        untilUs: untilUs < lastedUs ? Math.min(untilUs, endUs) : endUs,
      }));
  const lanes = [...change.virtualHost.members.keys(), undefined].map((host) => ({
    host,
    spans: drawn(host === undefined ? change.silences : change.answers.filter((each) => each.host === host)),
  }));
  return lanes.filter(({ spans }) => spans.length > 0);
}

/** Whole seconds between two marks of the scale, so that there are about `marks` of them. */
export function markEveryS(untilUs: number, marks: number): number {
  const leastS = untilUs / 1e6 / marks;
  return [1, 2, 5, 10, 20, 50, 100, 200, 500].find((seconds) => seconds >= leastS) ?? 1000;
}
