/**
 * Judges whether the preferred host is the master: a BACKUP that does not preempt leaves one alone that is less
 * preferred. Pure: it sees only the views it is given.
 */

import { type Finding, fault } from "../control/finding.ts";
import type { NodeView } from "../control/messages.ts";
import { intervalUs, masterDownUs } from "../core/election/timing.ts";
import type { Micros } from "../core/model.ts";

/** @param subject `carp0 vhid 1` */
export function preferenceFindings(
  subject: string,
  advbase: number,
  node: NodeView,
  nowUs: Micros,
): Finding[] {
  const { state, sinceUs, mayPreemptAtUs, demote, advskew, effectiveAdvskew, peers } = node;
  const preempts = mayPreemptAtUs !== undefined;
  // A host that has just come back, or given way, is about to be settled.
  const isSettled = nowUs - sinceUs >= masterDownUs(intervalUs(advbase, effectiveAdvskew));
  if (state !== "BACKUP" || preempts || !isSettled) return [];
  const worse = peers.find(
    (his) => his.demote >= demote && his.advbase === advbase && his.advskew > effectiveAdvskew,
  );
  if (worse === undefined) return [];
  const [name] = subject.split(" ");
  return [
    fault(
      "not-preempted",
      subject,
      `BACKUP to ${worse.source}, which is less preferred (advskew ${worse.advskew}, here ${advskew}): net.inet.carp.preempt is 0 here`,
      `for this host to take over: carpctl sysctl net.inet.carp.preempt=1, on every host; at once, this time: carpctl ${name} state master`,
    ),
  ];
}
