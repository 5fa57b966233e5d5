/** Compares the configurations of several hosts: what does not fit together, and the virtual hosts that they form. */

import { agreementOn, reusedVhids } from "./agreement.ts";
import type { Finding } from "./finding.ts";
import type { HostFiles } from "./host-files.ts";
import { membershipFindings, togetherness, variablesFindings } from "./hosts.ts";
import { type ConfiguredHost, configuredHost } from "./member.ts";
import { rankingOf } from "./ranking.ts";
import { type Segment, segmentsOf } from "./segments.ts";
import { unicastFindings } from "./unicast.ts";

export interface Comparison {
  /** In the order of the hosts and their files. */
  readonly findings: readonly Finding[];
  readonly hosts: readonly ConfiguredHost[];
  readonly segments: readonly Segment[];
}

/** @param hosts at least two, with distinct names */
export function compareHosts(hosts: readonly HostFiles[]): Comparison {
  const read = hosts.map(configuredHost);
  const configured = read.map(({ host }) => host);
  const segments = segmentsOf(configured);
  const shared = segments.flatMap((segment) => segment.shared);
  const findings = [
    ...read.flatMap((each) => each.findings),
    ...segments.flatMap(reusedVhids),
    ...shared.flatMap((each) => [
      ...membershipFindings(each, configured),
      ...agreementOn(each),
      ...rankingOf(each),
      ...unicastFindings(each),
    ]),
    ...variablesFindings(
      configured.filter(({ members, areVariablesKnown }) => areVariablesKnown && members.length > 0),
    ),
    ...togetherness(segments, configured),
  ];
  const order = new Map(hosts.map(({ name }, at) => [name, at]));
  const placeOf = ({ host, line = 0 }: Finding) => [order.get(host) ?? 0, line] as const;
  findings.sort((a, b) => {
    const [[hostA, lineA], [hostB, lineB]] = [placeOf(a), placeOf(b)];
    return hostA - hostB || a.file.localeCompare(b.file, "en", { numeric: true }) || lineA - lineB;
  });
  return { findings, hosts: configured, segments };
}
