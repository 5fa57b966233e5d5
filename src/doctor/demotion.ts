/**
 * Judges what demotes this host, or a group of its carp interfaces, beside the faults of interfaces, which are findings
 * of their own. Pure: it sees only the views it is given.
 */

import { type Finding, fault, inOrder } from "../control/finding.ts";
import type { DemotionView, GroupView, InterfaceView } from "../control/messages.ts";
import type { FailedCheck } from "../core/service-demotion.ts";

export interface DemotionExamined {
  readonly demotion: DemotionView;
  readonly groups: readonly GroupView[];
  readonly failedChecks: readonly FailedCheck[];
  /** A host without carp interfaces that run has nothing to give away. */
  readonly views: readonly InterfaceView[];
}

const RESTS = "the other hosts of the vhids are preferred to it";

export function examineDemotion({ demotion, groups, failedChecks, views }: DemotionExamined): Finding[] {
  if (!views.some(({ running }) => running)) return [];
  const found: Finding[] = [];
  const subject = "demotion";
  const say = (text: string, todo: string) => found.push(fault("demoted", subject, text, todo));
  for (const { reason, by } of demotion.reasons)
    if (reason === "boot")
      found.push(inOrder(subject, `demoted by ${by} until this host is up, which 'carpctl booted' finds`));
    else say(`demoted by ${by} for ${reason}: ${RESTS}`, endOf(reason, failedChecks));
  for (const { unit, by, active } of demotion.units)
    if (!active)
      say(`demoted by ${by} while ${unit} is not active: ${RESTS}`, `start it: 'systemctl start ${unit}'`);
  const { written } = demotion;
  if (written > 0)
    say(
      `demoted by ${written}, which was written to net.inet.carp.demotion: ${RESTS}`,
      `when the reason is over: carpctl sysctl net.inet.carp.demotion=-${written}`,
    );
  for (const { name, carpDemoteCount, interfaces } of groups) {
    const byFaults = demotion.faults.filter((each) => interfaces.includes(each.interface)).length;
    const failed = failedChecks.filter(({ group }) => group === name);
    const byChecks = failed.reduce((sum, { by }) => sum + by, 0);
    if (failed.length > 0)
      say(`group ${name} is demoted by ${byChecks} for services: ${RESTS}`, servicesOf(failed));
    const count = carpDemoteCount - byFaults - byChecks;
    if (count > 0)
      say(
        `group ${name} is demoted by ${count}: ${RESTS}`,
        `when the reason is over: carpctl -g ${name} -carpdemote ${count}`,
      );
  }
  return found;
}

function endOf(reason: string, failedChecks: readonly FailedCheck[]): string {
  if (reason === "maintenance") return "when it is over: carpctl maintenance off";
  if (reason === "services") return servicesOf(failedChecks.filter(({ group }) => group === undefined));
  return `when the reason is over: carpctl promote ${reason}`;
}

function servicesOf(failed: readonly FailedCheck[]): string {
  const names = failed.length === 0 ? "" : ` of ${failed.map(({ name }) => name).join(", ")}`;
  return `repair the service${names}: see 'carpctl service-status'`;
}
