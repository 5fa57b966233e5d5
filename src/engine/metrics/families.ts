/**
 * The metrics of an engine: name, type, labels and help text of each, in the order in which they are exported. One
 * table for the text format, the manual, the alert rules and the dashboard. Names are an interface: they stay.
 */

export interface Family {
  readonly type: "counter" | "gauge" | "histogram";
  readonly help: string;
  /** In the order in which they are written. */
  readonly labels: readonly string[];
}

const OF_INTERFACE = ["interface"] as const;
const OF_CHECK = ["check", "file"] as const;
const OF_VIRTUAL_HOST = ["interface", "vhid"] as const;

export const FAMILIES = {
  // The engine.
  carp_build_info: { type: "gauge", labels: ["version"], help: "Version of the engine; always 1." },
  carp_engine_start_time_seconds: {
    type: "gauge",
    labels: [],
    help: "Start of the engine, since the Unix epoch.",
  },
  carp_engine_event_loop_delay_seconds: {
    type: "histogram",
    labels: [],
    help: "How late the engine's timers fired.",
  },
  carp_engine_state_saved: {
    type: "gauge",
    labels: [],
    help: "Whether the state could be saved for the next engine.",
  },
  carp_engine_leases_enforced: {
    type: "gauge",
    labels: [],
    help: "Whether the kernel enforces leases (the eBPF data path).",
  },
  // Demotion.
  carp_demotion: { type: "gauge", labels: [], help: "net.inet.carp.demotion, the sum of its parts." },
  carp_demotion_part: {
    type: "gauge",
    labels: ["kind", "reason", "interface"],
    help: "Part of net.inet.carp.demotion: written to the variable, a named reason, or the fault of an interface.",
  },
  carp_group_demotion: { type: "gauge", labels: ["group"], help: "carp demote count of an interface group." },
  carp_service_check_passed: {
    type: "gauge",
    labels: OF_CHECK,
    help: "Whether the last run of a service check passed; absent while it has no result.",
  },
  carp_service_check_refused: {
    type: "gauge",
    labels: OF_CHECK,
    help: "Whether a service check is refused: it is not run.",
  },
  carp_service_check_demotes: {
    type: "gauge",
    labels: OF_CHECK,
    help: "Whether a service check demotes the host or a group.",
  },
  carp_service_check_results_total: {
    type: "counter",
    labels: ["check", "file", "outcome"],
    help: "Results of a service check: passed, failed, or refused: it was not run.",
  },
  carp_service_check_consecutive_results: {
    type: "gauge",
    labels: OF_CHECK,
    help: "Results of a service check in a row that were the same as the last one.",
  },
  carp_service_check_duration_seconds: {
    type: "gauge",
    labels: OF_CHECK,
    help: "Duration of the last run of a service check.",
  },
  carp_service_check_age_seconds: {
    type: "gauge",
    labels: OF_CHECK,
    help: "Time since the last result of a service check.",
  },
  // Packets of the host.
  carp_advertisements_received_total: {
    type: "counter",
    labels: ["family"],
    help: "CARP packets received, refused ones included.",
  },
  carp_advertisements_sent_total: { type: "counter", labels: ["family"], help: "CARP packets sent." },
  carp_advertisements_refused_total: {
    type: "counter",
    labels: ["cause"],
    help: "CARP packets received and discarded, by cause.",
  },
  carp_advertisement_send_failures_total: {
    type: "counter",
    labels: [],
    help: "CARP packets that could not be sent.",
  },
  // Interfaces.
  carp_interface_info: {
    type: "gauge",
    labels: ["interface", "carpdev", "balancing", "lladdr", "description"],
    help: "Configuration of a carp interface; always 1.",
  },
  carp_interface_problems: {
    type: "gauge",
    labels: OF_INTERFACE,
    help: "Number of things that are wrong with a carp interface; status names them.",
  },
  carp_interface_repairs_total: {
    type: "counter",
    labels: OF_INTERFACE,
    help: "Changes by other programs that were undone.",
  },
  carp_interface_advertisements_received_total: {
    type: "counter",
    labels: ["interface", "family"],
    help: "CARP packets received for a virtual host of the interface, refused ones included.",
  },
  carp_interface_advertisements_sent_total: {
    type: "counter",
    labels: ["interface", "family"],
    help: "CARP packets sent for the interface.",
  },
  carp_interface_advertisements_refused_total: {
    type: "counter",
    labels: ["interface", "cause"],
    help: "CARP packets received for a virtual host of the interface and discarded, by cause.",
  },
  carp_interface_advertisement_send_failures_total: {
    type: "counter",
    labels: OF_INTERFACE,
    help: "CARP packets of the interface that could not be sent.",
  },
  carp_interface_nodes_held_ratio: {
    type: "gauge",
    labels: OF_INTERFACE,
    help: "Share of the interface's nodes of which this host is MASTER, 0 to 1.",
  },
  carp_interface_packets_dropped_total: {
    type: "counter",
    labels: ["interface", "cause"],
    help: "Packets for the shared addresses that this host dropped: without a lease, or malformed.",
  },
  carp_interface_packets_withheld_total: {
    type: "counter",
    labels: OF_INTERFACE,
    help: "Packets of this host from a shared address that were not sent, without a lease.",
  },
  // Virtual hosts.
  carp_virtual_host_state: {
    type: "gauge",
    labels: ["interface", "vhid", "state"],
    help: "1 for the present state of a virtual host, 0 for the others.",
  },
  carp_virtual_host_state_age_seconds: {
    type: "gauge",
    labels: OF_VIRTUAL_HOST,
    help: "Time in the present state.",
  },
  carp_virtual_host_transitions_total: {
    type: "counter",
    labels: OF_VIRTUAL_HOST,
    help: "Changes of state.",
  },
  carp_virtual_host_advertisement_interval_seconds: {
    type: "gauge",
    labels: OF_VIRTUAL_HOST,
    help: "Time between two advertisements of this host as MASTER, demotion included.",
  },
  carp_virtual_host_advskew: {
    type: "gauge",
    labels: OF_VIRTUAL_HOST,
    help: "Advertised advskew, demotion included.",
  },
  carp_virtual_host_demotion: {
    type: "gauge",
    labels: OF_VIRTUAL_HOST,
    help: "Advertised demote count.",
  },
  carp_virtual_host_heard_age_seconds: {
    type: "gauge",
    labels: OF_VIRTUAL_HOST,
    help: "Time since another host was heard to advertise, the master for a BACKUP; absent until one is.",
  },
  carp_virtual_host_lease_seconds: {
    type: "gauge",
    labels: OF_VIRTUAL_HOST,
    help: "Time for which the kernel will still answer; 0 without a lease.",
  },
  carp_virtual_host_peers: {
    type: "gauge",
    labels: OF_VIRTUAL_HOST,
    help: "Other hosts that advertise the virtual host at present.",
  },
  carp_virtual_host_packets_accepted_total: {
    type: "counter",
    labels: OF_VIRTUAL_HOST,
    help: "Packets for the shared addresses that this host accepted.",
  },
  carp_virtual_host_packets_left_total: {
    type: "counter",
    labels: OF_VIRTUAL_HOST,
    help: "Packets of a node that were left to the host that held it (balancing).",
  },
} as const satisfies Readonly<Record<string, Family>>;

export type MetricName = keyof typeof FAMILIES;
