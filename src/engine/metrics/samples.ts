/**
 * Samples: reads the metrics of an engine, one metric after the other and some interfaces in a turn, so that CARP waits
 * for no more than those.
 */

import { intervalUs } from "../../core/election/timing.ts";
import type { Micros, VirtualHostState } from "../../core/model.ts";
import type { StatisticName, Statistics } from "../../core/statistics.ts";
import type { InterfaceView, NodeView } from "../../core/view.ts";
import type { PacketCounts } from "../../kernel/kernel.ts";
import type { Engine } from "../engine.ts";
import type { CountedCheck } from "../scripts/service-checks.ts";
import { Exposition, type LabelText, labels, labelsOf } from "./exposition.ts";
import { FAMILIES, type MetricName } from "./families.ts";

/** The part of an engine that metrics are read from. */
export type Measured = Pick<
  Engine,
  | "version"
  | "host"
  | "catchUp"
  | "now"
  | "startedUs"
  | "delays"
  | "dataPathObstacle"
  | "leaseUntilUs"
  | "packetCounts"
  | "checks"
>;

/** An interface, as it was at one time. */
interface Reading {
  readonly view: InterfaceView;
  readonly own: LabelText;
  readonly statistics: Statistics;
  readonly nodes: readonly NodeReading[];
  /** undefined: there is no data path. */
  readonly packets: PacketCounts | undefined;
}

interface NodeReading {
  readonly view: NodeView;
  readonly own: LabelText;
  readonly atUs: Micros;
  /** undefined: nothing enforces leases. */
  readonly leaseUs: Micros | undefined;
  /** undefined: the data path does not know it. */
  readonly packets: PacketCounts["nodes"][number] | undefined;
}

const INTERFACES_IN_A_TURN = 100;
/** Each is of one metric and one interface. */
const LINES_IN_A_TURN = 3000;
const STATES: readonly VirtualHostState[] = ["INIT", "BACKUP", "MASTER"];

/** The statistics of packets that were refused, with their labels. */
const CAUSES = {
  badInterface: "bad_interface",
  badTtl: "bad_ttl",
  shorterThanHeader: "shorter_than_header",
  badChecksum: "bad_checksum",
  badVersion: "bad_version",
  tooShort: "too_short",
  badAuthentication: "bad_authentication",
  badVhid: "unknown_vhid",
  badAddressList: "bad_address_list",
  unexamined: "rate_limited",
} as const satisfies { readonly [S in StatisticName]?: string };

const IPV4 = labels({ family: "ipv4" });
const IPV6 = labels({ family: "ipv6" });
const NO_LEASE = labels({ cause: "no_lease" });
const MALFORMED = labels({ cause: "malformed" });
const CAUSE_LABELS = Object.entries(CAUSES).map(
  ([statistic, cause]) => [statistic as StatisticName, labels({ cause })] as const,
);
const STATE_LABELS = STATES.map((state) => [state, labels({ state: state.toLowerCase() })] as const);

/** Adds a sample for each service check that has one. */
function ofChecks(value: (check: CountedCheck) => number | undefined): OfHost {
  return ({ checks }, to) => {
    for (const check of checks) {
      const found = value(check);
      if (found !== undefined) to.add(found, labels({ check: check.name, file: check.file }));
    }
  };
}

type OfHost = (engine: Measured, to: Exposition) => void;

const OF_HOST = {
  carp_build_info: ({ version }, to) => to.add(1, labels({ version })),
  carp_engine_start_time_seconds: (engine, to) => {
    const { us, epochUs } = engine.now();
    to.add(Math.round((epochUs - (us - engine.startedUs)) / 1e6));
  },
  carp_engine_event_loop_delay_seconds: ({ delays }, to) => to.addHistogram(delays),
  carp_engine_state_saved: ({ host }, to) => to.add(host.notSaved === undefined ? 1 : 0),
  carp_engine_leases_enforced: (engine, to) => to.add(engine.dataPathObstacle === undefined ? 1 : 0),
  carp_demotion: ({ host }, to) => to.add(host.demotion.counter),
  carp_demotion_part: ({ host }, to) => {
    const { written, reasons, faults } = host.demotion;
    const part = (by: number, kind: string, reason: string, name = "") =>
      to.add(by, labels({ kind, reason, interface: name }));
    part(written, "written", "");
    for (const { by, reason } of reasons) part(by, "named", reason);
    for (const { by, fault, interface: name } of faults) part(by, "fault", fault, name);
  },
  carp_group_demotion: ({ host }, to) => {
    for (const { name, carpDemoteCount } of host.groups()) to.add(carpDemoteCount, labels({ group: name }));
  },
  carp_service_check_passed: ofChecks(({ outcome }) =>
    outcome === "passed" ? 1 : outcome === "failed" ? 0 : undefined,
  ),
  carp_service_check_refused: ofChecks(({ outcome }) => (outcome === "refused" ? 1 : 0)),
  carp_service_check_demotes: ofChecks(({ demotes }) => (demotes ? 1 : 0)),
  carp_service_check_results_total: ({ checks }, to) => {
    for (const { name: check, file, counts } of checks)
      for (const [outcome, count] of Object.entries(counts)) to.add(count, labels({ check, file, outcome }));
  },
  carp_service_check_consecutive_results: ofChecks(({ count }) => count),
  carp_service_check_duration_seconds: ofChecks(({ durationSeconds }) => durationSeconds),
  carp_service_check_age_seconds: ofChecks(({ ageSeconds }) => ageSeconds),
  carp_advertisements_received_total: ({ host: { statistics } }, to) => {
    to.add(statistics.receivedIpv4, IPV4);
    to.add(statistics.receivedIpv6, IPV6);
  },
  carp_advertisements_sent_total: ({ host: { statistics } }, to) => {
    to.add(statistics.sentIpv4, IPV4);
    to.add(statistics.sentIpv6, IPV6);
  },
  carp_advertisements_refused_total: ({ host: { statistics } }, to) => {
    for (const [statistic, cause] of CAUSE_LABELS) to.add(statistics[statistic], cause);
  },
  carp_advertisement_send_failures_total: ({ host }, to) => to.add(host.statistics.sendFailed),
} as const satisfies { readonly [M in MetricName]?: OfHost };

type OfInterface = (reading: Reading, to: Exposition) => void;

const OF_INTERFACE: { readonly [M in Exclude<MetricName, keyof typeof OF_HOST>]: OfInterface } = {
  carp_interface_info: ({ view, own }, to) => {
    const { carpdev = "", balancing, lladdr = "", description = "" } = view;
    to.add(1, own, labels({ carpdev, balancing, lladdr, description }));
  },
  carp_interface_problems: ({ view, own }, to) => to.add(view.problems.length, own),
  carp_interface_repairs_total: ({ view, own }, to) => to.add(view.repairs, own),
  carp_interface_advertisements_received_total: ({ statistics, own }, to) => {
    to.add(statistics.receivedIpv4, own, IPV4);
    to.add(statistics.receivedIpv6, own, IPV6);
  },
  carp_interface_advertisements_sent_total: ({ statistics, own }, to) => {
    to.add(statistics.sentIpv4, own, IPV4);
    to.add(statistics.sentIpv6, own, IPV6);
  },
  carp_interface_advertisements_refused_total: ({ statistics, own }, to) => {
    for (const [statistic, cause] of CAUSE_LABELS) to.add(statistics[statistic], own, cause);
  },
  carp_interface_advertisement_send_failures_total: ({ statistics, own }, to) =>
    to.add(statistics.sendFailed, own),
  carp_interface_nodes_held_ratio: ({ view: { nodes }, own }, to) => {
    const held = nodes.filter(({ state }) => state === "MASTER").length;
    to.add(nodes.length === 0 ? 0 : held / nodes.length, own);
  },
  carp_interface_packets_dropped_total: ({ packets, own }, to) => {
    if (packets === undefined) return;
    to.add(packets.droppedByLease, own, NO_LEASE);
    to.add(packets.malformed, own, MALFORMED);
  },
  carp_interface_packets_withheld_total: ({ packets, own }, to) => {
    if (packets !== undefined) to.add(packets.withheld, own);
  },
  carp_virtual_host_state: ofNodes(({ view, own }, to) => {
    for (const [state, label] of STATE_LABELS) to.add(view.state === state ? 1 : 0, own, label);
  }),
  carp_virtual_host_state_age_seconds: ofNodes(({ view, own, atUs }, to) =>
    to.add(secondsBetween(view.sinceUs, atUs), own),
  ),
  carp_virtual_host_transitions_total: ofNodes(({ view, own }, to) => to.add(view.transitions, own)),
  carp_virtual_host_advertisement_interval_seconds: ofNodes(({ view, own }, to, { advbase }) =>
    to.add(intervalUs(advbase, view.effectiveAdvskew) / 1e6, own),
  ),
  carp_virtual_host_advskew: ofNodes(({ view, own }, to) => to.add(view.effectiveAdvskew, own)),
  carp_virtual_host_demotion: ofNodes(({ view, own }, to) => to.add(view.demote, own)),
  carp_virtual_host_heard_age_seconds: ofNodes(({ view: { heard }, own, atUs }, to) => {
    if (heard !== undefined) to.add(secondsBetween(heard.atUs, atUs), own);
  }),
  carp_virtual_host_lease_seconds: ofNodes(({ leaseUs, own }, to) => {
    if (leaseUs !== undefined) to.add(leaseUs / 1e6, own);
  }),
  carp_virtual_host_peers: ofNodes(({ view, own }, to) => to.add(view.peers.length, own)),
  carp_virtual_host_packets_accepted_total: ofNodes(({ packets, own }, to) => {
    if (packets !== undefined) to.add(packets.accepted, own);
  }),
  carp_virtual_host_packets_left_total: ofNodes(({ packets, own }, to) => {
    if (packets !== undefined) to.add(packets.droppedByHash, own);
  }),
};

function ofNodes(of: (node: NodeReading, to: Exposition, view: InterfaceView) => void): OfInterface {
  return ({ view, nodes }, to) => {
    for (const node of nodes) of(node, to, view);
  };
}

function secondsBetween(fromUs: Micros, toUs: Micros): number {
  return Math.max(0, toUs - fromUs) / 1e6;
}

/** The length of the last export, with room for some more. */
let expected = 0;

/**
 * All metrics as UTF-8 text.
 *
 * @param turn resolves when the rest may be read
 */
export async function readMetrics(engine: Measured, turn: () => Promise<void>): Promise<Buffer> {
  engine.catchUp();
  const readings: Reading[] = [];
  for (const [at, name] of engine.host.interfaceNames().entries()) {
    if (at > 0 && at % INTERFACES_IN_A_TURN === 0) await turn();
    const reading = read(name, engine);
    // undefined: it was destroyed between two turns.
    if (reading !== undefined) readings.push(reading);
  }
  const exposition = new Exposition(expected);
  let lines = 0;
  for (const name of Object.keys(FAMILIES) as MetricName[]) {
    exposition.begin(name);
    if (isOfHost(name)) OF_HOST[name](engine, exposition);
    else
      for (const reading of readings) {
        if (++lines % LINES_IN_A_TURN === 0) await turn();
        OF_INTERFACE[name](reading, exposition);
      }
  }
  const { text } = exposition;
  expected = text.length + (text.length >> 3);
  return text;
}

function isOfHost(name: MetricName): name is keyof typeof OF_HOST {
  return name in OF_HOST;
}

function read(name: string, engine: Measured): Reading | undefined {
  const view = engine.host.interface(name);
  const statistics = engine.host.statisticsOf(name);
  if (view === undefined || statistics === undefined) return undefined;
  const atUs = engine.now().us;
  const isEnforced = engine.dataPathObstacle === undefined;
  const packets = engine.packetCounts(name);
  const nodes = view.nodes.map((node) => ({
    view: node,
    own: labelsOf(name, node.vhid),
    atUs,
    leaseUs: isEnforced ? Math.max(0, engine.leaseUntilUs(name, node.vhid) - atUs) : undefined,
    packets: packets?.nodes.find(({ vhid }) => vhid === node.vhid),
  }));
  return { view, own: labelsOf(name), statistics, nodes, packets };
}
