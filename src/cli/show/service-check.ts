/** A service check for people: its last result on one line, its output on more; and for programs, as JSON. */

import type { ServiceCheck } from "../../control/messages.ts";
import { escapeControls } from "../../control/printable.ts";

const OUTCOMES = { passed: "passed", failed: "failed", refused: "not run", waiting: "not run yet" } as const;

/** As `web: failed (exit status 1), 2 of 3`. */
export function checkLine(check: ServiceCheck): string {
  const { name, outcome, why, count, fall, rise, demotes } = check;
  const reason = outcome === "passed" || why === undefined ? "" : ` (${escapeControls(why)})`;
  const patience =
    outcome === "failed" && !demotes
      ? `, ${count} of ${fall} before it demotes`
      : outcome === "passed" && demotes
        ? `, ${count} of ${rise} before it promotes`
        : "";
  return `${escapeControls(name)}: ${OUTCOMES[outcome]}${reason}${patience}`;
}

/** All that is known of it but its output, on one line. */
export function longCheckLine(check: ServiceCheck): string {
  const { outcome, count, durationSeconds, ageSeconds, demotes, demote, group, every } = check;
  const times = outcome === "waiting" || count < 2 ? "" : `, ${count} times`;
  const took = durationSeconds === undefined ? "" : `, in ${durationSeconds} s`;
  const ago = ageSeconds === undefined ? "" : `, ${Math.floor(ageSeconds)} s ago`;
  const runs = every === undefined ? "" : `, every ${every} s`;
  const what = demotes ? `, demotes ${group === undefined ? "" : `group ${group} `}by ${demote}` : "";
  return `check ${checkLine(check)}${times}${took}${ago}${runs}${what}`;
}

export function outputLines({ output }: ServiceCheck): string[] {
  return output
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => `\t${escapeControls(line)}`);
}

/** Every field is always there, null where there is no value. */
export function checkJson(check: ServiceCheck) {
  return {
    name: check.name,
    path: check.path,
    outcome: check.outcome,
    why: check.why ?? null,
    output: check.output,
    count: check.count,
    durationSeconds: check.durationSeconds ?? null,
    ageSeconds: check.ageSeconds ?? null,
    demotes: check.demotes,
    every: check.every ?? null,
    timeout: check.timeout,
    fall: check.fall,
    rise: check.rise,
    demote: check.demote,
    group: check.group ?? null,
    user: check.user ?? null,
  };
}
